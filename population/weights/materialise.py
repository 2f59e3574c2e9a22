"""From recipes to weights: all siblings of a generation in one pass over the founders.

Every tensor is cut into segments (see `population.models.blocks`). A founder's part is read and
widened to fp32 once, its difference to the base's is taken once, and it is added to every sibling's
sum, in the order of the founders. Each product and each sum is rounded on its own, so the bits of a
model do not depend on which siblings were made beside it, on the number of threads, on the device,
or on how deep its ancestry is, and are those that `population.merging` makes from the same recipe.
Rounding to the founders' dtype happens once, at the end.

On a CPU a compiled loop does it (`sibling_kernel`), over tensors mapped from the founders' files
and on several threads; on an accelerator `device_sums` does, over founders that stay there.

The way back is as simple, since weights are linear in a genome: the gradient of anything by the
coefficient of a task vector in a block is the inner product of that task vector with the gradient
by the weights of the block (AdaMerging, Yang et al. 2024, arXiv 2310.02575; aTLAS, Zhang et al.
2024, arXiv 2407.02880). So no graph over founders is kept, and any network will do.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import numpy as np
import torch

from lineage.records import Floats
from population.models.blocks import Layout
from population.models.checkpoints import Checkpoint, weights_sha256
from population.models.dtypes import BY_NAME, F16, F32, F64, Dtype, Raw, narrow, to_torch
from population.weights.device_sums import Coefficients, DeviceFounders
from population.weights.founder_rows import FounderRows
from population.weights.genomes import Basis
from population.weights.low_rank import Adapters, adapters_of
from population.weights.sibling_kernel import addresses, inner_products, weighted_sums

SIBLINGS_IN_MEMORY = 2 << 30
"""Bytes of siblings that are made together, where nobody says how many may be."""

State = dict[str, torch.Tensor]

S = TypeVar("S")
T = TypeVar("T")


class Materialiser:
    """Makes weights from genomes over fixed founders.

    Args:
        founders: compatible checkpoints, in the order of the basis.
        basis: what the rows of a genome mean.
        layout: what its columns mean.
        batch: how many siblings may be made together.
        device: where siblings are made and left.
        threads: that make tensors side by side on a CPU; by default one for each core.
        rounded: whether they are rounded to the founders' dtype; otherwise they stay in fp32 (fp64
            where founders are stored so).
        factored: whether task vectors of adapters stay factors, for unrounded weights that nobody
            has to make again: last bits are others, see `low_rank`.
    """

    def __init__(
        self,
        founders: Sequence[Checkpoint],
        basis: Basis,
        layout: Layout,
        batch: int | None = None,
        device: torch.device | None = None,
        *,
        threads: int | None = None,
        rounded: bool = True,
        factored: bool = False,
    ) -> None:
        self.founders = founders
        self.basis = basis
        self.layout = layout
        self._rounded = rounded
        first = founders[0]
        self._device = None
        if device is not None and device.type != "cpu":
            self._device = DeviceFounders(founders, layout.segments, device)
        self._threads = threads or os.cpu_count() or 1
        self._adapters: dict[str, Adapters] = {}
        if factored and self._device is None and basis.base is not None:
            found = {name: adapters_of(founders, basis.base, name) for name in first.tensors}
            self._adapters = {name: one for name, one in found.items() if one is not None}
        self._rows = FounderRows(founders, layout)
        size = sum(header.size for header in first.tensors.values())
        self.batch = batch or max(1, SIBLINGS_IN_MEMORY // max(size, 1))
        """How many siblings fit into memory together."""

    def siblings(self, genomes: Sequence[Floats]) -> Iterator[State]:
        """The weights for each genome, in order.

        At most `batch` are made at a time; each should be dropped before the next is taken.

        Args:
            genomes: shape [vectors, blocks] or [vectors * blocks] each.
        """
        for start in range(0, len(genomes), self.batch):
            states = self._together(genomes[start : start + self.batch])
            while states:  # who is taken is not kept here
                yield states.pop(0)

    def one(self, genome: Floats, into: State | None = None) -> State:
        """The weights for one genome of shape [vectors, blocks] or [vectors * blocks].

        Args:
            genome: what to make.
            into: weights made here before that nobody needs any more, or an empty dictionary; it
                becomes the result. On a CPU memory is used again, which would take as long to get
                as the weights to make.
        """
        if into is None:
            return next(self.siblings([genome]))
        into.update(self._together([genome], into)[0])
        return into

    def tensor(self, genome: Floats, name: str) -> torch.Tensor:
        """One tensor of a genome of shape [vectors, blocks]; no other is computed."""
        return self._merged([name], self._coefficients([genome]))[0][name]

    def add_gradient(
        self, genome: Floats, name: str, by_tensor: torch.Tensor, gradient: Floats
    ) -> None:
        """Add what one tensor gives to the gradient by a genome (of something, by the chain rule).

        Args:
            genome: shape [vectors, blocks] or [vectors * blocks].
            name: of the tensor; one that is only copied gives nothing.
            by_tensor: the gradient by its elements, of its shape.
            gradient: by the genome, of its shape; it is changed.
        """
        self.add_gradients(genome, [(name, by_tensor)], gradient)

    def add_gradients(
        self, genome: Floats, by_tensors: Iterable[tuple[str, torch.Tensor]], gradient: Floats
    ) -> None:
        """As `add_gradient`, of several tensors side by side; they are added in their order."""
        slopes = side_by_side(
            lambda one: self._slope(genome, one[0], one[1].detach()),
            [one for one in by_tensors if self.founders[0].tensors[one[0]].dtype.floating],
            self._threads,
        )
        for slope in slopes:
            self._add_slope(slope, gradient)

    def _add_slope(self, slope: Floats, gradient: Floats) -> None:
        """Add the gradient by coefficients, shape [vectors, blocks], to one by a genome."""
        gradient += slope.reshape(gradient.shape)

    def _slope(self, genome: Floats, name: str, by_tensor: torch.Tensor) -> Floats:
        """The gradient by coefficients, shape [vectors, blocks], through one tensor."""
        del genome  # weights are linear in it
        first, segments = self.basis.base or 0, self.layout.segments[name]
        products = np.zeros((len(self.founders), len(self.layout.blocks)))
        if name in self._adapters:
            slope = by_tensor.to(getattr(torch, self._dtype(name).name)).numpy()
            self._adapters[name].inner_products(slope, segments, products)
        elif self._device:
            self._device.inner_products(name, segments, by_tensor, first, products)
        else:
            for slab in self._rows.slabs(name):
                part = by_tensor[slab.rows].to(getattr(torch, slab.wide.name))
                inner_products(
                    slab.addresses,
                    np.ascontiguousarray(part.numpy()).ravel(),
                    slab.runs,
                    first,
                    products,
                    slab.like,
                )
        return self.basis.gradient(products)

    def _together(self, genomes: Sequence[Floats], into: State | None = None) -> list[State]:
        """All siblings, or a single one where another was, see `one`."""
        return self._merged(list(self.founders[0].tensors), self._coefficients(genomes), into)

    def _coefficients(self, genomes: Sequence[Floats]) -> Coefficients:
        shape, base = (len(self.basis.vectors), len(self.layout.blocks)), self.basis.base or 0
        weights = np.stack([self.basis.weights(genome.reshape(shape)) for genome in genomes])
        # Who has one founder's task vector whole, and no other's, is that founder.
        others = np.delete(weights, base, axis=1).astype(np.float32)
        single = (others != 0).sum(axis=1) == 1
        whole = np.abs(weights - 1) < 1e-14
        whole[:, base] = False
        alone = np.where(single & whole.any(axis=1), whole.argmax(axis=1), -1)
        return Coefficients(weights, alone, base)

    def _merged(
        self, names: Sequence[str], coefficients: Coefficients, into: State | None = None
    ) -> list[State]:
        """Some tensors of every sibling; of a single one perhaps where others were."""
        headers = self.founders[0].tensors
        dtypes = {name: self._dtype(name) for name in names if headers[name].dtype.floating}
        if self._device:
            states = self._device.siblings(dtypes, coefficients)
        else:
            used = into or {}
            made = side_by_side(
                lambda name: self._merged_on_cpu(name, coefficients, used.get(name)),
                dtypes,
                self._threads,
            )
            states = [{} for _ in range(len(coefficients))]
            for name, tensors in zip(dtypes, made, strict=True):
                for state, tensor in zip(states, tensors, strict=True):
                    state[name] = tensor
        for name in set(names) - set(dtypes):
            copied = self._copied(name)
            for state in states:
                state[name] = copied
        return states

    def _dtype(self, name: str) -> Dtype:
        """Of a tensor of the siblings."""
        stored = self.founders[0].tensors[name].dtype
        if self._rounded:
            return stored
        return F64 if stored is F64 else F32

    def _merged_on_cpu(
        self, name: str, coefficients: Coefficients, used: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """One tensor of every sibling; of a single one where an unrounded one was, if there is."""
        header, dtype = self.founders[0].tensors[name], self._dtype(name)
        segments = self.layout.segments[name]
        if used is not None and dtype in {F32, F64}:
            into = [used.numpy()]
        else:
            into = [np.empty(header.shape, computed(dtype).raw) for _ in range(len(coefficients))]
        if name in self._adapters:
            base = self.founders[coefficients.first]
            for target, weights in zip(into, coefficients.weights, strict=True):
                self._adapters[name].weighted_sum(base, name, weights, segments, target)
            self._rows.release(name)
            return [to_torch(target, dtype) for target in into]
        for slab in self._rows.slabs(name):
            weighted_sums(
                slab.addresses,
                addresses([target[slab.rows] for target in into]),
                slab.size,
                slab.runs,
                coefficients.weights_in(slab.wide),
                coefficients.alone,
                coefficients.first,
                slab.like,
                np.empty(0, slab.wide),
                np.empty(0, into[0].dtype),
            )
        return [to_torch(narrow(raw, dtype) if dtype is F16 else raw, dtype) for raw in into]

    def _copied(self, name: str) -> torch.Tensor:
        tensor = self.founders[0].tensor(name)
        return self._device.place(tensor) if self._device else tensor


@cache
def workers(threads: int) -> ThreadPoolExecutor:
    """Threads that make tensors side by side: the loop lets go of the interpreter."""
    return ThreadPoolExecutor(threads, thread_name_prefix="weights")


def side_by_side(work: Callable[[S], T], tensors: Iterable[S], threads: int) -> Iterator[T]:
    """The results of some work on tensors, in their order."""
    return workers(threads).map(work, tensors) if threads > 1 else map(work, tensors)


# A forked process has no threads but its own.
os.register_at_fork(after_in_child=workers.cache_clear)


def computed(dtype: Dtype) -> Dtype:
    """The dtype that the loop writes; there is no fp16 in it."""
    return F32 if dtype is F16 else dtype


def state_sha256(state: State) -> str:
    """The hash of weights in memory, see `weights_sha256`."""

    def tensors() -> Iterator[tuple[str, Dtype, Raw]]:
        for name in sorted(state):
            tensor = state[name].detach().cpu().contiguous()
            dtype = BY_NAME[str(tensor.dtype).removeprefix("torch.")]
            bits = tensor.view(torch.int16) if dtype.code == "BF16" else tensor
            yield name, dtype, bits.numpy()

    return weights_sha256(tensors())
