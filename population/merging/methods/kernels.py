"""Compiled inner loops of merging on a CPU (numba).

An array library makes one pass over memory for each operation; a loop that does ten of them at once
is several times faster. Each function here does, in the same order and rounding, what the array
code beside its caller does on other devices, and the tests compare the two. Products and sums are
never fused (no fast math), so the bits are those of numpy and torch.

Compiled code is cached on disk: the first merge ever takes some seconds longer. All functions
release the interpreter lock, so threads run in parallel. Arrays are flat, shape [elements], and
of one length, unless stated otherwise.
"""

from typing import Any

import numpy as np
from numba import njit

_jit = njit(nogil=True, cache=True, error_model="numpy")

BLOCK = 2048
"""Elements per block: a few fp32 blocks fit into the first-level cache."""


@_jit
def widen_bf16(raw: Any, bits: Any) -> None:
    """bf16 (as uint16) to fp32 (as uint32)."""
    for i in range(raw.size):
        bits[i] = np.uint32(raw[i]) << np.uint32(16)


@_jit
def narrow_bf16(bits: Any, raw: Any) -> bool:
    """fp32 (as uint32) to bf16 (as uint16), to nearest even. Whether all of it is finite."""
    worst = np.uint16(0)
    for i in range(bits.size):
        b = np.uint32(bits[i])
        r = np.uint16(
            (b + np.uint32(0x7FFF) + ((b >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        )
        if b & np.uint32(0x7FFFFFFF) > np.uint32(0x7F800000):
            r = np.uint16(0x7FC0)
        raw[i] = r
        worst = max(worst, r & np.uint16(0x7FFF))
    return bool(worst < np.uint16(0x7F80))


@_jit
def is_finite(bits: Any) -> bool:
    """Whether fp32 values (as uint32) hold neither NaN nor infinity."""
    worst = np.uint32(0)
    for i in range(bits.size):
        worst = max(worst, bits[i] & np.uint32(0x7FFFFFFF))
    return bool(worst < np.uint32(0x7F800000))


@_jit
def add_weighted(total: Any, values: Any, first: Any, weight: Any) -> None:
    """`total += weight * (values - first)`."""
    for i in range(total.size):
        total[i] += weight * (values[i] - first[i])


@_jit
def weighted_sum_bf16(raws: Any, weights: Any, total: Any) -> None:
    """`total = weights[0] * x_0 + sum_i weights[i] * (x_i - x_0)` of bf16 (as uint16) arrays.

    Args:
        raws: a tuple of arrays.
        weights: fp32, one for each.
        total: the result, fp32.
    """
    first = np.empty(BLOCK, np.float32)
    other = np.empty(BLOCK, np.float32)
    for start in range(0, total.size, BLOCK):
        here = total[start : start + BLOCK]
        base = first[: here.size]
        widen_bf16(raws[0][start : start + BLOCK], base.view(np.uint32))
        _scale(base, weights[0], here)
        for k in range(1, len(raws)):
            values = other[: here.size]
            widen_bf16(raws[k][start : start + BLOCK], values.view(np.uint32))
            add_weighted(here, values, base, weights[k])


@_jit
def _scale(values: Any, weight: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = values[i] * weight


@_jit
def dot(one: Any, other: Any) -> float:
    """The inner product, summed in fp64 over blocks, the same on every processor."""
    total = 0.0
    lanes = np.empty(256)
    for start in range(0, one.size, BLOCK):
        a, b = one[start : start + BLOCK], other[start : start + BLOCK]
        lanes[:] = 0
        for row in range(0, a.size, 256):
            _add_products(a[row : row + 256], b[row : row + 256], lanes)
        for i in range(256):
            total += lanes[i]
    return total


@_jit
def _add_products(one: Any, other: Any, lanes: Any) -> None:
    for i in range(one.size):
        lanes[i] += np.float64(one[i]) * np.float64(other[i])


@_jit
def absolute_differences(one: Any, other: Any, out: Any) -> None:
    """`|one - other|`."""
    for i in range(out.size):
        out[i] = abs(one[i] - other[i])


@_jit
def count_around(values: Any, value: Any) -> tuple[int, int]:
    """How many values are smaller than a given one, and how many are not larger."""
    below = upto = 0
    for i in range(values.size):
        below += values[i] < value
        upto += values[i] <= value
    return below, upto


@_jit
def gather_between(values: Any, low: Any, high: Any, out: Any) -> tuple[int, int]:
    """Collect the values in [low, high]; returns how many are smaller and how many were collected.

    `out` needs room for one value more than are collected: a store costs less than a branch.
    """
    below = collected = 0
    for i in range(values.size):
        value = values[i]
        below += value < low
        out[collected] = value
        collected += (value >= low) & (value <= high)
    return below, collected


@_jit
def weighted_offsets(model: Any, base: Any, weight: Any, out: Any) -> None:
    """The weighted task vector."""
    for i in range(out.size):
        out[i] = (model[i] - base[i]) * weight


@_jit
def band_offsets(
    model: Any, base: Any, band: Any, ties: Any, factor: Any, weight: Any, out: Any
) -> None:
    """The weighted task vector, where its magnitude lies in a band.

    Args:
        model: values.
        base: values.
        band: (low, high, infinity).
        ties: (skip, take): how many magnitudes equal to `low` are still to be dropped, and how many
            equal to `high` may still be kept; counted down.
        factor: on what is kept.
        weight: on that.
        out: the result.
    """
    low, high = band[0], band[1]
    none = np.float32(0)
    for start in range(0, out.size, BLOCK):
        stop = min(start + BLOCK, out.size)
        drop, allow = ties[0], ties[1]
        lowest, highest = low, high
        if drop > 0 or high < band[2]:
            at_low, at_high = _count_ties(model[start:stop], base[start:stop], low, high)
            if at_low <= drop:  # then all of them go, and comparing is enough
                lowest = np.nextafter(low, band[2]) if at_low else low
                ties[0] -= at_low
                drop = 0
            if at_high > allow and allow <= 0:
                highest = np.nextafter(high, -band[2])
            ties[1] -= min(at_high, max(allow, 0))
            if drop > 0 or at_high > allow > 0:
                if drop > 0:
                    ties[0] = 0
                for i in range(start, stop):
                    offset = model[i] - base[i]
                    size = abs(offset)
                    keep = (size >= lowest) & (size <= highest)
                    if size == high:
                        keep = keep & (allow > 0)
                        allow -= 1
                    if size == low and drop > 0:
                        keep = False
                        drop -= 1
                    out[i] = (offset if keep else none) * factor * weight
                continue
        _band_block(
            model[start:stop], base[start:stop], lowest, highest, factor, weight, out[start:stop]
        )


@_jit
def _count_ties(model: Any, base: Any, low: Any, high: Any) -> tuple[int, int]:
    bottom = top = np.int32(0)
    for i in range(model.size):
        size = abs(model[i] - base[i])
        bottom += np.int32(size == low)
        top += np.int32(size == high)
    return bottom, top


@_jit
def _band_block(
    model: Any, base: Any, least: Any, most: Any, factor: Any, weight: Any, out: Any
) -> None:
    none = np.float32(0)
    for i in range(out.size):
        offset = model[i] - base[i]
        size = abs(offset)
        kept = offset if (size >= least) & (size <= most) else none
        out[i] = kept * factor * weight


@_jit
def masked_offsets(model: Any, base: Any, mask: Any, factor: Any, weight: Any, out: Any) -> None:
    """The weighted task vector, where a mask is true."""
    for i in range(out.size):
        offset = model[i] - base[i]
        kept = offset if mask[i] else np.float32(0)
        out[i] = kept * factor * weight


@_jit
def l1_norms(sizes: Any, mask: Any) -> tuple[float, float]:
    """The sum of all, and of those where a mask is true.

    Rows of 256 are summed one below the other, which is fast, and the same on every processor.
    """
    all_sum = kept_sum = 0.0
    all_rows, kept_rows = np.empty(256, sizes.dtype), np.empty(256, sizes.dtype)
    for start in range(0, sizes.size, BLOCK):
        block, mask_block = sizes[start : start + BLOCK], mask[start : start + BLOCK]
        all_rows[:], kept_rows[:] = 0, 0
        for row in range(0, block.size, 256):
            _add_row(block[row : row + 256], mask_block[row : row + 256], all_rows, kept_rows)
        for i in range(256):
            all_sum += all_rows[i]
            kept_sum += kept_rows[i]
    return all_sum, kept_sum


@_jit
def _add_row(sizes: Any, mask: Any, whole: Any, kept: Any) -> None:
    for i in range(sizes.size):
        whole[i] += sizes[i]
        kept[i] += sizes[i] if mask[i] else np.float32(0)


@_jit
def keep_larger_than_rival(sizes: Any, columns: int, unsure: Any, draws: Any, keep: Any) -> int:
    """Decide undecided elements: keep those larger than a random other element of their row.

    Args:
        sizes: magnitudes, whole rows.
        columns: length of a row, at least 2.
        unsure: mask of undecided elements, which are false in `keep`.
        draws: uint32, one for each undecided element.
        keep: the mask that decisions are written into.

    Returns:
        How many draws were used.
    """
    used = 0
    places = np.empty(columns + 1, np.int32)
    for start in range(0, sizes.size, columns):
        # Without branches: whether an element is unsure is as unforeseeable as can be.
        unsure_count = 0
        for column in range(columns):
            places[unsure_count] = column
            unsure_count += unsure[start + column]
        for place in range(unsure_count):
            column = places[place]
            scaled = np.uint64(draws[used + place]) * np.uint64(columns - 1)
            rival = np.int32(scaled >> np.uint64(32))
            rival += rival >= column
            size, rival_size = sizes[start + column], sizes[start + rival]
            keep[start + column] = (size > rival_size) | ((size == rival_size) & (rival < column))
        used += unsure_count
    return used


@_jit
def sum_parts(parts: Any, divisor: Any, scale: Any, base: Any, out: Any) -> None:
    """`base + scale * sum(parts) / divisor`; parts have shape [models, elements]."""
    for start in range(0, out.size, BLOCK):
        total = out[start : start + BLOCK]
        _sum_block(parts, start, total)
        below = base[start : start + BLOCK]
        for i in range(total.size):
            total[i] = total[i] / divisor * scale + below[i]


@_jit
def _sum_block(parts: Any, start: int, total: Any) -> None:
    first = parts[0, start : start + BLOCK]
    for i in range(total.size):
        total[i] = first[i]
    for k in range(1, parts.shape[0]):
        part = parts[k, start : start + BLOCK]
        for i in range(total.size):
            total[i] += part[i]


@_jit
def elect_parts(parts: Any, weights: Any, normalize: bool, scale: Any, base: Any, out: Any) -> None:
    """`base + scale * (sum of the parts with the sign of their sum) / (weights of these)`.

    Args:
        parts: shape [models, elements].
        weights: shape [models].
        normalize: divide by the weights of those that took part; by 1 if there are none.
        scale: on the sum.
        base: what it is added to.
        out: the result.
    """
    one, none = np.float32(1), np.float32(0)
    sign = np.empty(BLOCK, parts.dtype)
    share = np.empty(BLOCK, parts.dtype)
    for start in range(0, out.size, BLOCK):
        total = out[start : start + BLOCK]
        _sum_block(parts, start, total)
        for i in range(total.size):
            sign[i] = one if total[i] >= none else -one
            share[i] = none
            total[i] = none
        for k in range(parts.shape[0]):
            _add_agreeing(parts[k, start : start + BLOCK], weights[k], sign, total, share)
        below = base[start : start + BLOCK]
        if normalize:
            for i in range(total.size):
                total[i] = total[i] / (share[i] if share[i] != none else one)
        for i in range(total.size):
            total[i] = total[i] * sign[i] * scale + below[i]


@_jit
def _add_agreeing(part: Any, weight: Any, sign: Any, total: Any, share: Any) -> None:
    none = np.float32(0)
    for i in range(part.size):
        value = part[i] * sign[i]
        total[i] += value if value > none else none
        share[i] += weight if value > none else none
