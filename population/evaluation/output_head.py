"""The head of a network, asked only for what is wanted.

Logits are the widest thing that a language model computes: one number for each of the words that it
knows, at every position. A network that computes them all spends more on its head than on its
layers; and if it is handed a slice of hidden states that does not lie in one piece, torch
multiplies by a copy of the whole vocabulary for every row of the batch. Both are mended where
every causal language model of transformers can be reached: in front of its output embeddings.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def narrowed(model: Any, wanted: torch.Tensor | None = None) -> Iterator[None]:
    """Within it, the head of a model sees hidden states that lie in one piece.

    Args:
        model: a causal language model of transformers.
        wanted: shape (sequences, length): at which positions logits are wanted. They come with
            shape (1, wanted, vocabulary) then, in their order; None leaves all where they are.
    """
    head = model.get_output_embeddings()

    def narrow(module: Any, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        hidden, *rest = given
        if not isinstance(hidden, torch.Tensor):
            return None
        if wanted is not None and hidden.shape[:2] == wanted.shape:
            return hidden[wanted][None], *rest
        return hidden.contiguous(), *rest

    hook = head.register_forward_pre_hook(narrow) if head is not None else None
    try:
        yield
    finally:
        if hook is not None:
            hook.remove()


def logits_at(model: Any, tokens: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The logits of a model at some positions, shape (wanted, vocabulary).

    Args:
        model: a causal language model of transformers.
        tokens: shape (sequences, length).
        wanted: shape (sequences, length), at least one of them.
    """
    with narrowed(model, wanted):
        logits: torch.Tensor = model(tokens, use_cache=False).logits
    # A head that is not where transformers says, or not called, computes all of them.
    return logits[wanted] if logits.shape[:2] == wanted.shape else logits[0]


def log_probabilities(logits: torch.Tensor, targets: torch.Tensor, rows: int = 64) -> torch.Tensor:
    """The log-probability of one token in each row of logits, in fp32 and a few rows at a time.

    Args:
        logits: shape (rows, vocabulary).
        targets: shape (rows,).
        rows: in fp32 at once: a copy of all logits would be the largest tensor of all.
    """
    return torch.cat(
        [
            logits[start : start + rows]
            .float()
            .log_softmax(dim=-1)
            .gather(-1, targets[start : start + rows, None])[:, 0]
            for start in range(0, len(targets), rows)
        ]
    )
