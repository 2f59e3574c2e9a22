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

import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lineage.records import Floats
from population.models.blocks import Layout, Segment
from population.models.checkpoints import Checkpoint, weights_sha256
from population.models.dtypes import BF16, BY_NAME, F16, F32, F64, Dtype, Raw, narrow, to_torch
from population.weights.device_sums import Coefficients, DeviceFounders
from population.weights.genomes import Basis
from population.weights.low_rank import Adapters, adapters_of
from population.weights.sibling_kernel import addresses, inner_products, weighted_sums

KEEP_IN_MEMORY = 1 << 30
"""Founders that take less than this many bytes as fp32, all together, are read only once."""

KEEP_MAPPED = 2 << 30
"""Founders whose files take less than this many bytes, all together, stay mapped while models are
made; the system may take these pages back."""

SIBLINGS_IN_MEMORY = 2 << 30
"""Bytes of siblings that are made together, where nobody says how many may be."""

SLAB = 4 << 20
"""Elements of a tensor that are read and widened at a time, where it cannot be read as mapped."""

ROWS = 256
"""Slabs begin at multiples of so many rows: adapters compute that many together."""

State = dict[str, torch.Tensor]


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
        self._kept: dict[str, list[Raw]] | None = None
        if 4 * first.parameters * len(founders) <= KEEP_IN_MEMORY:
            self._kept = {}
        size = sum(header.size for header in first.tensors.values())
        self._release_files = size * len(founders) > KEEP_MAPPED
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
        del genome  # weights are linear in it
        header, first = self.founders[0].tensors[name], self.basis.base or 0
        if not header.dtype.floating:
            return
        segments = self.layout.segments[name]
        products = np.zeros((len(self.founders), len(self.layout.blocks)))
        if name in self._adapters:
            slope = by_tensor.detach().to(getattr(torch, self._dtype(name).name)).numpy()
            self._adapters[name].inner_products(slope, segments, products)
        elif self._device:
            self._device.inner_products(name, segments, by_tensor.detach(), first, products)
        else:
            for start, stop in slabs(header.shape, whole=self._mapped(name)):
                sources, wide = self._wide_sources(name, start, stop)
                part = by_tensor.detach()[start:stop] if header.shape else by_tensor.detach()
                inner_products(
                    addresses(sources),
                    np.ascontiguousarray(part.to(getattr(torch, wide.name)).numpy()).ravel(),
                    runs_of(header.shape, segments, start, stop),
                    first,
                    products,
                    np.empty(0, sources[0].dtype),
                )
            self._release(name)
        gradient += self.basis.gradient(products).reshape(gradient.shape)

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
            made = workers(self._threads).map(
                lambda name: self._merged_on_cpu(name, coefficients, used.get(name)), dtypes
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
            self._release(name)
            return [to_torch(target, dtype) for target in into]
        for start, stop in slabs(header.shape, whole=self._mapped(name)):
            sources, wide = self._wide_sources(name, start, stop)
            weighted_sums(
                addresses(sources),
                addresses([target[start:stop] if target.ndim else target for target in into]),
                sources[0].size,
                runs_of(header.shape, segments, start, stop),
                coefficients.weights.astype(wide),
                coefficients.alone,
                coefficients.first,
                np.empty(0, sources[0].dtype),
                np.empty(0, wide),
                np.empty(0, into[0].dtype),
            )
        self._release(name)
        return [to_torch(narrow(raw, dtype) if dtype is F16 else raw, dtype) for raw in into]

    def _release(self, name: str) -> None:
        if self._release_files:
            for founder in self.founders:
                founder.release(name)

    def _copied(self, name: str) -> torch.Tensor:
        tensor = self.founders[0].tensor(name)
        return self._device.place(tensor) if self._device else tensor

    def _mapped(self, name: str) -> bool:
        """Whether the loop can read a tensor as it lies in the founders' files."""
        dtypes = {founder.tensors[name].dtype for founder in self.founders}
        stored = all(founder.stores(name) for founder in self.founders)
        return stored and len(dtypes) == 1 and dtypes <= {BF16, F32}

    def _wide_sources(
        self, name: str, start: int, stop: int | None
    ) -> tuple[list[Raw], np.dtype[Any]]:
        """Rows of a tensor of every founder, as the loops read them, and what they compute in."""
        sources = self._sources(name, start, stop)
        wide = np.result_type(*[_wide_dtype(source) for source in sources])
        return [_widened(source, wide) for source in sources], wide

    def _sources(self, name: str, start: int, stop: int | None) -> list[Raw]:
        """Rows of a tensor of every founder, each in one piece."""
        if self._kept is None:
            return self._read(name, start, stop)
        if name not in self._kept:
            self._kept[name] = self._read(name, 0, None)
        return [rows[start:stop] if rows.ndim else rows for rows in self._kept[name]]

    def _read(self, name: str, start: int, stop: int | None) -> list[Raw]:
        if self._mapped(name):  # then all rows are asked for
            return [founder.raw(name) for founder in self.founders]
        return [np.ascontiguousarray(founder.wide(name, start, stop)) for founder in self.founders]


@cache
def workers(threads: int) -> ThreadPoolExecutor:
    """Threads that make tensors side by side: the loop lets go of the interpreter."""
    return ThreadPoolExecutor(threads, thread_name_prefix="weights")


# A forked process has no threads but its own.
os.register_at_fork(after_in_child=workers.cache_clear)


def computed(dtype: Dtype) -> Dtype:
    """The dtype that the loop writes; there is no fp16 in it."""
    return F32 if dtype is F16 else dtype


def _wide_dtype(source: Raw) -> np.dtype[Any]:
    return np.dtype(np.float64 if source.dtype == np.float64 else np.float32)


def _widened(source: Raw, wide: np.dtype[Any]) -> Raw:
    return source if source.dtype == np.uint16 else np.ascontiguousarray(source, wide)


def slabs(shape: Sequence[int], *, whole: bool) -> Iterator[tuple[int, int | None]]:
    """The rows of a tensor, a slab at a time; (0, None) for all of it."""
    if not shape or whole:
        yield 0, None
        return
    width = max(1, math.prod(shape[1:]))
    rows = max(ROWS, SLAB // width // ROWS * ROWS)
    for start in range(0, max(shape[0], 1), rows):
        yield start, min(shape[0], start + rows)


def runs_of(
    shape: Sequence[int], segments: Sequence[Segment], start: int, stop: int | None
) -> npt.NDArray[np.int64]:
    """Where the segments of some rows of a tensor lie, as runs of elements: (start, stop, block).

    Args:
        shape: of the tensor.
        segments: that make it up.
        start: the first row; elements are counted from there.
        stop: behind the last row; None for all of them.
    """
    runs = []
    rows = (shape[0] if stop is None else stop) - start if shape else 1
    for segment in segments:
        if not shape:
            runs.append(np.array([[0, 1, segment.block]]))
            continue
        inner = math.prod(shape[segment.dim + 1 :])
        first, last = segment.start, segment.stop
        if segment.dim == 0:
            first, last = max(first, start) - start, min(last, start + rows) - start
            if first >= last:
                continue
            begins = np.zeros(1, np.int64)
        else:
            outer = rows * math.prod(shape[1 : segment.dim])
            begins = np.arange(outer, dtype=np.int64) * (shape[segment.dim] * inner)
        blocks = np.full(len(begins), segment.block)
        runs.append(np.stack([begins + first * inner, begins + last * inner, blocks], axis=1))
    return np.concatenate(runs) if runs else np.empty((0, 3), np.int64)


def state_sha256(state: State) -> str:
    """The hash of weights in memory, see `weights_sha256`."""

    def tensors() -> Iterator[tuple[str, Dtype, Raw]]:
        for name in sorted(state):
            tensor = state[name].detach().cpu().contiguous()
            dtype = BY_NAME[str(tensor.dtype).removeprefix("torch.")]
            bits = tensor.view(torch.int16) if dtype.code == "BF16" else tensor
            yield name, dtype, bits.numpy()

    return weights_sha256(tensors())
