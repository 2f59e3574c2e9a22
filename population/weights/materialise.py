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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import cache, partial
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from lineage.records import Floats
from population.models.blocks import Layout
from population.models.checkpoints import Checkpoint, weights_sha256
from population.models.dtypes import BY_NAME, F16, F32, F64, Dtype, Raw, narrow, to_torch
from population.weights.bundles import Bundle, bundled
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
        self._bundles: dict[tuple[str, ...], tuple[list[Bundle], list[int]]] = {}
        size = sum(header.size for header in first.tensors.values())
        self.batch = batch or max(1, SIBLINGS_IN_MEMORY // max(size, 1))
        """How many siblings fit into memory together."""

    def in_one_thread(self) -> Self:
        """The same, for callers that work side by side themselves."""
        own = copy(self)
        own._threads, own._bundles = 1, {}
        return own

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
        headers = self.founders[0].tensors
        floating = [(name, by.detach()) for name, by in by_tensors if headers[name].dtype.floating]
        for slope, blocks in self._slopes(genome, floating):
            self._add_slope(slope, blocks, gradient)

    def _add_slope(self, slope: Floats, blocks: slice, gradient: Floats) -> None:
        """Add the gradient by some coefficients, shape [vectors, blocks], to one by a genome."""
        gradient.reshape(len(self.basis.vectors), -1)[:, blocks] += slope

    def _slopes(
        self, genome: Floats, by_tensors: Sequence[tuple[str, torch.Tensor]]
    ) -> Iterable[tuple[Floats, slice]]:
        """For each tensor a gradient by coefficients, and the blocks that these are of."""
        bundles, single = self._bundles_of([name for name, _ in by_tensors])

        def of_bundle(bundle: Bundle) -> list[tuple[Floats, slice]]:
            wide = bundle.slabs[0].wide
            gradients = [contiguous(by_tensors[place][1], wide) for place in bundle.places]
            found = bundle.inner_products(gradients, self.basis.base or 0)
            return [(self.basis.gradient(products), blocks) for blocks, products in found]

        def of_one(place: int) -> list[tuple[Floats, slice]]:
            return [(self._slope(genome, *by_tensors[place]), slice(None))]

        return self._by_bundles(of_bundle, of_one, bundles, single)

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
                inner_products(
                    slab.addresses,
                    contiguous(by_tensor[slab.rows], slab.wide).ravel(),
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
            states = [{} for _ in range(len(coefficients))]
            for name, tensors in zip(dtypes, self._made(dtypes, coefficients, into), strict=True):
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

    def _made(
        self, dtypes: Mapping[str, Dtype], coefficients: Coefficients, into: State | None
    ) -> Iterable[list[torch.Tensor]]:
        """Each tensor of every sibling, made on a CPU."""
        names, used = list(dtypes), into or {}
        bundles, single = self._bundles_of(names)

        def of_bundle(bundle: Bundle) -> list[list[torch.Tensor]]:
            own = [names[place] for place in bundle.places]
            targets = [self._targets(name, len(coefficients), used.get(name)) for name in own]
            bundle.weighted_sums(targets, coefficients)
            return [
                [finished(target, dtypes[name]) for target in of_name]
                for name, of_name in zip(own, targets, strict=True)
            ]

        def of_one(place: int) -> list[list[torch.Tensor]]:
            name = names[place]
            return [self._merged_on_cpu(name, coefficients, used.get(name))]

        return self._by_bundles(of_bundle, of_one, bundles, single)

    def _by_bundles(
        self,
        of_bundle: Callable[[Bundle], list[T]],
        of_one: Callable[[int], list[T]],
        bundles: Sequence[Bundle],
        single: Sequence[int],
    ) -> list[T]:
        """What is made of tensors, in their order, in bundles and one by one."""
        jobs = [
            *(partial(of_bundle, one) for one in bundles),
            *(partial(of_one, n) for n in single),
        ]
        places = [*(one.places for one in bundles), *((place,) for place in single)]
        made: dict[int, T] = {}
        for own, results in zip(places, side_by_side(_call, jobs, self._threads), strict=True):
            made.update(zip(own, results, strict=True))
        return [made[place] for place in range(len(made))]

    def _bundles_of(self, names: Sequence[str]) -> tuple[Sequence[Bundle], Sequence[int]]:
        """Bundles of tensors, and the places of those that are in none."""
        key = tuple(names)
        if key not in self._bundles:
            plain = [n for n in range(len(names)) if names[n] not in self._adapters]
            slabs = {n: self._rows.whole(names[n]) for n in plain if not self._device}
            kept = {n: slab for n, slab in slabs.items() if slab is not None}
            dtypes = [self._dtype(names[n]).name for n in kept]
            found = [
                Bundle(tuple(list(kept)[place] for place in one.places), one.slabs)
                for one in bundled(list(kept.values()), dtypes, self._threads)
            ]
            self._bundles[key] = found, [n for n in range(len(names)) if n not in kept]
        return self._bundles[key]

    def _targets(self, name: str, count: int, used: torch.Tensor | None = None) -> list[Raw]:
        """Where a tensor of so many siblings is written; of a single one where another was."""
        dtype = self._dtype(name)
        if used is not None and dtype in {F32, F64}:
            return [used.numpy()]
        shape = self.founders[0].tensors[name].shape
        return [np.empty(shape, computed(dtype).raw) for _ in range(count)]

    def _merged_on_cpu(
        self, name: str, coefficients: Coefficients, used: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """One tensor of every sibling; of a single one where an unrounded one was, if there is."""
        dtype, segments = self._dtype(name), self.layout.segments[name]
        into = self._targets(name, len(coefficients), used)
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
        return [finished(raw, dtype) for raw in into]

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


def _call(job: Callable[[], T]) -> T:
    return job()


def contiguous(tensor: torch.Tensor, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """A tensor as an array of a dtype, in one piece."""
    return np.ascontiguousarray(tensor.to(getattr(torch, dtype.name)).numpy())


def finished(raw: Raw, dtype: Dtype) -> torch.Tensor:
    """What the loop wrote, as a tensor."""
    return to_torch(narrow(raw, dtype) if dtype is F16 else raw, dtype)


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
