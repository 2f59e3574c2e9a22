"""What sparse methods keep: masks are as random as promised and can be drawn again, ranks exact."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from population.merging.backends import Numpy
from population.merging.lazy_tensors import InMemoryTensor, MethodInputs
from population.merging.methods import order_statistics as ranking
from population.merging.methods.method import Chunk
from population.merging.methods.order_statistics import chunk_magnitudes, order_statistic
from population.merging.methods.random_masks import bernoulli_mask, rank_mask
from population.merging.methods.sparsify import rank_band
from tests.population.merging.test_methods import BACKENDS, Tensors, merged, step, use

Array = npt.NDArray[Any]
MILLION = 1 << 20
BOUND = 5  # standard deviations; the seeds are fixed, so what passes once passes always


def inputs(values: Array, chunk: int = 1 << 17, **key: Any) -> MethodInputs:
    """A task vector, as the methods see it."""
    base = np.zeros((1, values.shape[1]), values.dtype).repeat(len(values), 0)
    about = {"seed": 0, "tensor": "t", "names": ("m",), **key}
    return MethodInputs(
        base=InMemoryTensor(base), models=(InMemoryTensor(values),), size=chunk, **about
    )


def drawn(decide_for: Callable[..., Any], group: MethodInputs, *settings: float) -> Array:
    """The mask of the only model."""
    decide = decide_for(group, 0, *settings)
    chunks = group.chunks(only=0)
    return np.concatenate([np.array(decide(chunk_magnitudes(c), c.start, c.stop)) for c in chunks])


def normal(rows: int, columns: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)


def deviations(mask: Array, probability: Array | float) -> Array:
    """How far each draw is from its expectation, in standard deviations of one draw."""
    p = np.broadcast_to(probability, mask.shape)
    found: Array = (mask - p) / np.sqrt(p * (1 - p))
    return found


def unlikely(values: Array) -> float:
    """How many standard deviations the sum of standardised draws is from 0."""
    return float(values.sum() / np.sqrt(values.size))


def check_spread(sums: Array) -> None:
    """The mean square of standardised sums must be 1, as far as squares of such sums are spread."""
    squares = sums**2
    assert abs(squares.mean() - 1) < BOUND * max(squares.std(), 0.5) / np.sqrt(sums.size)


def check_uncorrelated(values: Array, along: int) -> None:
    """Neighbours at some distances along an axis must have nothing in common."""
    values = np.moveaxis(values, along, 0)
    for lag in (1, 2, 3, 4, 7, 8, 16, 64, 128):
        if lag < len(values):
            assert abs(unlikely(values[lag:] * values[:-lag])) < BOUND, lag


@pytest.mark.parametrize("density", [0.5, 0.53, 0.1, 0.9, 1 / 256, 0.001, 0.999, 127.5 / 128])
def test_dare_keeps_each_element_with_the_density(density: float) -> None:
    mask = drawn(bernoulli_mask, inputs(np.zeros((1024, 1024), np.float32)), density)
    found = deviations(mask, density)
    assert abs(unlikely(found)) < BOUND
    check_spread(found.sum(axis=1) / 32)
    check_spread(found.sum(axis=0) / 32)
    check_uncorrelated(found.reshape(-1), 0)


@pytest.mark.parametrize(("density", "kept"), [(0.0, False), (1.0, True)])
def test_dare_without_chance(density: float, kept: bool) -> None:
    assert np.all(drawn(bernoulli_mask, inputs(normal(8, 1000)), density) == kept)


TIED: dict[str, Callable[[Array], Array]] = {
    "distinct": lambda values: values,
    "constant": np.ones_like,
    "zero": np.zeros_like,
    "few": np.round,
    "one large": lambda values: (
        np.where(np.arange(values.shape[1]) == 1, 9, 1).astype(np.float32) + values * 0
    ),
}


@pytest.mark.parametrize("columns", [2, 3, 7, 64, 1000, 100_003])
@pytest.mark.parametrize("values", TIED)
@pytest.mark.parametrize(("density", "epsilon"), [(0.5, 0.15), (0.53, 0.4), (0.1, 0.09)])
def test_della_keeps_by_rank(values: str, columns: int, density: float, epsilon: float) -> None:
    """Probability density - epsilon + 2 epsilon (r - 1) / (n - 1); of equals the later one wins."""
    rows = max(4, 300_000 // columns)
    sizes = TIED[values](normal(rows, columns))
    mask = drawn(rank_mask, inputs(sizes), density, epsilon)
    ranks = np.argsort(np.argsort(np.abs(sizes), axis=1, kind="stable"), axis=1, kind="stable")
    by_rank_now = density - epsilon + 2 * epsilon * ranks / (columns - 1)
    found = deviations(mask, by_rank_now)
    assert abs(unlikely(deviations(mask, density))) < BOUND
    bins = (ranks * min(columns, 20) // columns).reshape(-1)
    counts = np.bincount(bins)
    per_bin = np.bincount(bins, found.reshape(-1)) / np.sqrt(counts)
    assert np.abs(per_bin).max() < BOUND
    check_spread(found.sum(axis=1) / np.sqrt(columns))
    check_uncorrelated(found, 1)
    check_uncorrelated(found, 0)


def test_della_works_in_rows_of_one() -> None:
    """They have no rank, so they are kept with the density; mergekit divides 0 by 0."""
    mask = drawn(rank_mask, inputs(normal(MILLION, 1)), 0.53, 0.15)
    found = deviations(mask, 0.53)
    assert abs(unlikely(found)) < BOUND
    check_uncorrelated(found, 0)


# One tensor, remade.

RANDOM = ["dare_linear", "dare_ties", "della_linear", "della"]
SHAPE = (300, 1001)


def thinned(
    method: str,
    models: dict[str, float] | None = None,
    tensors: tuple[str, ...] = ("t", "u"),
    base: str = "base",
    **more: Any,
) -> Tensors:
    """A merge with half of each task vector, of tensors that only their names tell apart."""
    made: dict[str, Tensors] = {
        name: {tensor: normal(*SHAPE, seed) for tensor in tensors}
        for seed, name in enumerate(("base", "m1", "m2", "same as m1"))
    }
    made["same as m1"] = made["m1"]
    merge = step(method, models or {"m1": 0.4, "m2": 0.7}, base, density=0.5, **more)
    return merged(made, merge)


@pytest.mark.parametrize("method", RANDOM)
def test_a_tensor_remade_alone_is_the_same(method: str) -> None:
    whole = thinned(method)["t"]
    np.testing.assert_array_equal(thinned(method, tensors=("t",))["t"], whole)
    np.testing.assert_array_equal(thinned(method, tensors=("a", "t", "z"))["t"], whole)
    swapped = thinned(method, {"m2": 0.7, "m1": 0.4})["t"]
    np.testing.assert_array_equal(swapped, whole)  # a sum of two is the same both ways


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("method", RANDOM)
def test_threads_do_not_change_it(
    method: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = thinned(method)
    monkeypatch.setattr("os.cpu_count", lambda: threads)
    again = thinned(method)
    for tensor, values in whole.items():
        np.testing.assert_array_equal(again[tensor], values)


@pytest.mark.parametrize("rows", [1, 7, 64])
@pytest.mark.parametrize("method", RANDOM)
def test_the_size_of_chunks_does_not_change_it(
    method: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without rescaling to the bit; with it, norms are summed up in another order."""
    whole = thinned(method, rescale=False)["t"]
    use(monkeypatch, Numpy, rows * SHAPE[1])
    np.testing.assert_array_equal(thinned(method, rescale=False)["t"], whole)
    rescaled = thinned(method)["t"]
    monkeypatch.undo()
    np.testing.assert_allclose(rescaled, thinned(method)["t"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", RANDOM)
def test_the_device_does_not_change_it(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = thinned(method, rescale=False)["t"]
    use(monkeypatch, BACKENDS["torch"])
    np.testing.assert_array_equal(thinned(method, rescale=False)["t"], whole)


@pytest.mark.parametrize("decide", [bernoulli_mask, rank_mask])
@pytest.mark.parametrize("key", [{"seed": 1}, {"tensor": "u"}, {"names": ("n",)}])
def test_another_key_draws_another_mask(decide: Callable[..., Any], key: dict[str, Any]) -> None:
    sizes = normal(1024, 1024)
    given = (0.53,) if decide is bernoulli_mask else (0.53, 0.15)
    expected = np.full(sizes.shape, 0.53)
    if decide is rank_mask:
        ranks = np.argsort(np.argsort(np.abs(sizes), axis=1), axis=1)
        expected = 0.53 - 0.15 + 0.3 * ranks / 1023
    one = drawn(decide, inputs(sizes), *given)
    np.testing.assert_array_equal(drawn(decide, inputs(sizes), *given), one)
    other = drawn(decide, inputs(sizes, **key), *given)
    assert abs(unlikely(deviations(one, expected) * deviations(other, expected))) < BOUND


def test_models_seeds_and_tensors_have_masks_of_their_own() -> None:
    only = {"m1": 1.0}
    made = thinned("dare_linear", only, rescale=False)
    base = normal(*SHAPE)
    kept = made["t"] != base
    assert 0.49 < kept.mean() < 0.51
    others = [
        thinned("dare_linear", only, rescale=False, seed=1)["t"],
        thinned("dare_linear", {"same as m1": 1.0}, rescale=False)["t"],
        made["u"] - normal(*SHAPE) + base,
    ]
    for other in others:
        agree = ((np.abs(other - base) > 1e-6) == kept).mean()
        assert abs(agree - 0.5) < BOUND * 0.5 / np.sqrt(kept.size)


# Ranks without sorting.

SAMPLE = ranking._SAMPLE


def adversaries(count: int) -> Iterator[tuple[str, Array]]:
    """Values of which a sample at regular distances tells the wrong thing, and ordinary ones."""
    rng = np.random.default_rng(count)
    plain = rng.normal(size=count)
    stride = max(count // SAMPLE, 1)
    place = np.arange(count)
    yield "normal", plain
    yield "constant", np.full(count, 3.5)
    yield "sorted", np.sort(plain)
    yield "reversed", np.sort(plain)[::-1].copy()
    yield "two values", rng.integers(0, 2, count).astype(float)
    yield "one other", np.where(place == count - 2, -1.0, 1.0)
    yield "duplicates", rng.integers(0, 50, count).astype(float)
    yield "infinities", np.where(rng.random(count) < 0.3, np.inf, np.abs(plain))
    yield "sample is least", np.where(place % stride == 0, -9.0, plain)
    yield "sample is most", np.where(place % stride == 0, 9.0, plain)
    yield "sample is spread", np.where(place % stride == 0, plain * 100, plain)
    yield "sample is narrow", np.where(place % stride == 0, plain / 1000, plain)
    yield "sample is constant", np.where(place % stride == 0, 0.25, plain)
    yield "periodic", (place % stride).astype(float)
    yield "zeros", np.where(rng.random(count) < 0.6, 0.0, plain)


COUNTS = [1, 2, 1000, 4 * SAMPLE - 1, 4 * SAMPLE, 4 * SAMPLE + 1, 5 * SAMPLE - 1, 6 * SAMPLE + 77]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("count", COUNTS)
def test_order_statistics_are_those_of_sorting(count: int, kind: Any) -> None:
    for name, wide in adversaries(count):
        values = wide.astype(kind)
        untouched, ordered = values.copy(), np.sort(values)
        places = {
            0,
            1,
            count // 100,
            count // 4,
            count // 2,
            int(count * 0.8),
            count - 2,
            count - 1,
        }
        for place in sorted(place for place in places if 0 <= place < count):
            wanted = float(ordered[place]), int(np.searchsorted(ordered, ordered[place]))
            assert order_statistic(values, place) == wanted, (name, place)
        np.testing.assert_array_equal(values, untouched)


def test_order_statistics_of_tensors() -> None:
    for name, values in adversaries(5000):
        ordered = np.sort(values)
        for place in (0, 1234, 2500, 4999):
            wanted = float(ordered[place]), int(np.searchsorted(ordered, ordered[place]))
            assert order_statistic(torch.from_numpy(values), place) == wanted, (name, place)


def kept_by_rank(sizes: Array, first: int, stop: int) -> Array:
    """By sorting: of equal values the earlier ranks lower."""
    order = np.argsort(sizes, kind="stable")
    keep = np.zeros(sizes.size, bool)
    keep[order[first:stop]] = True
    return keep


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 9),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.tuples(st.integers(1, 40), st.integers(1, 600), st.integers(1, 20_000)),
    st.sampled_from([np.float32, np.float64]),
)
@example(0, 1, (0.2, 0.9), (30, 500, 5000), np.float32)  # all are equal: both cuts in one value
@example(0, 2, (0.5, 1.0), (30, 500, 5000), np.float32)
@example(0, 1, (0.0, 0.5), (1, 1, 1), np.float32)
def test_a_band_keeps_exactly_what_was_asked_for(
    seed: int,
    different: int,
    cuts: tuple[float, float],
    sizes: tuple[int, int, int],
    kind: Any,
) -> None:
    """Over several chunks, compiled, with numpy's mask, and with torch."""
    rows, columns, chunk = sizes
    rng = np.random.default_rng(seed)
    first, stop = sorted(int(cut * rows * columns) for cut in cuts)
    stop = max(stop, first + 1)
    first, stop = min(first, rows * columns - 1), min(stop, rows * columns)
    # Away from 0, so that what is kept can be seen; both signs, so that magnitudes matter.
    values = rng.integers(1, different + 1, (rows, columns)) * rng.choice(
        [-0.25, 0.25], (rows, columns)
    )
    values = values.astype(kind)
    flat = np.abs(values).reshape(-1)
    wanted = kept_by_rank(flat, first, stop)
    assert wanted.sum() == stop - first
    compiled, masked, tensors = (rank_band(flat, first, stop) for _ in range(3))
    for part in inputs(values, chunk).chunks():
        here = slice(part.start * columns, part.stop * columns)
        (model,) = part.models
        whole, base = model.copy(), part.base
        mask = masked.mask(np.abs(whole))
        np.testing.assert_array_equal(mask.reshape(-1), wanted[here])
        kept = compiled.apply(part, model, 0.5, np.empty_like(model))
        np.testing.assert_array_equal(kept, np.where(mask, whole, 0) * kind(0.5))
        in_torch = Chunk(part.start, part.stop, torch.from_numpy(base), [torch.from_numpy(whole)])
        again = tensors.apply(in_torch, in_torch.models[0], 0.5)
        np.testing.assert_array_equal(again.numpy(), kept)


def test_a_band_may_hold_zeros() -> None:
    sizes = np.array([0, 1, 0, 0, 2, 0], np.float32)
    np.testing.assert_array_equal(rank_band(sizes, 1, 5).mask(sizes), kept_by_rank(sizes, 1, 5))
