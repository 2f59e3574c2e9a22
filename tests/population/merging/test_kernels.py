"""The inner loops and the stored numbers are what numpy and torch say, to the bit."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from population.merging.backends import Numpy, Torch
from population.merging.methods import kernels
from population.models.dtypes import BF16, DTYPES, F16, Dtype, all_finite, narrow, widen

Array = npt.NDArray[Any]


def arrays(count: int, kind: Any, number: int) -> list[Array]:
    rng = np.random.default_rng(count)
    return [rng.normal(size=count).astype(kind) for _ in range(number)]


kinds = pytest.mark.parametrize("kind", [np.float32, np.float64])
counts = pytest.mark.parametrize("count", [0, 1, 3, 2047, 2048, 2049, 9000])


@kinds
@counts
def test_loops_over_elements_have_the_bits_of_numpy(count: int, kind: Any) -> None:
    one, other, total = arrays(count, kind, 3)
    mask = one > other
    weight, factor, out = kind(0.37), kind(1.7), np.empty(count, kind)
    added = total.copy()
    kernels.add_weighted(added, one, other, weight)
    np.testing.assert_array_equal(added, total + weight * (one - other))
    kernels.absolute_differences(one, other, out)
    np.testing.assert_array_equal(out, np.abs(one - other))
    kernels.weighted_offsets(one, other, weight, out)
    np.testing.assert_array_equal(out, (one - other) * weight)
    kernels.masked_offsets(one, other, mask, factor, weight, out)
    np.testing.assert_array_equal(out, np.where(mask, one - other, kind(0)) * factor * weight)


@kinds
@counts
@pytest.mark.parametrize("models", [1, 2, 5])
def test_sums_and_votes_have_the_bits_of_numpy(models: int, count: int, kind: Any) -> None:
    base, *rest = arrays(count, kind, models + 1)
    parts, out = np.stack(rest), np.empty(count, kind)
    parts[np.random.default_rng(0).random(parts.shape) < 0.4] = 0  # as thinned out
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    kernels.sum_parts(parts, kind(1.3), kind(0.7), base, out)
    np.testing.assert_array_equal(out, total / kind(1.3) * kind(0.7) + base)
    weights = np.array([0.5, -0.2, 0.3, 0.2, 0.9][:models], kind)
    sign = np.where(total >= 0, kind(1), kind(-1))
    share, agreed = np.zeros(count, kind), np.zeros(count, kind)
    for part, weight in zip(parts, weights, strict=True):
        agreed += np.where(part * sign > 0, part * sign, kind(0))
        share += np.where(part * sign > 0, weight, kind(0))
    for normalize in (True, False):
        kernels.elect_parts(parts, weights, normalize, kind(0.7), base, out)
        divisor = np.where(share == 0, kind(1), share) if normalize else kind(1)
        np.testing.assert_array_equal(out, agreed / divisor * sign * kind(0.7) + base)


@kinds
@counts
def test_counting_and_gathering(count: int, kind: Any) -> None:
    (values,) = arrays(count, kind, 1)
    values = np.round(values, 1)
    low, high = kind(-0.3), kind(0.8)
    assert kernels.count_around(values, low) == ((values < low).sum(), (values <= low).sum())
    wanted = values[(values >= low) & (values <= high)]
    out = np.empty(len(wanted) + 1, kind)
    assert kernels.gather_between(values, low, high, out) == ((values < low).sum(), len(wanted))
    np.testing.assert_array_equal(out[:-1], wanted)


@kinds
@counts
def test_norms(count: int, kind: Any) -> None:
    one, other = arrays(count, kind, 2)
    sizes, mask = np.abs(one), other > 0.2
    wide = sizes.astype(np.float64)
    wanted = wide.sum(), wide[mask].sum()
    rtol = 1e-6 if kind is np.float32 else 1e-13
    np.testing.assert_allclose(kernels.l1_norms(sizes, mask), wanted, rtol=rtol)
    whole = np.round(sizes * 8)  # of whole numbers the sum is exact in any order
    assert kernels.l1_norms(whole, mask) == (whole.sum(dtype=float), whole[mask].sum(dtype=float))


@kinds
@counts
def test_inner_products_are_those_of_fp64(count: int, kind: Any) -> None:
    one, other = arrays(count, kind, 2)
    wide = one.astype(np.float64), other.astype(np.float64)
    rounding = 1e-14 * float(np.abs(wide[0] * wide[1]).sum())
    assert kernels.dot(one, other) == pytest.approx(float(wide[0] @ wide[1]), abs=rounding)


@counts
@pytest.mark.parametrize("models", [1, 2, 4])
def test_sums_of_bf16_have_the_bits_of_numpy(models: int, count: int) -> None:
    raws = tuple(narrow(array, BF16) for array in arrays(count, np.float32, models))
    first, *others = (widen(raw, BF16) for raw in raws)
    weights = np.array([0.9, 0.37, -0.2, 1.3][:models], np.float32)
    wanted, total = first * weights[0], np.empty(count, np.float32)
    for other, weight in zip(others, weights[1:], strict=True):
        wanted += weight * (other - first)
    kernels.weighted_sum_bf16(raws, weights, total)
    np.testing.assert_array_equal(total.view(np.uint32), wanted.view(np.uint32))


@kinds
@pytest.mark.parametrize("columns", [2, 3, 50])
def test_winning_by_rank_is_being_larger_than_the_rival(columns: int, kind: Any) -> None:
    rng = np.random.default_rng(columns)
    sizes = np.round(np.abs(rng.normal(size=(40, columns))), 1).astype(kind)
    unsure = rng.random(sizes.shape) < 0.4
    keep = ~unsure & (rng.random(sizes.shape) < 0.5)
    draws = rng.integers(0, 2**32, int(unsure.sum()), dtype=np.uint32)
    wanted = keep.copy()
    places = list(zip(*np.nonzero(unsure), strict=True))
    for (row, column), draw in zip(places, draws.tolist(), strict=True):
        rivals = [place for place in range(columns) if place != column]
        rival = rivals[draw * len(rivals) >> 32]
        own, theirs = (sizes[row, column], column), (sizes[row, rival], rival)
        wanted[row, column] = own > theirs
    flat = sizes.reshape(-1), columns, unsure.reshape(-1), draws
    assert kernels.keep_larger_than_rival(*flat, keep.reshape(-1)) == len(draws)
    np.testing.assert_array_equal(keep, wanted)


# Numbers are stored as torch stores them.


def patterns(seed: int = 0) -> Array:
    """Every sign, exponent and upper mantissa, with the lower halves on which rounding turns."""
    upper = np.arange(1 << 16, dtype=np.uint32)[:, None] << np.uint32(16)
    edges = np.array([0, 1, 0x0FFF, 0x1000, 0x1001, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    drawn = np.random.default_rng(seed).integers(0, 1 << 16, (1 << 16, 3), dtype=np.uint32)
    return np.concatenate([upper | edges, upper | drawn], axis=1).reshape(-1)


def in_bf16(bits: Array) -> dict[str, Array]:
    """The same numbers by each of our ways to round."""
    wide = bits.view(np.float32)
    compiled, _ = Numpy().get(wide, BF16)
    on_device, _ = Torch("cpu").get(torch.from_numpy(wide), BF16)
    return {"numpy": narrow(wide, BF16), "compiled": compiled, "torch": on_device}


def test_rounding_to_bf16_is_torchs() -> None:
    bits = patterns()
    bits = bits[~np.isnan(bits.view(np.float32))]
    wanted = torch.from_numpy(bits.view(np.float32)).to(torch.bfloat16).view(torch.int16).numpy()
    for name, found in in_bf16(bits).items():
        np.testing.assert_array_equal(found, wanted.view(np.uint16), err_msg=name)


@pytest.mark.parametrize("way", ["numpy", "compiled", "torch"])
def test_nan_stays_nan_in_bf16(way: str) -> None:
    bits = patterns()
    bits = bits[np.isnan(bits.view(np.float32))]
    found = widen(in_bf16(bits)[way], BF16)
    lost = bits[~np.isnan(found)]
    assert not lost.size, f"{lost.size} of {bits.size}, such as {lost[0]:#x} and {lost[-1]:#x}"


def test_rounding_to_fp16_is_torchs() -> None:
    wide = patterns().view(np.float32)
    wanted = torch.from_numpy(wide).to(torch.float16).numpy()
    number = ~np.isnan(wide)
    found = narrow(wide, F16)
    np.testing.assert_array_equal(found[number].view(np.uint16), wanted[number].view(np.uint16))
    assert np.isnan(found[~number]).all()


@pytest.mark.parametrize("dtype", [BF16, F16], ids=lambda dtype: dtype.name)
def test_widening_is_torchs(dtype: Dtype) -> None:
    raw = np.arange(1 << 16, dtype=np.uint16)
    stored = raw if dtype is BF16 else raw.view(np.float16)
    kind = getattr(torch, dtype.name)
    wanted = torch.from_numpy(raw.view(np.int16)).view(kind).float().numpy()
    number = ~np.isnan(wanted)
    for backend in (Numpy(), Torch("cpu")):
        for found in (widen(stored, dtype), np.asarray(backend.put(stored, dtype))):
            np.testing.assert_array_equal(
                found[number].view(np.uint32), wanted[number].view(np.uint32)
            )
            assert np.isnan(found[~number]).all()


@pytest.mark.parametrize("value", [0.0, 3.3895314e38, 3.4e38, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [0, 1, 4999])
def test_backends_see_what_is_not_finite(value: float, place: int) -> None:
    wide = np.zeros(5000, np.float32)
    wide[place] = value
    for dtype in (BF16, DTYPES["F32"], DTYPES["F64"]):
        fits = bool(np.isfinite(value)) and not (dtype is BF16 and value > 3.395e38)
        for raw, finite in (
            Numpy().get(wide, dtype),
            Torch("cpu").get(torch.from_numpy(wide), dtype),
            Numpy().get(wide.astype(np.float64), dtype),
        ):
            assert finite == fits == all_finite(raw, dtype)
