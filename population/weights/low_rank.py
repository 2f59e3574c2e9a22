"""Unrounded weights and gradients of adapters on one base, through their factors alone.

A LoRA founder's task vector is `scale * (left @ right)` (`population.models.adapters`). A weighted
sum of several is one product of factors side by side, with the coefficients multiplied into a
factor, so no task vector is ever written out. The gradient by a coefficient comes from the small
product of the gradient by the weights with a factor. Last bits differ from those of sums over task
vectors, so models that are born are not made here: only those of gradient steps, which nothing
else has to make again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lineage.records import Floats
from population.models.adapters import LowRankUpdate, low_rank_change
from population.models.blocks import Segment
from population.models.checkpoints import Checkpoint
from population.models.dtypes import Wide

ROWS = 256
"""Rows of a product that are computed together: what they take stays in the cache."""


@dataclass(frozen=True)
class Adapters:
    """The low-rank task vectors of one tensor.

    Attributes:
        founders: the numbers of those who change it; all others are the base there.
        updates: the change of each.
    """

    founders: tuple[int, ...]
    updates: tuple[LowRankUpdate, ...]

    def weighted_sum(
        self,
        base: Checkpoint,
        name: str,
        weights: Floats,
        segments: Sequence[Segment],
        into: Wide,
    ) -> None:
        """Write the base with the weighted task vectors added.

        Args:
            base: the checkpoint that the task vectors are taken from.
            name: of the tensor.
            weights: shape [founders, blocks].
            segments: of the tensor.
            into: fp32 or fp64, of the tensor's shape; it is written.
        """
        left, right = self._weighted_factors(weights, segments, into.shape)
        change = np.empty((ROWS, right.shape[1]), np.float32)
        for start in range(0, len(into), ROWS):
            rows = into[start : start + ROWS]
            rows[...] = base.wide(name, start, start + len(rows))
            if self.founders:
                np.matmul(left[start : start + ROWS], right, out=change[: len(rows)])
                rows += change[: len(rows)]

    def _weighted_factors(
        self, weights: Floats, segments: Sequence[Segment], shape: Sequence[int]
    ) -> tuple[Wide, Wide]:
        """Two matrices whose product is the weighted sum of the task vectors."""
        if not self.founders:
            return np.empty((0, 0), np.float32), np.empty((0, 0), np.float32)
        lefts, rights = [], []
        by_row = segments[0].dim == 0
        for founder, update in zip(self.founders, self.updates, strict=True):
            # One coefficient for each row, or for each column.
            along = np.empty(shape[segments[0].dim], np.float32)
            for cut in segments:
                along[cut.start : cut.stop] = weights[founder, cut.block]
            along *= np.float32(update.scale)
            lefts.append(update.left * along[:, None] if by_row else update.left)
            rights.append(update.right if by_row else update.right * along)
        return np.concatenate(lefts, axis=1), np.concatenate(rights)

    def inner_products(self, gradient: Wide, segments: Sequence[Segment], products: Floats) -> None:
        """Add the inner products of the task vectors with a gradient, block by block.

        Args:
            gradient: by the tensor, fp32, shape [rows, columns].
            segments: of the tensor.
            products: fp64, shape [founders, blocks]; it is changed.
        """
        if not self.founders:
            return
        by_row = segments[0].dim == 0
        if by_row:
            small = gradient @ np.concatenate([update.right for update in self.updates]).T
        else:
            lefts = np.concatenate([update.left for update in self.updates], axis=1)
            small = (lefts.T @ gradient).T
        ranks = np.cumsum([len(update.right) for update in self.updates])[:-1]
        parts = np.split(small, ranks, axis=1)
        for founder, update, part in zip(self.founders, self.updates, parts, strict=True):
            factor = update.left if by_row else update.right.T
            along = np.einsum("ir,ir->i", part, factor, dtype=np.float64) * update.scale
            for cut in segments:
                products[founder, cut.block] += along[cut.start : cut.stop].sum()


def adapters_of(founders: Sequence[Checkpoint], base: int, name: str) -> Adapters | None:
    """The task vectors of a tensor, if each is low-rank or nothing; None if one is not.

    Args:
        founders: the checkpoints.
        base: the number of the one that task vectors are taken from.
        name: of the tensor.
    """
    changes = {
        number: low_rank_change(founder, founders[base], name)
        for number, founder in enumerate(founders)
        if number != base
    }
    if not founders[base].tensors[name].shape or None in changes.values():
        return None
    found = {n: change for n, change in changes.items() if isinstance(change, LowRankUpdate)}
    return Adapters(tuple(found), tuple(found.values()))
