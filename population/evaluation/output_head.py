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


@contextmanager
def narrowed(model: Any, positions: torch.Tensor | None = None) -> Iterator[None]:
    """A context in which a model's output head gets contiguous hidden states, of some positions.

    Args:
        model: a causal language model of transformers.
        positions: mask of shape (sequences, length): where logits are needed. They have the shape
            (1, positions, vocabulary) then, in their order; None leaves all where they are.
    """
    head = model.get_output_embeddings()

    def narrow(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        hidden, *rest = args
        if not isinstance(hidden, torch.Tensor):
            return None
        if positions is not None and hidden.shape[:2] == positions.shape:
            return hidden[positions][None], *rest
        return hidden.contiguous(), *rest

    hook = head.register_forward_pre_hook(narrow) if head is not None else None
    try:
        yield
    finally:
        if hook is not None:
            hook.remove()


def logits_at(model: Any, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """The logits of a model at some positions, shape (positions, vocabulary).

    Args:
        model: a causal language model of transformers.
        tokens: shape (sequences, length).
        positions: mask of shape (sequences, length), true at one position at least.
    """
    with narrowed(model, positions):
        logits: torch.Tensor = model(tokens, use_cache=False).logits
    # Where the head is not called, or is not what transformers says, all of them were computed.
    return logits[positions] if logits.shape[:2] == positions.shape else logits[0]


def log_probabilities(logits: torch.Tensor, targets: torch.Tensor, rows: int = 64) -> torch.Tensor:
    """The log-probability of one token per row of logits, shape (rows,), computed in fp32 or fp64.

    Args:
        logits: shape (rows, vocabulary).
        targets: shape (rows,).
        rows: that are widened to fp32 at a time: a copy of all logits would be the largest tensor.
    """
    wide = torch.promote_types(logits.dtype, torch.float32)
    return torch.cat(
        [
            logits[start : start + rows]
            .to(wide)
            .log_softmax(dim=-1)
            .gather(-1, targets[start : start + rows, None])[:, 0]
            for start in range(0, len(targets), rows)
        ]
    )
