"""Weighted sums of founders for many siblings at once, and their gradient: loops for the CPU.

A block of a founder is widened once, its difference to the first founder's is taken once, and it
is added to every sibling while it lies in the first-level cache. Where siblings are few, each takes
differences for itself, in registers: the cache is slower. Every product and every sum is rounded on
its own (no fast math, no fused multiply-add), so the bits are those of numpy and torch, whoever is
made beside whom. Of nine founders of 1.3 million parameters, 28 siblings take 36 ms on one core,
and one takes 2 ms.

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

FEW = 12
"""Fewer siblings than this take differences for themselves, which is two to three times as fast for
one to four of them."""


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


def _widened(stored: Any, index: int) -> Any:
    """A stored element, widened; uint16 is bf16."""


@overload(_widened, inline="always")
def _widened_overload(stored: Any, index: Any) -> Any:
    if stored.dtype == types.uint16:

        def widened_bf16(stored: Any, index: Any) -> Any:
            return np.uint32(np.uint32(stored[index]) << np.uint32(16)).view(np.float32)

        return widened_bf16

    def widened(stored: Any, index: Any) -> Any:
        return stored[index]

    return widened


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
    shared = siblings >= FEW
    wide = np.empty((founders if shared else 1, BLOCK), like_wide.dtype)
    total = np.empty(BLOCK, like_wide.dtype)
    for run in range(runs.shape[0]):
        block = runs[run, 2]
        for start in range(runs[run, 0], runs[run, 1], BLOCK):
            count = min(BLOCK, runs[run, 1] - start)
            base = wide[first if shared else 0, :count]
            _load(_part(sources[first], size, start, count, like_source), base)
            for f in range(founders if shared else 0):
                if f != first:
                    source = _part(sources[f], size, start, count, like_source)
                    _subtract(source, base, wide[f, :count])
            here = total[:count]
            for s in range(siblings):
                only = alone[s, block]
                if only >= 0:
                    _load(_part(sources[only], size, start, count, like_source), here)
                else:
                    here[:] = base
                    for f in range(founders):
                        weight = weights[s, f, block]
                        if f == first or weight == 0:
                            continue
                        if shared:
                            _add(here, wide[f, :count], weight)
                        else:
                            source = _part(sources[f], size, start, count, like_source)
                            _add_difference(here, source, base, weight)
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
                    source = _part(sources[f], gradient.size, start, count, like_source)
                    _multiply_difference(source, origin, slope, terms)
                    products[f, block] += _halved(terms)


@_jit
def weighted_sums_of_several(
    sources: Any,
    targets: Any,
    sizes: Any,
    runs: Any,
    ends: Any,
    weights: Any,
    alone: Any,
    first: int,
    like_source: Any,
    like_wide: Any,
    like_target: Any,
) -> None:
    """`weighted_sums` of several tensors.

    Args:
        sources: int64, shape (tensors, founders).
        targets: int64, shape (tensors, siblings).
        sizes: int64, shape (tensors,).
        runs: of all tensors, one behind the other.
        ends: int64, shape (tensors + 1,): where those of each begin, and of the last end.
        weights: as there, and so is what follows.
        alone: as there.
        first: as there.
        like_source: as there.
        like_wide: as there.
        like_target: as there.
    """
    for tensor in range(sizes.size):
        own = runs[ends[tensor] : ends[tensor + 1]]
        weighted_sums(
            sources[tensor], targets[tensor], sizes[tensor], own, weights, alone, first,
            like_source, like_wide, like_target,
        )  # fmt: skip


@_jit
def inner_products_of_several(
    sources: Any,
    gradients: Any,
    sizes: Any,
    runs: Any,
    ends: Any,
    first: int,
    products: Any,
    places: Any,
    lowest: Any,
    like_source: Any,
    like_gradient: Any,
) -> None:
    """`inner_products` of several tensors.

    Args:
        sources: int64, shape (tensors, founders).
        gradients: int64, shape (tensors,): addresses of the gradients by them.
        sizes: int64, shape (tensors,).
        runs: of all tensors, one behind the other.
        ends: int64, shape (tensors + 1,): where those of each begin, and of the last end.
        first: as there.
        products: fp64, flat: for each tensor those of all founders in its blocks.
        places: int64, shape (tensors + 1,): where those of each begin, and of the last end.
        lowest: int64, shape (tensors,): the first block of each.
        like_source: as there.
        like_gradient: an array of the dtype of the gradients.
    """
    founders = sources.shape[1]
    for tensor in range(sizes.size):
        own = runs[ends[tensor] : ends[tensor + 1]].copy()
        own[:, 2] -= lowest[tensor]
        flat = products[places[tensor] : places[tensor + 1]]
        size = sizes[tensor]
        gradient = _part(gradients[tensor], size, 0, size, like_gradient)
        of_founders = flat.reshape((founders, flat.size // founders))
        inner_products(sources[tensor], gradient, own, first, of_founders, like_source)


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


@_jit
def _subtract(stored: Any, base: Any, difference: Any) -> None:
    for i in range(difference.size):
        difference[i] = _widened(stored, i) - base[i]


@_jit
def _add_difference(total: Any, stored: Any, base: Any, weight: Any) -> None:
    for i in range(total.size):
        total[i] += weight * (_widened(stored, i) - base[i])


@_jit
def _multiply_difference(stored: Any, base: Any, slope: Any, terms: Any) -> None:
    for i in range(terms.size):
        terms[i] = (_widened(stored, i) - base[i]) * slope[i]


ALL_KEPT = 0
"""Stands for the address of a mask that keeps all of a task vector."""


@_jit
def sparse_sums(
    sources: Any,
    masks: Any,
    factors: Any,
    target: int,
    size: int,
    runs: Any,
    weights: Any,
    shares: Any,
    divisors: Any,
    elects: bool,
    quotients: Any,
    first: int,
    like_source: Any,
    like_wide: Any,
    like_target: Any,
) -> None:
    """One sibling, of sparsified task vectors; the sums of `methods.task_vectors`, to the bit.

    `target = source[first] + sum_f weights[f] * factors[f] * (source[f] - source[first]) / divisor`
    over what the masks keep; with elected signs, over what has the sign of that sum.

    Args:
        sources: int64, shape (founders,): addresses of flat arrays of `size` elements.
        masks: int64, shape (founders,): addresses of flat arrays of bool, or `ALL_KEPT`.
        factors: of `like_wide`'s dtype, shape (founders,).
        target: address of such an array, which is written.
        size: elements of each.
        runs: int64, shape (runs, 3): where a run of elements starts, where it stops, its block.
        weights: of `like_wide`'s dtype, shape (founders, blocks).
        shares: the same: where signs are elected, the weights in the sum, while `weights` are those
            in the election.
        divisors: the same, shape (blocks,); where signs are elected, 1.
        elects: whether signs are elected.
        quotients: bool, shape (blocks,): whether sums are divided by the weights that took part.
        first: the founder that differences are taken to.
        like_source: an array of the dtype of the sources; uint16 is bf16.
        like_wide: an array of the dtype that sums are computed in.
        like_target: an array of the dtype of the target; uint16 is bf16.
    """
    wide = np.empty((sources.size, BLOCK), like_wide.dtype)
    total = np.empty(BLOCK, like_wide.dtype)
    sign = np.empty(BLOCK, like_wide.dtype)
    share = np.empty(BLOCK, like_wide.dtype)
    for run in range(runs.shape[0]):
        block = runs[run, 2]
        for start in range(runs[run, 0], runs[run, 1], BLOCK):
            count = min(BLOCK, runs[run, 1] - start)
            _load_sparse(sources, masks, factors, size, start, count, first, like_source, wide)
            merged = total[:count]
            _merge_sparse(
                wide, weights, shares, divisors[block], elects, quotients[block], first, block,
                merged, sign[:count], share[:count],
            )  # fmt: skip
            base = wide[first, :count]
            for i in range(count):
                merged[i] = merged[i] + base[i]
            _store(merged, _part(target, size, start, count, like_target))


@_jit
def sparse_products(
    sources: Any,
    masks: Any,
    factors: Any,
    gradient: Any,
    runs: Any,
    weights: Any,
    shares: Any,
    divisors: Any,
    elects: bool,
    quotients: Any,
    first: int,
    products: Any,
    like_source: Any,
) -> None:
    """The gradient of `sparse_sums` by the weights, with masks and elected signs as they are.

    Args:
        sources: as there.
        masks: as there.
        factors: as there.
        gradient: by the elements of the sibling, fp32 or fp64, which sums are computed in.
        runs: as there.
        weights: as there.
        shares: as there; the gradient is by these.
        divisors: as there.
        elects: as there.
        quotients: as there.
        first: as there; its products stay as they are.
        products: fp64, shape (founders, blocks); what is found is added.
        like_source: as there.
    """
    founders, size = sources.size, gradient.size
    wide = np.empty((founders, BLOCK), gradient.dtype)
    total = np.empty(BLOCK, gradient.dtype)
    sign = np.empty(BLOCK, gradient.dtype)
    share = np.empty(BLOCK, gradient.dtype)
    terms = np.empty(BLOCK, gradient.dtype)
    none = np.float32(0)
    for run in range(runs.shape[0]):
        block = runs[run, 2]
        for start in range(runs[run, 0], runs[run, 1], BLOCK):
            count = min(BLOCK, runs[run, 1] - start)
            _load_sparse(sources, masks, factors, size, start, count, first, like_source, wide)
            merged, signs, parts = total[:count], sign[:count], share[:count]
            _merge_sparse(
                wide, weights, shares, divisors[block], elects, quotients[block], first, block,
                merged, signs, parts,
            )  # fmt: skip
            slope = gradient[start : start + count]
            for f in range(founders):
                if f == first:
                    continue
                weight, own = weights[f, block], wide[f, :count]
                for i in range(count):
                    term = own[i] - merged[i] if quotients[block] else own[i]
                    # A weight of 0 counts as positive, or who has no part would never get one.
                    along = own[i] * signs[i]
                    agrees = along > none if weight >= none else along < none
                    taken = not elects or agrees
                    terms[i] = term / parts[i] * slope[i] if taken else none
                products[f, block] += _halved(terms[:count])


@_jit
def _load_sparse(
    sources: Any,
    masks: Any,
    factors: Any,
    size: int,
    start: int,
    count: int,
    first: int,
    like_source: Any,
    wide: Any,
) -> None:
    """The base, and what is kept of the task vectors, in the rows of `wide`."""
    base = wide[first, :count]
    _load(_part(sources[first], size, start, count, like_source), base)
    like_mask = np.empty(0, np.bool_)
    for f in range(sources.size):
        own = wide[f, :count]
        if f == first:
            continue
        _load(_part(sources[f], size, start, count, like_source), own)
        if masks[f] == ALL_KEPT:
            for i in range(count):
                own[i] = own[i] - base[i]
        else:
            kept = _part(masks[f], size, start, count, like_mask)
            none = np.float32(0)
            for i in range(count):
                offset = own[i] - base[i]
                own[i] = (offset if kept[i] else none) * factors[f]


@_jit
def _merge_sparse(
    wide: Any,
    weights: Any,
    shares: Any,
    divisor: Any,
    elects: bool,
    normalizes: bool,
    first: int,
    block: int,
    total: Any,
    sign: Any,
    share: Any,
) -> None:
    """The merged task vector into `total`, and what it was divided by into `share`."""
    one, none = np.float32(1), np.float32(0)
    begun = False
    for f in range(wide.shape[0]):
        if f != first:
            own, weight = wide[f, : total.size], weights[f, block]
            if begun:
                for i in range(total.size):
                    total[i] += own[i] * weight
            else:
                for i in range(total.size):
                    total[i] = own[i] * weight
            begun = True
    if elects:
        for i in range(total.size):
            sign[i] = one if total[i] >= none else -one
        _elect(wide, shares[:, block], normalizes, first, total, sign, share)
    else:
        for i in range(total.size):
            share[i] = divisor
            total[i] = total[i] / divisor


@_jit
def _elect(
    wide: Any, weights: Any, normalizes: bool, first: int, total: Any, sign: Any, share: Any
) -> None:
    """The sum of what has the elected sign, divided by the weights that took part."""
    one, none = np.float32(1), np.float32(0)
    for i in range(total.size):
        share[i] = none
        total[i] = none
    for f in range(wide.shape[0]):
        if f != first:
            own, weight = wide[f, : total.size], weights[f]
            for i in range(total.size):
                value = own[i] * weight * sign[i]
                total[i] += value if value > none else none
                share[i] += weight if value > none else none
    for i in range(total.size):
        if not normalizes or share[i] == none:
            share[i] = one
        total[i] = total[i] / share[i] * sign[i]
