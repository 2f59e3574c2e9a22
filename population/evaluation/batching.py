"""Items with given answers, tokenised and batched: the input of forward passes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from typing import Any

import numpy as np
import torch

from arena.tasks.sampling import Sampling
from lineage.records import Floats, Item
from population.errors import PopulationError
from population.evaluation.alternatives import Alternatives
from population.evaluation.examinations import Examination
from population.evaluation.images import ImageInputs, batched
from population.evaluation.prompt_tokenizer import EncodedPrompt

MAX_LOGITS = 1 << 27
"""Logits that are computed at once, unless a single text needs more."""

BATCH_OVERHEAD = {"cpu": 64, "accelerator": 4096}
"""What a forward pass costs beside its tokens, in tokens: an accelerator mostly waits for calls."""


@dataclass(frozen=True)
class Question:
    """An item, and one answer to it that counts.

    Attributes:
        item: what is asked.
        prompt: of the item, as a model gets it.
        answer: text whose probability is computed; None where no text is known to be right.
        answer_ids: tokens of that answer and its end; empty without one.
        expected: the one right answer, in canonical form; None where the task verifies whatever a
            model answers.
        canonical_match: whether an answer that equals `expected` in canonical form is right;
            otherwise the task's `extract` has to find `expected` in the answer.
        choice: whether it is one of several choices, which are read and never decoded.
        examined: whether its task's examiner says what is asked.
        sampling: how answers are sampled, where what a model is right on is not its greedy answer.
    """

    item: Item
    prompt: EncodedPrompt
    answer: str | None
    answer_ids: tuple[int, ...]
    expected: str | None
    canonical_match: bool = True
    choice: bool = False
    examined: bool = False
    sampling: Sampling | None = None


@dataclass(frozen=True)
class Batch:
    """Sequences of similar length, padded on the right (causal attention never looks there).

    Attributes:
        rows: shape (sequences,): index of each among all that were prepared.
        tokens: shape (sequences, length).
        targets: shape (sequences, tail): the tokens to predict at the last `tail` positions.
        target_positions: shape (predictions,): which of them count, as indices into the flat
            `targets`.
        logit_positions: shape (predictions,): the positions that predict them, as indices into the
            flat `tokens`.
        answer_start: shape (sequences,): where in `targets` a sequence's first prediction stands.
        shown: what the network gets of images beside the tokens, by name.
    """

    rows: np.ndarray[Any, np.dtype[np.int64]]
    tokens: torch.Tensor
    targets: torch.Tensor
    target_positions: torch.Tensor
    logit_positions: torch.Tensor
    answer_start: torch.Tensor
    shown: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as plain arrays: another process has other devices, see `landing_on`."""
        tensors = (getattr(self, name).cpu().numpy() for name in _TENSORS)
        shown = {name: tensor.cpu().numpy() for name, tensor in self.shown.items()}
        return _unpacked, (self.rows, shown, *tensors)


_TENSORS = ("tokens", "targets", "target_positions", "logit_positions", "answer_start")


def _unpacked(
    rows: np.ndarray[Any, np.dtype[np.int64]],
    shown: Mapping[str, np.ndarray[Any, Any]],
    *arrays: np.ndarray[Any, Any],
) -> Batch:
    device = _LANDING.get() or torch.device("cpu")

    def placed(array: np.ndarray[Any, Any]) -> torch.Tensor:
        return torch.from_numpy(array.copy()).to(device)  # what was sent may be read-only

    landed = {name: placed(array) for name, array in shown.items()}
    tensors = dict(zip(_TENSORS, map(placed, arrays), strict=True))
    return Batch(rows, shown=landed, **tensors)


_LANDING: ContextVar[torch.device | None] = ContextVar("landing", default=None)


@contextmanager
def landing_on(device: torch.device) -> Iterator[None]:
    """Have batches that are unpickled within the block come to a device."""
    token = _LANDING.set(device)
    try:
        yield
    finally:
        _LANDING.reset(token)


@dataclass(frozen=True)
class PreparedItems:
    """Items with given answers, tokenised and batched once for all models that will read them.

    Attributes:
        size: how many questions or texts.
        batches: of all that have an answer to be read.
        questions: what is asked; empty for running texts, on which nobody is scored.
        alternatives: what was asked, one for each, where several questions may belong to one; empty
            where every question is one by itself.
        answer_credit: shape (items, asked): what being right on what was asked is worth on an item;
            None where each of these is an item, and its answer the key.
        examinations: by tasks with an examiner, with the numbers of the questions that they answer.
        decided: by question, tokens that match the answer and the first token that differs: the
            whole answer, or False if it is wrong, or None if that cannot be told from so little. A
            cache, since siblings make the same mistakes.
        tokens: that a model reads of them, without padding.
    """

    size: int
    batches: tuple[Batch, ...]
    questions: tuple[Question, ...] = ()
    alternatives: tuple[Alternatives, ...] = ()
    answer_credit: Floats | None = None
    examinations: tuple[tuple[tuple[int, ...], Examination], ...] = ()
    decided: dict[tuple[int, int, int], str | bool | None] = field(
        default_factory=dict, compare=False, repr=False
    )
    tokens: int = 0

    @property
    def asked(self) -> int:
        """What was asked: the item evaluations that a model takes, without further samples."""
        return len(self.alternatives) or self.size

    @property
    def items(self) -> int:
        """The items that models are scored on."""
        return self.asked if self.answer_credit is None else len(self.answer_credit)


