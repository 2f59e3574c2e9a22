"""The slate of answers that judges see, and their votes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lineage.records import Answer, Canary, Floats

Integers = npt.NDArray[np.int64]
Signs = npt.NDArray[np.int8]

SILENT = -1
"""The choice of a contestant that was not asked."""


@dataclass(frozen=True)
class Slate:
    """The answers of a round, each distinct answer to an item once.

    Attributes:
        models: the contestants.
        items: ids of the items.
        tasks: of each item, its task.
        answers: per item its distinct answers, canaries and planted keys among them, sorted.
        choice: shape `[models, items]`: index of the answer that each gave, or `SILENT`.
        right: per item, how right each answer is in [0, 1]; None where nobody may look.
        planted: per item, which of its answers are canaries.
        voters: contestants whose own answers count as votes.
    """

    models: tuple[int, ...]
    items: tuple[str, ...]
    tasks: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    choice: Integers
    right: tuple[Floats | None, ...]
    planted: tuple[Integers, ...]
    voters: tuple[int, ...]


@dataclass(frozen=True)
class Votes:
    """How judges of one mode voted.

    Attributes:
        judges: ids.
        signs: per item, shape `[judges, answers, answers]`: 1 where a judge prefers the answer of
            the row to that of the column, -1 where it is the other way, 0 where it cannot tell.
        sampled: whether judges were asked about some pairs only, so that silence tells nothing.
    """

    judges: tuple[int, ...]
    signs: tuple[Signs, ...]
    sampled: bool = False


def slate_of(
    models: Sequence[int],
    items: Sequence[tuple[str, str]],
    answers: Sequence[Answer],
    *,
    verify: Callable[[str, str], float | None] = lambda item, answer: None,
    keys: Mapping[str, str] | None = None,
    canaries: Sequence[Canary] = (),
    voters: Sequence[int] | None = None,
) -> Slate:
    """Lay out the answers of a round.

    Args:
        models: the contestants.
        items: id and task of each item.
        answers: given by anybody to any item; others than those of the round are passed over.
        verify: how right an answer to an item is; None where nobody may look.
        keys: by item, a right answer that is planted beside those that were given.
        canaries: wrong answers that are planted as well.
        voters: whose own answers count as votes; by default everybody's.
    """
    given = {(answer.item, answer.model): answer.answer for answer in answers}
    wrong: dict[str, list[str]] = {}
    for canary in canaries:
        wrong.setdefault(canary.item, []).append(canary.answer)
    lists: list[tuple[str, ...]] = []
    choice = np.full((len(models), len(items)), SILENT, dtype=np.int64)
    right: list[Floats | None] = []
    for column, (item, _) in enumerate(items):
        answer_of = {row: given[item, m] for row, m in enumerate(models) if (item, m) in given}
        planted = [*wrong.get(item, ()), *([keys[item]] if keys and item in keys else ())]
        distinct = tuple(sorted({*answer_of.values(), *planted}))
        place = {answer: index for index, answer in enumerate(distinct)}
        for row, answer in answer_of.items():
            choice[row, column] = place[answer]
        values = [verify(item, answer) for answer in distinct]
        known = [value for value in values if value is not None]
        right.append(np.array(known) if len(known) == len(values) else None)
        lists.append(distinct)
    return Slate(
        models=tuple(models),
        items=tuple(item for item, _ in items),
        tasks=tuple(task for _, task in items),
        answers=tuple(lists),
        choice=choice,
        right=tuple(right),
        planted=tuple(
            np.array([lists[column].index(text) for text in wrong.get(item, ())], dtype=np.int64)
            for column, (item, _) in enumerate(items)
        ),
        voters=tuple(models if voters is None else voters),
    )


def preferences(votes: Floats) -> Signs:
    """Pairwise preferences from one number for each answer.

    Args:
        votes: shape `[judges, answers]`: the higher, the better; NaN abstains.

    Returns:
        Shape `[judges, answers, answers]`: 1 where the row is preferred to the column, -1 where the
        column is, 0 where the judge cannot tell.

    >>> preferences(np.array([[0.5, 0.1]])).tolist()
    [[[0, 1], [-1, 0]]]
    """
    with np.errstate(invalid="ignore"):
        signs = np.sign(votes[:, :, None] - votes[:, None, :])
    return np.nan_to_num(signs, nan=0.0).astype(np.int8)
