"""What the loops of `sibling_kernel` read: rows of a tensor of every founder, and their blocks.

Where founders are small they are read once, and all that does not depend on a genome is kept: to
find it again takes longer than to make a small tensor, and holds the interpreter's lock meanwhile.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import EllipsisType
from typing import Any

import numpy as np
import numpy.typing as npt

from population.models.blocks import Layout, Segment
from population.models.checkpoints import Checkpoint
from population.models.dtypes import BF16, F32, Raw
from population.weights.sibling_kernel import addresses

KEEP_IN_MEMORY = 1 << 30
"""Founders that take less than this many bytes as fp32, all together, are read only once."""

KEEP_MAPPED = 2 << 30
"""Founders whose files take less than this many bytes, all together, stay mapped while models are
made; the system may take these pages back."""

SLAB = 4 << 20
"""Elements of a tensor that are read and widened at a time, where it cannot be read as mapped."""

ROWS = 256
"""Slabs begin at multiples of so many rows: adapters compute that many together."""

Runs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Slab:
    """Rows of a tensor of every founder, each in one piece.

    Attributes:
        start: the first row.
        stop: behind the last row; None for all of them, or for a scalar.
        arrays: of every founder, C-contiguous; uint16 is bf16.
        wide: the dtype that sums are computed in.
        runs: where the segments lie, see `runs_of`.
    """

    start: int
    stop: int | None
    arrays: Sequence[Raw]
    wide: np.dtype[Any]
    runs: Runs

    @cached_property
    def addresses(self) -> npt.NDArray[np.int64]:
        """Of the arrays: shape (founders,)."""
        return addresses(list(self.arrays))

    @cached_property
    def like(self) -> npt.NDArray[Any]:
        """An empty array of the stored dtype."""
        return np.empty(0, self.arrays[0].dtype)

    @property
    def size(self) -> int:
        """Elements of each array."""
        return self.arrays[0].size

    @property
    def rows(self) -> slice | EllipsisType:
        """Index of the same rows of another tensor."""
        return slice(self.start, self.stop) if self.arrays[0].ndim else ...


class FounderRows:
    """Reads tensors of all founders, a slab at a time.

    Args:
        founders: compatible checkpoints.
        layout: that cuts them into blocks.
    """

    def __init__(self, founders: Sequence[Checkpoint], layout: Layout) -> None:
        self._founders, self._layout = founders, layout
        self._kept: dict[str, list[Slab]] | None = None
        if 4 * founders[0].parameters * len(founders) <= KEEP_IN_MEMORY:
            self._kept = {}
        size = sum(header.size for header in founders[0].tensors.values())
        self._release_files = size * len(founders) > KEEP_MAPPED

    def slabs(self, name: str) -> Iterator[Slab]:
        """A tensor of every founder; who drops each before taking the next needs memory for one."""
        if self._kept is None:
            yield from self._read(name)
            self.release(name)
            return
        if name not in self._kept:
            self._kept[name] = list(self._read(name))
        yield from self._kept[name]

    def whole(self, name: str) -> Slab | None:
        """All rows of a tensor of every founder, if they are kept in one piece."""
        if self._kept is None:
            return None
        slabs = list(self.slabs(name))
        return slabs[0] if len(slabs) == 1 and len(slabs[0].runs) else None

    def release(self, name: str) -> None:
        """Free the memory of a mapped tensor, where the founders' files are large."""
        if self._release_files:
            for founder in self._founders:
                founder.release(name)

    def _read(self, name: str) -> Iterator[Slab]:
        shape, segments = self._founders[0].tensors[name].shape, self._layout.segments[name]
        mapped = self._is_mapped(name)
        for start, stop in slabs(shape, whole=mapped):
            if mapped:
                stored = [founder.raw(name) for founder in self._founders]
            else:
                stored = [founder.wide(name, start, stop) for founder in self._founders]
            wide = np.result_type(*[_wide_dtype(source) for source in stored])
            arrays = [_widened(source, wide) for source in stored]
            yield Slab(start, stop, arrays, wide, runs_of(shape, segments, start, stop))

    def _is_mapped(self, name: str) -> bool:
        """Whether the loop can read a tensor as it lies in the founders' files."""
        dtypes = {founder.tensors[name].dtype for founder in self._founders}
        stored = all(founder.stores(name) for founder in self._founders)
        return stored and len(dtypes) == 1 and dtypes <= {BF16, F32}


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
