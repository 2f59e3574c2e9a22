"""From genomes of several methods to weights: task vectors are sparsified, and then added up.

The counterpart of `population.weights.materialise` for genomes of `MethodSpace`. Regions that are
merged linearly have the bits that they have there; the others have those that the merge engine
makes by TIES, DARE, DELLA, breadcrumbs or SCE of the same weights, densities and seed. What is kept
of a task vector is found out once (`sparse_vectors`), so a sibling costs one pass over the
founders.

Given masks and elected signs, weights are linear in the coefficients, or a quotient of two linear
functions where they are normalised. So they have a gradient almost everywhere.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lineage.records import Floats
from population.bred_methods import LINEAR, SCE
from population.evolution.spaces.methods import MethodSpace, RegionMethod
from population.evolution.spaces.space import Booleans
from population.merging.methods.sce import taking_part
from population.merging.methods.task_vectors import divisor_of
from population.models.blocks import Layout
from population.models.checkpoints import Checkpoint
from population.weights.device_sums import Coefficients
from population.weights.genomes import Basis
from population.weights.materialise import (
    Materialiser,
    State,
    computed,
    contiguous,
    finished,
    side_by_side,
)
from population.weights.method_settings import selected_share, task_vector_method
from population.weights.sibling_kernel import (
    ALL_KEPT,
    addresses,
    sparse_products,
    sparse_sums,
)
from population.weights.sparse_vectors import (
    WHOLE,
    SparseVectors,
    Sparsified,
)

Numbers = npt.NDArray[Any]
"""Of the dtype that sums are computed in."""


class MethodMaterialiser(Materialiser):
    """Makes weights from genomes of a `MethodSpace` over fixed founders with a base.

    It computes on the CPU; on another device weights are only put.

    Args:
        founders: compatible checkpoints, in the order of the basis.
        basis: what the rows of coefficients mean; with a base.
        layout: what their columns mean.
        space: what genomes mean.
        batch: how many siblings may be made together.
        device: where siblings are left.
        threads: that make tensors side by side.
        rounded: whether siblings are rounded to the founders' dtype.
        sparse: the sparsified task vectors of these founders, to share masks with others.
    """

    def __init__(
        self,
        founders: Sequence[Checkpoint],
        basis: Basis,
        layout: Layout,
        space: MethodSpace,
        batch: int | None = None,
        device: torch.device | None = None,
        *,
        threads: int | None = None,
        rounded: bool = True,
        sparse: SparseVectors | None = None,
    ) -> None:
        super().__init__(founders, basis, layout, batch, threads=threads, rounded=rounded)
        self.space = space
        self._left_on = device or torch.device("cpu")
        self._sparse = sparse or SparseVectors(founders, basis)
        self._region = {
            name: int(space.regions[segments[0].block])
            for name, segments in layout.segments.items()
        }

    def _together(self, genomes: Sequence[Floats], into: State | None = None) -> list[State]:
        del into  # masks take more time than memory does
        coefficients = [self.space.coefficients(genome) for genome in genomes]
        regions = [self.space.region_methods(genome) for genome in genomes]
        linear = self._coefficients(coefficients)
        headers = self.founders[0].tensors

        def made(name: str) -> list[torch.Tensor]:
            if not headers[name].dtype.floating:
                return [self._copied(name)] * len(genomes)
            own = [of_model[self._region[name]] for of_model in regions]
            rows = [row for row, one in enumerate(own) if one.method == LINEAR]
            plain = iter(self._merged_on_cpu(name, _rows(linear, rows)) if rows else ())
            return [
                next(plain) if one.method == LINEAR else self._by_method(name, one, values)
                for one, values in zip(own, coefficients, strict=True)
            ]

        states: list[State] = [{} for _ in genomes]
        for name, tensors in zip(headers, side_by_side(made, headers, self._threads), strict=True):
            for state, tensor in zip(states, tensors, strict=True):
                state[name] = tensor.to(self._left_on)
        return states

    def _add_slope(self, slope: Floats, blocks: slice, gradient: Floats) -> None:
        self.space.coefficients(gradient)[:, blocks] += slope

    def _slopes(
        self, genome: Floats, by_tensors: Sequence[tuple[str, torch.Tensor]]
    ) -> Iterable[tuple[Floats, slice]]:
        slopes = side_by_side(lambda one: self._slope(genome, *one), by_tensors, self._threads)
        return ((slope, slice(None)) for slope in slopes)

    def _slope(self, genome: Floats, name: str, by_tensor: torch.Tensor) -> Floats:
        """Masks, and signs that were elected, count as given. Genes of the structure have none."""
        how = self.space.region_methods(genome)[self._region[name]]
        by_tensor = by_tensor.cpu()
        if how.method == LINEAR:
            return super()._slope(genome, name, by_tensor)
        merge = self._merge(name, how, self.space.coefficients(genome))
        products = np.zeros((len(self.founders), len(self.layout.blocks)))
        columns = math.prod(self.founders[0].tensors[name].shape[1:])
        for slab in self._rows.slabs(name):
            sparse_products(
                slab.addresses,
                *merge.kept(slab.start * columns, slab.wide),
                contiguous(by_tensor[slab.rows], slab.wide).ravel(),
                slab.runs,
                *merge.summed(slab.wide),
                products,
                slab.like,
            )
        rows = list(self.basis.vectors)
        return np.asarray(products[rows] * merge.energies[rows, None])

    def _by_method(self, name: str, how: RegionMethod, coefficients: Floats) -> torch.Tensor:
        """One tensor of one sibling."""
        header, dtype = self.founders[0].tensors[name], self._dtype(name)
        merge = self._merge(name, how, coefficients)
        into = np.empty(header.shape, computed(dtype).raw)
        columns = math.prod(header.shape[1:])
        for slab in self._rows.slabs(name):
            sparse_sums(
                slab.addresses,
                *merge.kept(slab.start * columns, slab.wide),
                addresses([into[slab.rows]])[0],
                slab.size,
                slab.runs,
                *merge.summed(slab.wide),
                slab.like,
                np.empty(0, slab.wide),
                np.empty(0, into.dtype),
            )
        return finished(into, dtype)

    def _merge(self, name: str, how: RegionMethod, coefficients: Floats) -> "_SparseMerge":
        if how.method == SCE:
            return self._selecting_merge(name, how, coefficients)
        founders, blocks = len(self.founders), len(self.layout.blocks)
        first = self.basis.base or 0
        sparse = {
            founder: self._sparse.of(name, row, how.method, density, how.seed)
            for row, (founder, density) in enumerate(
                zip(self.basis.vectors, how.densities, strict=True)
            )
        }
        weights, divisors = np.zeros((founders, blocks)), np.ones(blocks)
        weights[list(self.basis.vectors)] = coefficients
        quotients = np.full(blocks, how.normalize)
        elects = task_vector_method(how.method).votes
        if how.normalize and not elects:
            for block in {segment.block for segment in self.layout.segments[name]}:
                own = coefficients[:, block].tolist()
                divisors[block] = divisor_of(own, normalize=True)
                quotients[block] = divisors[block] == sum(own)
        return _SparseMerge(sparse, weights, np.ones(founders), divisors, quotients, elects, first)

    def _selecting_merge(
        self, name: str, how: RegionMethod, coefficients: Floats
    ) -> "_SparseMerge":
        """A merge by SCE, which selects elements of all task vectors together."""
        founders, blocks = len(self.founders), len(self.layout.blocks)
        here = [segment.block for segment in self.layout.segments[name]]
        taking = taking_part(coefficients[:, here].T.tolist())
        weights, energies = np.zeros((founders, blocks)), np.ones(founders)
        sparse = {}
        if taking:
            found = self._sparse.selected(name, taking, selected_share(how.densities))
            rows = list(self.basis.vectors)
            weights[rows], energies[rows] = coefficients, found.energies
            sparse = dict.fromkeys(rows, Sparsified(found.kept, 1.0))
        return _SparseMerge(
            sparse,
            weights,
            energies,
            np.ones(blocks),
            np.ones(blocks, bool),
            elects=True,
            first=self.basis.base or 0,
        )


@dataclass(frozen=True)
class _SparseMerge:
    """How a tensor of a sibling is merged; see `sparse_sums`.

    Attributes:
        sparse: what is left of each task vector, by founder.
        weights: shape (founders, blocks).
        energies: shape (founders,): with its weight, how much a founder counts in the sum.
        divisors: shape (blocks,).
        quotients: shape (blocks,).
        elects: whether signs are elected.
        first: the base.
    """

    sparse: Mapping[int, Sparsified]
    weights: Floats
    energies: Floats
    divisors: Floats
    quotients: Booleans
    elects: bool
    first: int

    def kept(self, start: int, wide: np.dtype[Any]) -> tuple[npt.NDArray[np.int64], Numbers]:
        """What `sparse_sums` takes as masks and factors, shape (founders,) each.

        Args:
            start: the element that masks are wanted from.
            wide: the dtype that sums are computed in.
        """
        parts = [self._of(founder) for founder in range(len(self.weights))]
        masks = [ALL_KEPT if p.kept is None else addresses([p.kept])[0] + start for p in parts]
        return np.array(masks, np.int64), np.array([part.factor for part in parts], wide)

    def summed(self, wide: np.dtype[Any]) -> tuple[Numbers, Numbers, Numbers, bool, Booleans, int]:
        """What `sparse_sums` takes from `weights` to `first`, in a dtype."""
        shares = (self.weights * self.energies[:, None]).astype(wide)
        weights, divisors = self.weights.astype(wide), self.divisors.astype(wide)
        return weights, shares, divisors, self.elects, self.quotients, self.first

    def _of(self, founder: int) -> Sparsified:
        return self.sparse.get(founder, WHOLE)


def _rows(coefficients: Coefficients, rows: Sequence[int]) -> Coefficients:
    """Those of some siblings."""
    return replace(coefficients, weights=coefficients.weights[rows], alone=coefficients.alone[rows])
