"""The graph of contestants that met, and its Laplacian; sparse, for up to 1e5 contestants."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from arena.judges.votes import Integers
from arena.ratings.matches import Pairs, sorted_pairs
from lineage.records import Floats

STEPS = 1000
"""Iterations of conjugate gradients, at most; tens are usual."""


class Graph:
    """A graph with contestants as nodes and pairs of contestants that met as edges.

    Args:
        pairs: summed matches.
        size: number of contestants.

    Attributes:
        pairs: the same, ascending.
        size: number of contestants.
    """

    def __init__(self, pairs: Pairs, size: int) -> None:
        self.pairs, self.size = sorted_pairs(pairs), size
        self._starts = np.searchsorted(self.pairs.a, np.arange(size + 1)).astype(np.int32)
        self._ends = self.pairs.b.astype(np.int32)

    def gaps(self, strength: Floats) -> Floats:
        """Differences of strength, a less b: shape `[pairs]`, from shape `[contestants]`."""
        return strength[self.pairs.a] - strength[self.pairs.b]

    def balance(self, values: Floats) -> Floats:
        """Sums by contestant of values of pairs, added for a and subtracted for b.

        Args:
            values: shape `[pairs]`.

        Returns:
            Shape `[contestants]`; the transpose of `gaps`.
        """
        return self._by(self.pairs.a, values) - self._by(self.pairs.b, values)

    def curvature(self, information: Floats) -> "Curvature":
        """The weighted Laplacian of the graph.

        Args:
            information: shape `[pairs]`: Fisher information about each pair's difference.
        """
        links = csr_array((information, self._ends, self._starts), shape=(self.size, self.size))
        own = self._by(self.pairs.a, information) + self._by(self.pairs.b, information)
        return Curvature(links, own, 0.0)

    def _by(self, rows: Integers, values: Floats) -> Floats:
        return np.asarray(np.bincount(rows, values, self.size), dtype=np.float64)


@dataclass(frozen=True)
class Curvature:
    """The negative Hessian of a posterior: `diagonal` less `links` and their transpose.

    Attributes:
        links: shape `[contestants, contestants]`, sparse: each pair once.
        diagonal: shape `[contestants]`.
        precision: the prior's part of the diagonal.
    """

    links: csr_array
    diagonal: Floats
    precision: float

    def held(self, precision: float) -> "Curvature":
        """The same with a prior of this precision (1 / variance) on every contestant."""
        return Curvature(self.links, self.diagonal + precision, self.precision + precision)

    def __matmul__(self, right: Floats) -> Floats:
        own = self.diagonal[:, None] * right
        return np.asarray(own - self.links @ right - self.links.T @ right)

    def dense(self) -> Floats:
        """As a dense array: shape `[contestants, contestants]`."""
        half = self.links.toarray()
        return np.asarray(np.diag(self.diagonal) - half - half.T)

    def solve(self, right: Floats, tolerance: float) -> Floats:
        """Solve `self @ x = right` by conjugate gradients, preconditioned with the diagonal.

        All columns are solved together, since reading the graph takes most of the time.

        Args:
            right: shape `[contestants, columns]`.
            tolerance: relative residual of each column, in the norm of the inverse diagonal.

        Returns:
            Shape `[contestants, columns]`.
        """
        scale = self.diagonal[:, None]
        solution = right / scale
        left = right - self @ solution
        near = left / scale
        direction = near
        size = _products(left, near)
        enough = tolerance**2 * _products(right, right / scale)
        for _ in range(STEPS):
            if (size <= enough).all():
                break
            image = self @ direction
            # A column that is solved exactly has no direction left to go.
            length = size / np.maximum(_products(direction, image), np.finfo(float).tiny)
            solution = solution + length * direction
            left = left - length * image
            near = left / scale
            before, size = size, _products(left, near)
            direction = near + size / np.maximum(before, np.finfo(float).tiny) * direction
        return solution


def _products(left: Floats, right: Floats) -> Floats:
    """The inner product of every column."""
    return np.asarray(np.einsum("ij,ij->j", left, right))
