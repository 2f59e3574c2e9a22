"""What a rival is given, and the bookkeeping that all rivals share."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Spent(Exception):  # noqa: N818 - nothing went wrong
    """The budget of a problem is used up."""


class Problem(Protocol):
    """A search space with a budget of evaluations."""

    founders: Floats
    """The starting vectors, one a row."""

    def scores(self, vectors: Floats) -> Floats:
        """Scores (vectors, items) in [0, 1], always of the same training items.

        Counts one evaluation a vector. A call that would exceed the budget raises `Spent` and
        counts nothing.
        """
        ...

    def offer(self, vector: Floats) -> None:
        """This vector is now the best one known by its training score."""
        ...


class Referee:
    """Scores candidates and offers each that beats all before it by its mean training score.

    Every rival reports the best candidate that it has ever scored, the first of equals.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._best = -np.inf

    def scores(self, vectors: Floats) -> Floats:
        """Scores (vectors, items). A batch that the budget has no room for is scored in part."""
        vectors = np.array(vectors, dtype=np.float64)  # a copy: callers reuse their arrays
        try:
            return self._scored(vectors)
        except Spent:
            for vector in vectors[:-1]:
                self._scored(vector[np.newaxis])
            raise

    def means(self, vectors: Floats) -> Floats:
        """The mean score of each vector."""
        return np.asarray(self.scores(vectors).mean(axis=1))

    def _scored(self, vectors: Floats) -> Floats:
        scores = self._problem.scores(vectors)
        means = scores.mean(axis=1)
        first = int(means.argmax())
        if means[first] > self._best:
            self._best = float(means[first])
            self._problem.offer(vectors[first])
        return scores
