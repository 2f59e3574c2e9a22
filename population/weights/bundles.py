"""Bundles: small tensors that one call of a loop works through.

To begin a loop for a tensor of a small model takes as long as the loop, and only one thread can
begin at a time. What is computed, in which order, and so every bit, is as tensor by tensor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lineage.records import Floats
from population.models.dtypes import Raw
from population.weights.device_sums import Coefficients
from population.weights.founder_rows import Runs, Slab
from population.weights.sibling_kernel import (
    addresses,
    inner_products_of_several,
    weighted_sums_of_several,
)

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bundle:
    """Tensors of all founders, each in one slab, whose dtypes and those of siblings are the same.

    Attributes:
        places: of the tensors among those that are worked on.
        slabs: of each tensor, all of its rows.
    """

    places: tuple[int, ...]
    slabs: tuple[Slab, ...]

    def weighted_sums(self, into: Sequence[Sequence[Raw]], coefficients: Coefficients) -> None:
        """Write the tensors of all siblings, see `sibling_kernel.weighted_sums`.

        Args:
            into: for each tensor, where those of the siblings are written; all of one dtype.
            coefficients: of the siblings.
        """
        wide = self.slabs[0].wide
        weighted_sums_of_several(
            self._sources,
            np.stack([addresses(list(targets)) for targets in into]),
            self._sizes,
            self._runs,
            self._ends,
            coefficients.weights_in(wide),
            coefficients.alone,
            coefficients.first,
            self.slabs[0].like,
            np.empty(0, wide),
            np.empty(0, into[0][0].dtype),
        )

    def inner_products(
        self, gradients: Sequence[npt.NDArray[Any]], first: int
    ) -> list[tuple[slice, Floats]]:
        """See `sibling_kernel.inner_products`.

        Args:
            gradients: by each tensor, C-contiguous, of the dtype that sums are computed in.
            first: the founder that differences are taken to.

        Returns:
            For each tensor the blocks that it may lie in, and its products with the founders there,
            shape (founders, blocks).
        """
        founders, widths = self._sources.shape[1], self._widths
        places = np.concatenate([[0], np.cumsum(founders * widths)])
        products = np.zeros(places[-1])
        inner_products_of_several(
            self._sources,
            addresses(list(gradients)),
            self._sizes,
            self._runs,
            self._ends,
            first,
            products,
            places,
            self._lowest,
            self.slabs[0].like,
            np.empty(0, self.slabs[0].wide),
        )
        return [
            (slice(low, low + width), products[start:stop].reshape(founders, width))
            for low, width, start, stop in zip(
                self._lowest.tolist(), widths.tolist(), places[:-1], places[1:], strict=True
            )
        ]

    @cached_property
    def _sources(self) -> Integers:
        return np.stack([slab.addresses for slab in self.slabs])

    @cached_property
    def _sizes(self) -> Integers:
        return np.array([slab.size for slab in self.slabs])

    @cached_property
    def _runs(self) -> Runs:
        return np.concatenate([slab.runs for slab in self.slabs])

    @cached_property
    def _ends(self) -> Integers:
        """Where the runs of each tensor begin and, behind the last, end: shape (tensors + 1,)."""
        return np.cumsum([0, *(len(slab.runs) for slab in self.slabs)])

    @cached_property
    def _lowest(self) -> Integers:
        """The first block of each tensor."""
        return np.array([slab.runs[:, 2].min() for slab in self.slabs])

    @cached_property
    def _widths(self) -> Integers:
        highest = np.array([slab.runs[:, 2].max() for slab in self.slabs])
        return np.asarray(highest - self._lowest + 1)


def bundled(slabs: Sequence[Slab], dtypes: Sequence[str], shares: int) -> list[Bundle]:
    """Bundles of tensors, about as much work in each, as many for each dtype as shares.

    Args:
        slabs: of each tensor, all of its rows.
        dtypes: of each tensor of siblings.
        shares: of those who work side by side.
    """
    by_dtype: dict[tuple[np.dtype[Any], np.dtype[Any], str], list[int]] = {}
    for place, (slab, dtype) in enumerate(zip(slabs, dtypes, strict=True)):
        by_dtype.setdefault((slab.like.dtype, slab.wide, dtype), []).append(place)
    bundles = []
    for places in by_dtype.values():
        found: list[list[int]] = [[] for _ in range(shares)]
        work = [0] * shares
        for place in sorted(places, key=lambda place: -slabs[place].size):
            least = work.index(min(work))
            found[least].append(place)
            work[least] += slabs[place].size
        bundles += [Bundle(tuple(own), tuple(slabs[p] for p in own)) for own in found if own]
    return bundles
