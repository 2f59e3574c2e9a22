"""Questions with given answers, tokenised and batched: what a forward pass reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from lineage.records import Floats, Item
from population.evaluation.encoding import Opened

WIDEST = 1 << 27
"""Logits that are computed at once, unless a single text asks for more."""


@dataclass(frozen=True)
class Question:
    """An item, and an answer to it that counts.

    Attributes:
        item: what is asked.
        opened: its prompt, as a model gets it.
        answer: text whose probability is wanted; None where no text is known to be right.
        ids: tokens of that answer and its end; empty without one.
        literal: in canonical form, the one answer that is right; None where the task is asked about
            whatever a model says.
        alike: whether a model that says `literal` in canonical form is right; otherwise the task's
            `extract` has to find it in what the model says.
    """

    item: Item
    opened: Opened
    answer: str | None
    ids: tuple[int, ...]
    literal: str | None
    alike: bool = True


@dataclass(frozen=True)
class Batch:
    """Sequences of similar length, padded on the right (causal attention never looks there).

    Attributes:
        rows: index of each sequence in the panel.
        tokens: shape (sequences, length).
        targets: shape (sequences, tail): the tokens to predict at the last `tail` positions.
        wanted: shape (sequences, tail): which of them count.
        places: shape (sequences, length): where in `tokens` they are predicted.
    """

    rows: np.ndarray[Any, np.dtype[np.int64]]
    tokens: torch.Tensor
    targets: torch.Tensor
    wanted: torch.Tensor
    places: torch.Tensor


@dataclass(frozen=True)
class Prepared:
    """Questions with given answers, tokenised and batched: what a forward pass needs.

    Attributes:
        size: how many questions.
        batches: of all that have an answer to be read.
        questions: what is asked; empty where nobody is to be scored.
        marks: shape (items, questions): what giving the answer of a question is worth on an item;
            None where every question is an item, and its answer the key.
        seen: by question, matched tokens and the first other one: what is known of an answer that
            begins so. Siblings make the same mistakes.
    """

    size: int
    batches: tuple[Batch, ...]
    questions: tuple[Question, ...] = ()
    marks: Floats | None = None
    seen: dict[tuple[int, int, int], str | bool | None] = field(
        default_factory=dict, compare=False, repr=False
    )


@dataclass(frozen=True)
class Row:
    """A sequence before it is batched: what is given, and what is to follow."""

    number: int
    given: Sequence[int]
    following: Sequence[int]

    def __len__(self) -> int:
        """Tokens in all."""
        return len(self.given) + len(self.following)


def batched(
    rows: Sequence[Row], tokens: int, vocabulary: int, device: torch.device
) -> tuple[Batch, ...]:
    """Batches of similar length.

    Args:
        rows: sequences, whose order does not matter.
        tokens: in a batch at most, unless a single sequence is longer.
        vocabulary: logits at a position.
        device: where the batches go.
    """
    rows = sorted(rows, key=lambda row: (len(row), row.number))
    batches: list[Batch] = []
    start = 0
    while start < len(rows):
        stop, wanted = start + 1, len(rows[start].following)
        while stop < len(rows) and (stop + 1 - start) * len(rows[stop]) <= tokens:
            wanted += len(rows[stop].following)
            if wanted * vocabulary > WIDEST:
                break
            stop += 1
        batches.append(_batch(rows[start:stop], device))
        start = stop
    return tuple(batches)


def _batch(rows: Sequence[Row], device: torch.device) -> Batch:
    length = max(len(row) for row in rows)
    # Nothing is predicted before the earliest answer.
    tail = length - min(len(row.given) for row in rows) + 1
    tokens = torch.zeros((len(rows), length), dtype=torch.long)
    targets = torch.zeros((len(rows), tail), dtype=torch.long)
    places = torch.zeros((len(rows), length), dtype=torch.bool)
    for place, row in enumerate(rows):
        tokens[place, : len(row)] = torch.tensor([*row.given, *row.following])
        first = len(row.given) - 1
        places[place, first : first + len(row.following)] = True
        first -= length - tail
        targets[place, first : first + len(row.following)] = torch.tensor(row.following)
    return Batch(
        rows=np.array([row.number for row in rows]),
        tokens=tokens.to(device),
        targets=targets.to(device),
        wanted=places[:, length - tail :].to(device),
        places=places.to(device),
    )
