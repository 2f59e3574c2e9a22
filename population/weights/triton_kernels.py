"""Kernels for accelerators that Triton compiles for: siblings' weights, and their fingerprints.

One launch makes a whole list of tensors of all siblings: small models are bound by launches, large
ones by the memory they read and write, which happens once. Every product and every sum is rounded
on its own (`enable_fp_fusion=False`), in the order of `sibling_kernel`, so the bits are equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import triton
import triton.language as tl

from population.models.blocks import Segment
from population.weights import word_sums as compiled

CHUNK = 1024
"""Elements, or words, that a program computes."""

_ELEMENTS = {
    torch.bfloat16: tl.bfloat16,
    torch.float16: tl.float16,
    torch.float32: tl.float32,
}


def computes(dtype: torch.dtype) -> bool:
    """Whether the kernels read and write a dtype."""
    return dtype in _ELEMENTS


@dataclass(frozen=True)
class Chunks:
    """How tensors are cut into the parts that a program computes. Tensors of int64, on the device.

    Attributes:
        tensor: shape (chunks,): number of the tensor.
        start: shape (chunks,): its first element.
        shape: shape (tensors, 4): elements, elements in a step along the dimension that is cut into
            blocks, steps along it (1 where the tensor is one block), and where the tensor's steps
            begin in `blocks`.
        blocks: shape (steps of all tensors,): the block of each step.
    """

    tensor: torch.Tensor
    start: torch.Tensor
    shape: torch.Tensor
    blocks: torch.Tensor


def cut_into_chunks(
    shapes: Sequence[Sequence[int]],
    segments: Sequence[Sequence[Segment]],
    device: torch.device,
) -> Chunks:
    """Cut tensors into chunks.

    Args:
        shapes: of the tensors.
        segments: of each tensor, in order; all of one tensor lie along one dimension.
        device: where the result is needed.
    """
    rows: list[tuple[int, int, int, int]] = []
    blocks: list[npt.NDArray[np.int64]] = []
    first_step = 0
    for shape, own in zip(shapes, segments, strict=True):
        size = int(np.prod(shape, dtype=np.int64))
        inner, steps = size, np.array([own[0].block], np.int64)
        if len(own) > 1:
            inner = int(np.prod(shape[own[0].dim + 1 :], dtype=np.int64))
            steps = np.concatenate([np.full(s.stop - s.start, s.block) for s in own])
        rows.append((size, inner, len(steps), first_step))
        blocks.append(steps)
        first_step += len(steps)
    tensor, start = _chunks_of(np.array([size for size, *_ in rows]))
    return Chunks(
        *(
            torch.from_numpy(np.ascontiguousarray(array, np.int64)).to(device)
            for array in (tensor, start, np.array(rows), np.concatenate(blocks))
        )
    )


def _chunks_of(sizes: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], ...]:
    """For every chunk of tensors of some sizes, the number of the tensor, and where it starts."""
    counts = -(-sizes // CHUNK)
    tensor = np.repeat(np.arange(len(sizes)), counts)
    within = np.arange(len(tensor)) - np.repeat(np.cumsum(counts) - counts, counts)
    return tensor, within * CHUNK


def weighted_sums(
    sources: torch.Tensor,
    targets: torch.Tensor,
    chunks: Chunks,
    weights: torch.Tensor,
    alone: torch.Tensor,
    first: int,
    source: torch.dtype,
    target: torch.dtype,
) -> None:
    """`target[s] = source[first] + sum_f weights[s, f] * (source[f] - source[first])`, in parts.

    Args:
        sources: int64, shape (tensors, founders): addresses of contiguous tensors of `source`.
        targets: int64, shape (tensors, siblings): addresses of such of `target`; written.
        chunks: of the tensors.
        weights: fp32, shape (siblings, founders, blocks).
        alone: int64, shape (siblings, blocks): the founder that a sibling is there, bit by bit;
            -1 where it is a sum.
        first: the founder that differences are taken to.
        source: dtype of the sources.
        target: dtype of the targets.
    """
    siblings, founders, blocks = weights.shape
    _weighted_sums[len(chunks.tensor), siblings](
        sources,
        targets,
        chunks.tensor,
        chunks.start,
        chunks.shape,
        chunks.blocks,
        weights,
        alone,
        siblings,
        blocks,
        founders=founders,
        first=first,
        source=_ELEMENTS[source],
        target=_ELEMENTS[target],
        width=CHUNK,
        enable_fp_fusion=False,
    )


@triton.jit  # type: ignore[untyped-decorator]
def _weighted_sums(  # type: ignore[no-untyped-def]
    sources,
    targets,
    chunk_tensor,
    chunk_start,
    shapes,
    block_of_step,
    weights,
    alone,
    siblings,
    blocks,
    founders: tl.constexpr,
    first: tl.constexpr,
    source: tl.constexpr,
    target: tl.constexpr,
    width: tl.constexpr,
) -> None:
    chunk, sibling = tl.program_id(0), tl.program_id(1)
    tensor = tl.load(chunk_tensor + chunk)
    at = tl.load(chunk_start + chunk) + tl.arange(0, width)
    size, inner = tl.load(shapes + tensor * 4), tl.load(shapes + tensor * 4 + 1)
    steps, first_step = tl.load(shapes + tensor * 4 + 2), tl.load(shapes + tensor * 4 + 3)
    here = at < size
    step = tl.zeros([width], tl.int64)
    if steps > 1:
        step = (at // inner) % steps
    block = tl.load(block_of_step + first_step + step, mask=here, other=0)
    only = tl.load(alone + sibling * blocks + block, mask=here, other=-1)
    pointers = sources + tensor * founders
    stored = tl.load(pointers + first).to(tl.pointer_type(source))
    base = tl.load(stored + at, mask=here, other=0.0).to(tl.float32)
    total, single = base, base
    for founder in tl.static_range(founders):
        if founder != first:
            stored = tl.load(pointers + founder).to(tl.pointer_type(source))
            value = tl.load(stored + at, mask=here, other=0.0).to(tl.float32)
            column = weights + (sibling * founders + founder) * blocks
            weight = tl.load(column + block, mask=here, other=0.0)
            total = tl.where(weight != 0, total + weight * (value - base), total)
            single = tl.where(only == founder, value, single)
    total = tl.where(only >= 0, single, total)
    into = tl.load(targets + tensor * siblings + sibling).to(tl.pointer_type(target))
    tl.store(into + at, total.to(target), mask=here)


def word_sums(tensors: Sequence[torch.Tensor]) -> npt.NDArray[np.uint64]:
    """As `population.weights.word_sums`, shape (tensors, 2), computed where the tensors are.

    Args:
        tensors: contiguous, of any dtypes, on one device.
    """
    aligned = [tensor if tensor.data_ptr() % 8 == 0 else tensor.clone() for tensor in tensors]
    sizes = np.array([tensor.nbytes for tensor in aligned], np.int64)
    tensor, start = _chunks_of(-(-sizes // 8))
    addresses = np.array([one.data_ptr() for one in aligned], np.int64)
    device = tensors[0].device
    # One transfer for all tables.
    table = torch.from_numpy(np.concatenate([tensor, start, addresses, sizes])).to(device)
    chunks, count = len(tensor), len(aligned)
    sums = torch.zeros((count, 2), dtype=torch.int64, device=device)
    _word_sums[(chunks,)](
        table,
        table[chunks:],
        table[2 * chunks :],
        table[2 * chunks + count :],
        sums,
        golden=compiled.GOLDEN,
        offset=compiled.OFFSET,
        first=compiled.FIRST,
        second=compiled.SECOND,
        width=CHUNK,
    )
    return sums.cpu().numpy().view(np.uint64)


@triton.jit  # type: ignore[untyped-decorator]
def _word_sums(  # type: ignore[no-untyped-def]
    chunk_tensor,
    chunk_start,
    tensors,
    sizes,
    sums,
    golden: tl.constexpr,
    offset: tl.constexpr,
    first: tl.constexpr,
    second: tl.constexpr,
    width: tl.constexpr,
) -> None:
    chunk = tl.program_id(0)
    tensor = tl.load(chunk_tensor + chunk)
    at = tl.load(chunk_start + chunk) + tl.arange(0, width)
    size, address = tl.load(sizes + tensor), tl.load(tensors + tensor)
    words = size // 8
    word = tl.load(address.to(tl.pointer_type(tl.uint64)) + at, mask=at < words, other=0)
    if size % 8 > 0:
        for byte in tl.static_range(7):
            place = at * 8 + byte
            last = (at == words) & (place < size)
            value = tl.load(address.to(tl.pointer_type(tl.uint8)) + place, mask=last, other=0)
            word |= value.to(tl.uint64) << (8 * byte)
    mixed = word ^ (at.to(tl.uint64) * golden + offset)
    mixed = (mixed ^ (mixed >> 32)) * first
    mixed ^= mixed >> 29
    here = at * 8 < size
    one = tl.sum(tl.where(here, mixed, 0).to(tl.int64), axis=0)
    mixed *= second
    two = tl.sum(tl.where(here, mixed ^ (mixed >> 32), 0).to(tl.int64), axis=0)
    tl.atomic_add(sums + tensor * 2, one)
    tl.atomic_add(sums + tensor * 2 + 1, two)
