"""The forms that all judges share: what lies before them, and how they vote."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lineage.records import Answer, Reading

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Slate:
    """The answers of a round, each distinct answer to an item once.

    Attributes:
        models: the contestants.
        items: ids of the items.
        answers: per item, its distinct answers, sorted.
        choice: shape (models, items): which of an item's answers each contestant gave.
        readings: log-likelihoods by (item, judge, answer).
    """

    models: tuple[int, ...]
    items: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    choice: Integers
    readings: dict[tuple[str, int, str], float]


@dataclass(frozen=True)
class Ballots:
    """How judges of one mode voted: per item an array (judges, answers) in [0, 1], NaN = abstains.

    A higher vote means a better answer; only the order within a judge and an item has meaning.
    """

    mode: str
    judges: tuple[int, ...]
    votes: tuple[Floats, ...]


def slate_of(
    models: Sequence[int],
    items: Sequence[str],
    answers: Sequence[Answer],
    readings: Sequence[Reading],
) -> Slate:
    """Lay out the answers of a round.

    Raises:
        KeyError: one of `models` has not answered one of `items`.
    """
    given = {(answer.item, answer.model): answer.answer for answer in answers}
    distinct = tuple(tuple(sorted({given[item, m] for m in models})) for item in items)
    choice = np.array(
        [
            [row.index(given[item, m]) for item, row in zip(items, distinct, strict=True)]
            for m in models
        ],
        dtype=np.int64,
    )
    heard = {(r.item, r.judge, r.answer): r.log_likelihood for r in readings}
    return Slate(tuple(models), tuple(items), distinct, choice, heard)
