"""Computes logits only at the positions where they are needed.

Logits are the widest thing that a language model computes: one number for each token of its
vocabulary, at every position. A network that computes them all spends more on its output head than
on its layers; and where hidden states are a slice that is not contiguous, torch multiplies by a
copy of the whole vocabulary matrix for every row of the batch. Both are avoided by a hook on the
output embeddings, which every causal language model of transformers has.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

LOGITS_WIDENED = 1 << 26
"""Logits that an accelerator has in fp32 at a time."""


@contextmanager
def narrowed(
    model: Any, positions: torch.Tensor | None = None, shape: torch.Size | None = None
) -> Iterator[None]:
    """A context in which a model's output head gets contiguous hidden states, of some positions.

    Args:
        model: a causal language model of transformers.
        positions: shape (positions,): where logits are needed, as indices into the flat tokens.
            They have the shape (1, positions, vocabulary) then; None leaves all where they are.
        shape: of the tokens, where there are positions.
    """
    head = model.get_output_embeddings()

    def narrow(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        hidden, *rest = args
        if not isinstance(hidden, torch.Tensor):
            return None
        if positions is not None and hidden.shape[:-1] == shape:
            return hidden.flatten(0, -2)[positions][None], *rest
        return hidden.contiguous(), *rest

    hook = head.register_forward_pre_hook(narrow) if head is not None else None
    try:
        yield
    finally:
        if hook is not None:
            hook.remove()


def logits_at(
    model: Any, tokens: torch.Tensor, positions: torch.Tensor, **options: Any
) -> torch.Tensor:
    """The logits of a model at some positions, shape (positions, vocabulary).

    Args:
        model: a causal language model of transformers.
        tokens: shape (sequences, length).
        positions: shape (positions,), one at least: indices into the flat `tokens`.
        options: of the model's forward pass.
    """
    with narrowed(model, positions, tokens.shape):
        logits: torch.Tensor = model(tokens, use_cache=False, **options).logits
    # Where the head is not called, or is not what transformers says, all of them were computed.
    whole = logits.shape[:2] == tokens.shape
    return logits.flatten(0, 1)[positions] if whole else logits[0]


def log_probabilities(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The log-probability of one token per row of logits, shape (rows,), computed in fp32 or fp64.

    Args:
        logits: shape (rows, vocabulary).
        targets: shape (rows,).
    """
    wide = torch.promote_types(logits.dtype, torch.float32)
    # A copy of all logits in fp32 would be the largest tensor; few of them stay in a CPU's cache.
    rows = 64 if logits.device.type == "cpu" else max(1, LOGITS_WIDENED // logits.shape[-1])
    return torch.cat(
        [
            logits[start : start + rows]
            .to(wide)
            .log_softmax(dim=-1)
            .gather(-1, targets[start : start + rows, None])[:, 0]
            for start in range(0, len(targets), rows)
        ]
    )
