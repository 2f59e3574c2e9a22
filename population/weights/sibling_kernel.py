"""Weighted sums of founders for many siblings at once, and their gradient: loops for the CPU.

A block of a founder is widened once, its difference to the first founder's is taken once, and it
is added to every sibling while it lies in the first-level cache. Every product and every sum is
rounded on its own (no fast math, no fused multiply-add), so the bits are those of numpy and torch,
whoever is made beside whom. Of nine founders of 1.3 million parameters, 28 siblings take 47 ms on
one core.

Arrays are passed by address: a compiled function then serves any number of founders and siblings,
where a tuple of arrays would be compiled again for each number.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from population.merging.methods.kernels import narrow_bf16, widen_bf16

_jit = njit(nogil=True, cache=True, error_model="numpy")

BLOCK = 512
"""Elements: a block of ten founders in fp32 and a sum fit into the first-level cache."""


def addresses(arrays: list[npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    """The addresses of C-contiguous arrays of any shape: shape [arrays]."""
    assert all(array.flags.c_contiguous for array in arrays)
    return np.array([array.__array_interface__["data"][0] for array in arrays], np.int64)


@intrinsic
def _pointer(typing_context: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


def _load(stored: Any, wide: Any) -> None:
    """Widen stored elements; uint16 is bf16."""


@overload(_load)
def _load_overload(stored: Any, wide: Any) -> Any:
    if stored.dtype == types.uint16:

        def load_bf16(stored: Any, wide: Any) -> None:
            widen_bf16(stored, wide.view(np.uint32))

        return load_bf16

    def load(stored: Any, wide: Any) -> None:
        for i in range(wide.size):
            wide[i] = stored[i]

    return load


def _store(wide: Any, stored: Any) -> None:
    """Round to the stored dtype; uint16 is bf16."""


@overload(_store)
def _store_overload(wide: Any, stored: Any) -> Any:
    if stored.dtype == types.uint16:

        def store_bf16(wide: Any, stored: Any) -> None:
            narrow_bf16(wide.view(np.uint32), stored)

        return store_bf16

    def store(wide: Any, stored: Any) -> None:
        for i in range(wide.size):
            stored[i] = wide[i]

    return store


@_jit
def weighted_sums(
    sources: Any,
    targets: Any,
    size: int,
    runs: Any,
    weights: Any,
    alone: Any,
    first: int,
    like_source: Any,
    like_wide: Any,
    like_target: Any,
) -> None:
    """`target[s] = source[first] + sum_f weights[s, f] * (source[f] - source[first])`, in parts.

    Args:
        sources: int64, shape (founders,): addresses of flat arrays of `size` elements.
        targets: int64, shape (siblings,): addresses of such arrays, which are written.
        size: elements of each.
        runs: int64, shape (runs, 3): where a run of elements starts, where it stops, its block.
        weights: of `like_wide`'s dtype, shape (siblings, founders, blocks).
        alone: int64, shape (siblings, blocks): the founder that a sibling is there, bit by bit;
            -1 where it is a sum.
        first: the founder that differences are taken to.
        like_source: an array of the dtype of the sources; uint16 is bf16.
        like_wide: an array of the dtype that sums are computed in.
        like_target: an array of the dtype of the targets; uint16 is bf16.
    """
    founders, siblings = sources.size, targets.size
    wide = np.empty((founders, BLOCK), like_wide.dtype)
    total = np.empty(BLOCK, like_wide.dtype)
    for run in range(runs.shape[0]):
        block = runs[run, 2]
        for start in range(runs[run, 0], runs[run, 1], BLOCK):
            count = min(BLOCK, runs[run, 1] - start)
            base = wide[first, :count]
            _load(_part(sources[first], size, start, count, like_source), base)
            for f in range(founders):
                if f != first:
                    offset = wide[f, :count]
                    _load(_part(sources[f], size, start, count, like_source), offset)
                    for i in range(count):
                        offset[i] = offset[i] - base[i]
            here = total[:count]
            for s in range(siblings):
                only = alone[s, block]
                if only >= 0:
                    _load(_part(sources[only], size, start, count, like_source), here)
                else:
                    for i in range(count):
                        here[i] = base[i]
                    for f in range(founders):
                        weight = weights[s, f, block]
                        if f != first and weight != 0:
                            _add(here, wide[f, :count], weight)
                _store(here, _part(targets[s], size, start, count, like_target))


@_jit
def inner_products(
    sources: Any,
    gradient: Any,
    runs: Any,
    first: int,
    products: Any,
    like_source: Any,
) -> None:
    """`products[f, block] += sum over elements of gradient * (source[f] - source[first])`.

    That is the gradient of `weighted_sums` by the weights, for one sibling. Blocks of elements are
    summed in halves, and then in fp64: the bits depend on nothing but the arguments.

    Args:
        sources: int64, shape (founders,): addresses of flat arrays as long as `gradient`.
        gradient: by the elements of the sibling, fp32 or fp64, which sums are computed in.
        runs: int64, shape (runs, 3): where a run of elements starts, where it stops, its block.
        first: the founder that differences are taken to; its products stay as they are.
        products: fp64, shape (founders, blocks).
        like_source: an array of the dtype of the sources; uint16 is bf16.
    """
    base = np.empty(BLOCK, gradient.dtype)
    wide = np.empty(BLOCK, gradient.dtype)
    for run in range(runs.shape[0]):
        block = runs[run, 2]
        for start in range(runs[run, 0], runs[run, 1], BLOCK):
            count = min(BLOCK, runs[run, 1] - start)
            slope, origin = gradient[start : start + count], base[:count]
            _load(_part(sources[first], gradient.size, start, count, like_source), origin)
            for f in range(sources.size):
                if f != first:
                    terms = wide[:count]
                    _load(_part(sources[f], gradient.size, start, count, like_source), terms)
                    for i in range(count):
                        terms[i] = (terms[i] - origin[i]) * slope[i]
                    products[f, block] += _halved(terms)


@_jit
def _halved(terms: Any) -> float:
    """The sum of some numbers, which are overwritten: one half is added to the other, and so on."""
    count = terms.size
    while count > 1:
        half = (count + 1) // 2
        low, high = terms[: count - half], terms[half:count]
        for i in range(count - half):
            low[i] += high[i]
        count = half
    return float(terms[0])


@_jit
def _part(address: int, size: int, start: int, count: int, like: Any) -> Any:
    return carray(_pointer(address), size, like.dtype)[start : start + count]


@_jit
def _add(total: Any, values: Any, weight: Any) -> None:
    for i in range(total.size):
        total[i] += weight * values[i]
