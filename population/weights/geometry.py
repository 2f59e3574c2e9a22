"""Lengths and angles of merged models, from the founders' inner products alone.

A model of parameter space is a weighted sum of founders in every block, so its length and its
angles to others follow from one Gram matrix per block; no weight is read again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lineage.records import Floats
from population.models.blocks import Layout
from population.models.checkpoints import Checkpoint
from population.weights.genomes import Basis

CHUNK = 1 << 20
"""Elements that are widened to double precision at a time."""


@dataclass(frozen=True)
class Geometry:
    """Inner products of task vectors, block by block.

    Attributes:
        vectors: shape [blocks, vectors, vectors], of the task vectors that a genome scales.
    """

    vectors: Floats

    @property
    def lengths(self) -> Floats:
        """Lengths of the task vectors in every block: shape [vectors, blocks]."""
        return np.sqrt(np.diagonal(self.vectors, axis1=1, axis2=2).T)

    def angles(self, one: Floats, other: Floats) -> Floats:
        """Angles between the task vectors of two genomes, in radians: shape [blocks]."""
        return np.arccos(self._cosines(*self._products(one, other)))

    def angle(self, one: Floats, other: Floats) -> float:
        """The angle between the task vectors of two genomes over the whole model, in radians.

        Args:
            one: a genome of shape [vectors, blocks] or [vectors * blocks].
            other: another one.
        """
        totals = [np.atleast_1d(part.sum()) for part in self._products(one, other)]
        return float(np.arccos(self._cosines(*totals))[0])

    def _products(self, one: Floats, other: Floats) -> tuple[Floats, Floats, Floats]:
        """The inner product of both, and of each with itself: shape [blocks] each."""
        blocks, rows, _ = self.vectors.shape
        a, b = one.reshape(rows, blocks), other.reshape(rows, blocks)

        def inner(x: Floats, y: Floats) -> Floats:
            return np.asarray(np.einsum("vb,bvw,wb->b", x, self.vectors, y))

        return inner(a, b), inner(a, a), inner(b, b)

    @staticmethod
    def _cosines(between: Floats, first: Floats, second: Floats) -> Floats:
        lengths = np.sqrt(np.maximum(0.0, first) * np.maximum(0.0, second))
        # A model that is the base itself has no direction; it is taken to be parallel to all.
        cosine = np.where(lengths > 0.0, between / np.where(lengths > 0.0, lengths, 1.0), 1.0)
        return np.clip(cosine, -1.0, 1.0)


def geometry_of(
    founders: Sequence[Checkpoint],
    basis: Basis,
    layout: Layout,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Geometry:
    """Compute the founders' inner products, tensor by tensor: reads all of their weights once.

    Args:
        founders: in the order of the basis.
        basis: defines the task vectors.
        layout: of the blocks.
        progress: called with (tensors done, tensors in all).
    """
    rows = len(basis.vectors)
    gram = np.zeros((len(layout.blocks), rows, rows))
    for number, (name, header) in enumerate(founders[0].tensors.items()):
        progress(number, len(founders[0].tensors))
        if not header.dtype.floating:
            continue
        wide = [np.asarray(founder.wide(name)) for founder in founders]
        origin = wide[basis.base] if basis.base is not None else np.mean(wide, axis=0)
        for segment in layout.segments[name]:
            cut = (slice(None),) * segment.dim + (slice(segment.start, segment.stop),)
            index = cut if header.shape else ()
            parts = [(wide[vector][index] - origin[index]).ravel() for vector in basis.vectors]
            for start in range(0, parts[0].size, CHUNK):
                stack = np.array([part[start : start + CHUNK] for part in parts], dtype=np.float64)
                gram[segment.block] += stack @ stack.T
        for founder in founders:
            founder.release(name)
    return Geometry(gram)