@dataclass(frozen=True)
class TokenSequence:
    """A sequence before it is batched: tokens that are read, and tokens to be predicted.

    Attributes:
        number: index among all that are prepared together.
        context: tokens that are read.
        continuation: tokens to be predicted after them.
        shown: what the network gets of images in the context.
    """

    number: int
    context: Sequence[int]
    continuation: Sequence[int]
    shown: ImageInputs | None = None

    def __len__(self) -> int:
        """Tokens in all."""
        return len(self.context) + len(self.continuation)

    @property
    def tokens_read(self) -> int:
        """Tokens that a model reads: nothing is predicted behind the last one."""
        return len(self) - 1


def tokens_read(sequences: Iterable[TokenSequence]) -> int:
    """Tokens that a model reads of some sequences, without padding."""
    return sum(sequence.tokens_read for sequence in sequences)


@dataclass(frozen=True)
class BatchLimits:
    """What bounds a batch.

    Attributes:
        batch_tokens: tokens in one forward pass at most, unless a single sequence is longer.
        context_length: tokens that the model reads.
        vocabulary_size: logits at a position.
        device: where the batches go.
    """

    batch_tokens: int
    context_length: int
    vocabulary_size: int
    device: torch.device

    def check(self, sequences: Sequence[TokenSequence], items: Sequence[Item]) -> None:
        """Make sure that every sequence fits into the model's context.

        Raises:
            PopulationError: one does not; names its item.
        """
        for sequence in sequences:
            if len(sequence) > self.context_length:
                raise PopulationError(
                    f"item {items[sequence.number].id} takes {len(sequence)} tokens, "
                    f"the models read {self.context_length}"
                )


def batch_by_length(sequences: Sequence[TokenSequence], limits: BatchLimits) -> tuple[Batch, ...]:
    """Batches of sequences of similar length; the order of the sequences does not matter."""
    rows = sorted(sequences, key=lambda row: (row.tokens_read, row.number))
    batches: list[Batch] = []
    start = 0
    for stop in _cuts([row.tokens_read for row in rows], limits):
        first, targets = start, 0
        for place in range(start, stop):
            more = len(rows[place].continuation)
            if place > first and (targets + more) * limits.vocabulary_size > MAX_LOGITS:
                batches.append(_batch(rows[first:place], limits.device))
                first, targets = place, 0
            targets += more
        batches.append(_batch(rows[first:stop], limits.device))
        start = stop
    return tuple(batches)


def _cuts(lengths: Sequence[int], limits: BatchLimits) -> list[int]:
    """Where to cut sequences into batches so that reading them all costs least.

    A batch costs its tokens, padding included, and as much as some more for being a batch. Cuts are
    between lengths, or where a batch is full; a shortest path over the lengths finds the best.

    Args:
        lengths: of the sequences, in ascending order.
        limits: of a batch.

    Returns:
        Where each batch stops, in ascending order.
    """
    overhead = BATCH_OVERHEAD["cpu" if limits.device.type == "cpu" else "accelerator"]
    groups = [(length, sum(1 for _ in same)) for length, same in groupby(lengths)]
    ends = [0, *accumulate(count for _, count in groups)]
    # By number of groups: the least cost of batching them, and where their last batches begin.
    best: list[tuple[float, int]] = [(0.0, 0)]
    for stop, (longest, _) in enumerate(groups, start=1):
        per_batch = max(1, limits.batch_tokens // longest)
        options = []
        for start in range(stop - 1, -1, -1):
            sequences = ends[stop] - ends[start]
            batches = -(-sequences // per_batch)
            options.append((best[start][0] + sequences * longest + batches * overhead, start))
            if sequences > per_batch:  # a full batch gains nothing from shorter sequences
                break
        best.append(min(options))
    cuts: list[int] = []
    stop = len(groups)
    while stop:
        start, per_batch = best[stop][1], max(1, limits.batch_tokens // groups[stop - 1][0])
        inner = range(ends[start] + per_batch, ends[stop], per_batch)
        cuts += [ends[stop], *reversed(inner)]
        stop = start
    return cuts[::-1]


def _batch(rows: Sequence[TokenSequence], device: torch.device) -> Batch:
    length = max(row.tokens_read for row in rows)
    # Nothing is predicted before the earliest continuation.
    tail = length - min(len(row.context) for row in rows) + 1
    tokens = torch.zeros((len(rows), length), dtype=torch.long)
    targets = torch.zeros((len(rows), tail), dtype=torch.long)
    logit_mask = torch.zeros((len(rows), length), dtype=torch.bool)
    for place, row in enumerate(rows):
        read = torch.tensor([*row.context, *row.continuation][: row.tokens_read])
        tokens[place, : row.tokens_read] = read
        first = len(row.context) - 1
        logit_mask[place, first : first + len(row.continuation)] = True
        first -= length - tail
        targets[place, first : first + len(row.continuation)] = torch.tensor(row.continuation)
    target_mask = logit_mask[:, length - tail :]
    return Batch(
        rows=np.array([row.number for row in rows]),
        tokens=tokens.to(device),
        targets=targets.to(device),
        target_positions=target_mask.flatten().nonzero()[:, 0].to(device),
        logit_positions=logit_mask.flatten().nonzero()[:, 0].to(device),
        answer_start=target_mask.int().argmax(dim=1).to(device),
        shown=batched([row.shown for row in rows], [0] * len(rows), length, device),
    )
