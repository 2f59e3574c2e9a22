"""From recipes to weights: all siblings of a generation in one pass over the founders.

Every tensor is cut into segments (see `population.models.blocks`) and those into chunks small
enough to stay in cache. A founder's chunk is read and widened to fp32 once, its difference to the
base's is taken once, and it is added to every sibling's accumulator, in the order of the founders.
Each product and each sum is rounded on its own, so the bits of a model do not depend on which
siblings were made beside it, on the number of threads, or on how deep its ancestry is, and are
those that `population.merging` makes from the same recipe. Rounding to the founders' dtype happens
once, at the end.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from lineage.records import Floats
from population.models.blocks import Layout, Segment
from population.models.checkpoints import Checkpoint, weights_sha256
from population.models.dtypes import BY_NAME, Dtype, Raw
from population.weights.genomes import Basis

CHUNK = 256 * 1024
"""Elements per chunk: an fp32 accumulator of 1 MiB stays in the second-level cache."""

KEEP_IN_MEMORY = 1 << 30
"""Founders that take less than this many bytes as fp32, all together, are widened only once."""

SIBLINGS_IN_MEMORY = 2 << 30
"""Bytes of siblings that are made together, where nobody says how many may be."""

SLAB = 4 << 20
"""Elements of a tensor that are read and widened at a time."""

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
    """

    def __init__(
        self,
        founders: Sequence[Checkpoint],
        basis: Basis,
        layout: Layout,
        batch: int | None = None,
    ) -> None:
        self.founders = founders
        self.basis = basis
        self.layout = layout
        first = founders[0]
        self._widened: dict[str, list[torch.Tensor]] | None = None
        if 4 * first.parameters * len(founders) <= KEEP_IN_MEMORY:
            self._widened = {name: self._read(name, 0, None) for name in first.tensors}
        size = sum(header.size for header in first.tensors.values())
        self.batch = batch or max(1, SIBLINGS_IN_MEMORY // max(size, 1))
        """How many siblings fit into memory together."""

    def siblings(self, genomes: Sequence[Floats]) -> Iterator[State]:
        """The weights for each genome, in order: (vectors, blocks), or that in a row.

        At most `batch` are made at a time; each should be dropped before the next is taken.
        """
        for start in range(0, len(genomes), self.batch):
            states = self._together(genomes[start : start + self.batch])
            while states:  # who is taken is not kept here
                yield states.pop(0)

    def one(self, genome: Floats) -> State:
        """The weights for one genome."""
        return next(self.siblings([genome]))

    def _together(self, genomes: Sequence[Floats]) -> list[State]:
        shape = (len(self.basis.vectors), len(self.layout.blocks))
        weights = np.stack([self.basis.weights(genome.reshape(shape)) for genome in genomes])
        states: list[State] = [{} for _ in genomes]
        for name, header in self.founders[0].tensors.items():
            if not header.dtype.floating:
                for state in states:
                    state[name] = self.founders[0].tensor(name)
                continue
            dtype = getattr(torch, header.dtype.name)
            merged = [torch.empty(header.shape, dtype=dtype) for _ in genomes]
            for start, stop in _slabs(header.shape):
                sources = self._sources(name, start, stop)
                for segment in self.layout.segments[name]:
                    inside = _inside(segment, start, stop)
                    if inside is None:
                        continue
                    first, width = inside
                    part = [_narrow(source, segment.dim, first, width) for source in sources]
                    into = [
                        _narrow(_rows(target, start, stop), segment.dim, first, width)
                        for target in merged
                    ]
                    _weighted_sums(part, into, weights[:, :, segment.block], self.basis.base or 0)
            if self._widened is None:
                for founder in self.founders:
                    founder.release(name)
            for state, tensor in zip(states, merged, strict=True):
                state[name] = tensor
        return states

    def _sources(self, name: str, start: int, stop: int | None) -> list[torch.Tensor]:
        if self._widened is None:
            return self._read(name, start, stop)
        return [_rows(source, start, stop) for source in self._widened[name]]

    def _read(self, name: str, start: int, stop: int | None) -> list[torch.Tensor]:
        return [
            torch.from_numpy(np.array(founder.wide(name, start, stop))) for founder in self.founders
        ]


def _slabs(shape: Sequence[int]) -> Iterator[tuple[int, int | None]]:
    """The rows of a tensor, a slab at a time; (0, None) for one without rows."""
    if not shape:
        yield 0, None
        return
    width = max(1, math.prod(shape[1:]))
    rows = max(ROWS, SLAB // width // ROWS * ROWS)
    for start in range(0, max(shape[0], 1), rows):
        yield start, min(shape[0], start + rows)


def _inside(segment: Segment, start: int, stop: int | None) -> tuple[int, int] | None:
    """Where a segment begins in a slab along its dimension, and how wide it is there."""
    if segment.dim or stop is None:
        return segment.start, segment.stop - segment.start
    first, last = max(start, segment.start), min(stop, segment.stop)
    return (first - start, last - first) if first < last else None


def _rows(tensor: torch.Tensor, start: int, stop: int | None) -> torch.Tensor:
    return tensor if stop is None else tensor[start:stop]


def state_sha256(state: State) -> str:
    """The hash of weights in memory, see `weights_sha256`."""

    def tensors() -> Iterator[tuple[str, Dtype, Raw]]:
        for name in sorted(state):
            tensor = state[name].detach().cpu().contiguous()
            dtype = BY_NAME[str(tensor.dtype).removeprefix("torch.")]
            bits = tensor.view(torch.int16) if dtype.code == "BF16" else tensor
            yield name, dtype, bits.numpy()

    return weights_sha256(tensors())


def _narrow(tensor: torch.Tensor, dim: int, start: int, width: int) -> torch.Tensor:
    return tensor if tensor.dim() == 0 else tensor.narrow(dim, start, width)


def _weighted_sums(
    sources: Sequence[torch.Tensor], targets: Sequence[torch.Tensor], weights: Floats, first: int
) -> None:
    """Fill each target with its weighted sum of the sources, chunk by chunk along the rows.

    Args:
        sources: one view per founder, of one shape.
        targets: one view per sibling, of that shape.
        weights: shape (siblings, founders); each row sums to 1.
        first: the founder that the others' differences are taken to.
    """
    shape = sources[0].shape
    others = [founder for founder in range(len(sources)) if founder != first]
    used = [[(f, float(row[f])) for f in others if np.float32(row[f]) != 0] for row in weights]
    rows = max(1, CHUNK // max(1, shape[1:].numel())) if shape else 1
    for start in range(0, shape[0] if shape else 1, rows):
        pieces = [source[start : start + rows] if shape else source for source in sources]
        base = pieces[first]
        offsets = {founder: pieces[founder] - base for founder in others}
        scratch = torch.empty_like(base)
        for target, terms in zip(targets, used, strict=True):
            if len(terms) == 1 and abs(terms[0][1] - 1) < 1e-14:
                total = pieces[terms[0][0]]  # a founder itself, without any arithmetic
            else:
                total = base.clone()
                for founder, weight in terms:
                    torch.mul(offsets[founder], weight, out=scratch)
                    total += scratch
            (target[start : start + rows] if shape else target).copy_(total)
