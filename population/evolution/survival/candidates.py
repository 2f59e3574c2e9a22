"""The candidates that survival rules choose from, and the interface of the rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lineage.records import Floats

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Candidates:
    """The models that may survive, a row each.

    Attributes:
        scores: shape (candidates, items) in [0, 1], all on the same items.
        means: shape (candidates,): the score that the fittest are found by.
        hashes: of the candidates' weights. Of equal models only the eldest can survive.
        protected: rows that survive whatever they score, the most important first.
        founder_line: shape (candidates, founders): founder shares of each candidate.
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
    """Chooses the survivors."""

    def __call__(self, candidates: Candidates, size: int) -> list[int]:
        """Rows of the survivors, ascending: `size` of them, or all distinct ones if fewer."""
        ...
