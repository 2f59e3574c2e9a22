"""What every survival rule chooses from, and the claims to a place that rules have in common."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lineage.records import Floats

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """Everyone who may survive, a row each.

    Attributes:
        scores: shape (candidates, items) in [0, 1], all on the same items.
        means: shape (candidates,): the score that the fittest are found by.
        hashes: of the candidates' weights. Of equal models only the eldest can survive.
        protected: rows that live on whatever they score, the most important first.
        founder_line: shape (candidates, founders): each founder's share in each candidate.
        born: shape (candidates,): ids, which grow with birth.
        sharing: exponent of fitness sharing, for rules that share.

    Raises:
        ValueError: the parts do not have the same number of candidates.
    """

    scores: Floats
    means: Floats
    hashes: Sequence[str]
    protected: Sequence[int]
    founder_line: Floats
    born: Integers
    sharing: float = 1.0

    def __post_init__(self) -> None:
        parts = (self.scores, self.means, self.hashes, self.founder_line, self.born)
        lengths = [len(part) for part in parts]
        if len(set(lengths)) > 1:
            raise ValueError(
                "scores, means, hashes, founder_line and born are of "
                f"{', '.join(map(str, lengths))} candidates"
            )


class Rule(Protocol):
    """Chooses who lives on."""

    def __call__(self, candidates: Candidates, size: int) -> list[int]:
        """Rows of the survivors, ascending: `size` of them, or all distinct ones if fewer."""
        ...


def seated(size: int, *claims: Iterable[int]) -> list[int]:
    """The rows that get a place, ascending: claims are served in turn while there are places."""
    return sorted(list(dict.fromkeys(chain(*claims)))[:size])


def fittest_first(candidates: Candidates) -> list[int]:
    """The distinct candidates by mean, best first. Equal means are ordered by hash.

    A hash, unlike a row, stays what it is when candidates come in another order.
    """
    return sorted(
        _eldest(candidates).values(),
        key=lambda row: (-candidates.means[row], candidates.hashes[row]),
    )


def protected(candidates: Candidates) -> list[int]:
    """The protected in the order given; for one that has an elder twin, that twin."""
    eldest = _eldest(candidates)
    return [eldest[candidates.hashes[row]] for row in candidates.protected]


def heads_of_lines(candidates: Candidates) -> list[int]:
    """For every founder the fittest in which it has the largest share, fittest first.

    Shares may tie, as in a child of two founders: then it belongs to both lines.
    """
    ranked = fittest_first(candidates)
    share = candidates.founder_line[ranked]
    belongs = share >= share.max(axis=1, keepdims=True) - 1e-9
    heads = {ranked[int(np.argmax(line))] for line in belongs.T if line.any()}
    return [row for row in ranked if row in heads]


def _eldest(candidates: Candidates) -> dict[str, int]:
    """The eldest row of each hash."""
    youngest_first = np.argsort(candidates.born, kind="stable")[::-1]
    return {candidates.hashes[row]: int(row) for row in youngest_first}
