"""Genomes that are routes: what they mean, what becomes of broken ones, what is tried first."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineage.records import Floats
from population.errors import PopulationError
from population.evolution.spaces.both import BothSpace
from population.evolution.spaces.flow import (
    KINDS,
    MAX_SCALE_PRODUCT,
    SCALE_STEP,
    FlowSpace,
    sources_used,
)
from population.merging.routes import Route, RouteStep, from_indicators

TWO = FlowSpace((3, 2), repeats=2, longest=6)
THREE = FlowSpace((4, 4, 4), repeats=3, longest=8)
BOTH = BothSpace((1, 2), blocks=5, low=-1, high=2, flow=FlowSpace((2, 2, 2, 2), 2), models=1)
TWICE = BothSpace((0, 1), blocks=3, low=0, high=1, flow=FlowSpace((3, 3, 3, 3)), models=2)


def path(route: Route) -> list[tuple[int, int]]:
    return [(step.model, step.layer) for step in route.steps]


def genome_of(space: FlowSpace, slots: list[int], scale: float = 1.0) -> Floats:
    """The genome that takes some slots."""
    genome = np.tile([0.0, scale], space.slots)
    genome[[2 * slot for slot in slots]] = 1.0
    return genome


def test_a_slot_is_an_indicator_and_a_scale() -> None:
    space = TWO.space
    assert (TWO.slots, space.genes, space.blocks) == (10, 20, 10)
    assert space.block.tolist()[:4] == [0, 0, 1, 1]
    assert space.integer.tolist()[:4] == [True, False, True, False]
    assert space.step.tolist()[:2] == [1.0, SCALE_STEP]
    assert (space.low.tolist()[:2], space.high.tolist()[:2]) == ([0.0, 0.5], [1.0, 1.5])
    genome = genome_of(TWO, [0, 4, 6, 9])  # the row of 3 + 2 layers, twice
    genome[2 * 4 + 1], genome[2 * 9 + 1], genome[2 * 1 + 1] = 0.7, 1.2, 1.4
    assert TWO.route(genome).steps == (
        RouteStep(0, 0),
        RouteStep(1, 1, 0.7),
        RouteStep(0, 1),
        RouteStep(1, 1, 1.2),
    )


@pytest.mark.parametrize("space", [TWO, THREE])
def test_a_founder_is_its_own_layers(space: FlowSpace) -> None:
    for source, count in enumerate(space.layers):
        genome = space.founder(source)
        assert space.route(genome).steps == tuple(
            RouteStep(source, layer) for layer in range(count)
        )
        assert space.outside(genome, base=1) == source
        np.testing.assert_array_equal(space.repaired(genome), genome)


def test_scales_of_slots_can_say_of_a_route_what_the_papers_matrix_says() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.uniform(0.5, 1.5, (12, 12))
    for _ in range(20):
        genome = genome_of(THREE, np.flatnonzero(rng.random(THREE.slots) < 0.3).tolist())
        indicators = genome[::2].astype(int).tolist()
        wanted = from_indicators(indicators, THREE.layers, THREE.repeats, matrix=matrix)
        taken = np.flatnonzero(genome[::2])
        for before, after in pairwise(taken):
            genome[2 * after + 1] = matrix[before % 12, after % 12]
        assert THREE.route(genome) == wanted


def test_a_genome_of_nothing_becomes_the_first_source() -> None:
    nothing = genome_of(TWO, [], scale=0.9)
    repaired = TWO.route(TWO.repaired(nothing))
    assert repaired.steps == (RouteStep(0, 0, 0.9), RouteStep(0, 1, 0.9), RouteStep(0, 2, 0.9))


def test_a_route_that_is_too_long_is_thinned_out_and_keeps_its_ends() -> None:
    assert path(TWO.route(TWO.repaired(genome_of(TWO, list(range(10)))))) == [
        (0, 0), (0, 2), (1, 1), (0, 0), (0, 2), (1, 1),
    ]  # fmt: skip
    one_more = THREE.repaired(genome_of(THREE, list(range(9))))
    left_out = set(range(9)) - set(np.flatnonzero(one_more[::2]).tolist())
    assert left_out <= {3, 4, 5}
    assert len(left_out) == 1


def test_scales_that_weights_could_not_hold_are_drawn_in() -> None:
    space = FlowSpace((200,), scales=(0.1, 4.0))
    genome = genome_of(space, list(range(200)), scale=4.0)
    repaired = space.repaired(genome)
    streams = space.route(repaired).streams
    assert streams[-1] == pytest.approx(MAX_SCALE_PRODUCT)
    np.testing.assert_array_equal(space.repaired(repaired), repaired)
    shrunk = space.repaired(np.where(genome == 4.0, 0.1, genome))
    assert space.route(shrunk).streams[-1] == pytest.approx(1 / MAX_SCALE_PRODUCT)


spaces = st.builds(
    lambda layers, repeats, longest, low, high: FlowSpace(
        tuple(layers), repeats, None if longest is None else max(layers) + longest, (low, high)
    ),
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.integers(1, 3),
    st.none() | st.integers(0, 5),
    st.floats(1e-6, 1.0),
    st.floats(1.0, 1e6),
)


@given(spaces, st.integers(0, 2**31), st.floats(0, 1), st.floats(0, 3))
def test_whatever_is_flipped_and_jittered_is_a_route_once_repaired(
    space: FlowSpace, seed: int, flips: float, jitter: float
) -> None:
    rng = np.random.default_rng(seed)
    genomes = np.array([space.founder(int(rng.integers(len(space.layers)))) for _ in range(4)])
    slots = genomes.reshape(4, -1, 2)
    flipped = rng.random(slots.shape[:2]) < flips
    slots[..., 0] = np.where(flipped, 1 - slots[..., 0], slots[..., 0])
    slots[..., 1] *= np.exp(jitter * rng.standard_normal(slots.shape[:2]))
    before = genomes.copy()
    repaired = space.repaired(genomes)
    np.testing.assert_array_equal(genomes, before)
    np.testing.assert_array_equal(space.repaired(repaired), repaired)
    limits = space.space
    assert np.all((repaired >= limits.low) & (repaired <= limits.high))
    for genome, mended in zip(genomes, repaired, strict=True):
        np.testing.assert_array_equal(space.repaired(genome), mended)
        assert 1 <= len(space.route(mended).steps) <= space.limit
        if 1 <= genome[::2].sum() <= space.limit:
            np.testing.assert_array_equal(mended[::2], genome[::2])


@given(spaces, st.integers(0, 2**31))
def test_a_route_that_has_a_genome_comes_back_from_it(space: FlowSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layers = [(m, layer) for m, count in enumerate(space.layers) for layer in range(count)]
    places = rng.integers(len(layers), size=int(rng.integers(1, 6)))
    low, high = space.scales
    route = Route(tuple(RouteStep(*layers[p], float(rng.uniform(low, high))) for p in places))
    rows = 1 + sum(after <= before for before, after in pairwise(places))
    genome = space.genome(route)
    if rows > space.repeats or len(places) > space.limit:
        assert genome is None
    else:
        assert genome is not None
        assert space.route(genome) == route


def test_what_people_try_by_hand_comes_first() -> None:
    first = THREE.initial_genomes(np.random.default_rng(0), 60)
    assert len(first) == 60
    assert {kind for kind, *_ in first} == set(KINDS)
    assert len({genome.tobytes() for _, genome, _ in first}) == 60
    for kind, genome, mixed in first:
        np.testing.assert_array_equal(THREE.repaired(genome), genome)
        route = THREE.route(genome)
        assert mixed == sources_used(route)
        layers = [step.layer for step in route.steps]
        if kind == "frankenmerge":
            assert layers == [0, 1, 2, 3]
            assert len(mixed) == 2
        elif kind == "stack":
            assert layers == [0, 1, 2, 3] * 2
        elif kind in {"repeat", "insert"}:
            assert len(layers) == 5
            assert len(mixed) == (1 if kind == "repeat" else 2)
    again = THREE.initial_genomes(np.random.default_rng(0), 60)
    assert [genome.tolist() for _, genome, _ in again] == [g.tolist() for _, g, _ in first]


def test_a_space_with_little_in_it_gives_what_there_is() -> None:
    alone = FlowSpace((2,), scales=(1, 1)).initial_genomes(np.random.default_rng(0), 10)
    assert {tuple(path(FlowSpace((2,)).route(genome))) for _, genome, _ in alone} == {
        ((0, 0),),
        ((0, 1),),
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layers": ()}, "expected sources with layers"),
        ({"layers": (3, 0)}, "expected sources with layers"),
        ({"repeats": 0}, "expected one repeat"),
        ({"scales": (0, 1)}, "positive scales around 1, got 0 to 1"),
        ({"scales": (1.1, 1.5)}, "positive scales around 1"),
        ({"longest": 2}, "routes of 2 layers at most leave no room for a source of 3"),
    ],
)
def test_a_space_that_cannot_be_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(PopulationError, match=message):
        FlowSpace(**{"layers": (3, 2)} | given)


def test_merges_and_a_route_lie_in_one_genome() -> None:
    space = BOTH.space
    assert (BOTH.founders, BOTH.coefficients, space.genes) == (3, 10, 10 + 2 * 16)
    assert space.block[:10].tolist() == [0, 1, 2, 3, 4] * 2
    assert space.block[10:14].tolist() == [5, 5, 6, 6]
    assert TWICE.space.block[:12].tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]
    genome = np.concatenate([np.arange(10.0), BOTH.flow.founder(3)])
    np.testing.assert_array_equal(BOTH.merged(genome), np.arange(10.0).reshape(1, 2, 5))
    assert path(BOTH.route(genome)) == [(3, 0), (3, 1)]
    repaired = BOTH.repaired(np.array([genome, np.zeros_like(genome)]))
    assert repaired[0, :10].tolist() == [0, 1, *[2] * 8]
    assert path(BOTH.route(repaired[1])) == [(0, 0), (0, 1)]


def test_a_founder_among_merges_is_itself() -> None:
    for number in range(BOTH.founders):
        genome = BOTH.founder(number)
        assert path(BOTH.route(genome)) == [(number, 0), (number, 1)]
        expected = [[float(vector == number)] * 5 for vector in BOTH.vectors]
        assert BOTH.merged(genome)[0].tolist() == expected
        np.testing.assert_array_equal(BOTH.repaired(genome), genome)


@pytest.mark.parametrize(
    ("used", "outside"), [((0, 1), 2), ((1,), 1), ((3,), 3), ((0, 3), 3), ((0, 2), 2)]
)
def test_what_lies_outside_layers_is_the_merged_models_if_it_is_used(
    used: tuple[int, ...], outside: int
) -> None:
    flow = BOTH.flow.genome(Route(tuple(RouteStep(source, 0) for source in used)))
    assert flow is not None
    assert BOTH.outside(np.concatenate([np.zeros(10), flow]), base=2) == outside


@pytest.mark.parametrize("space", [BOTH, TWICE])
def test_merges_and_routes_are_tried_first(space: BothSpace) -> None:
    first = space.initial_genomes(np.random.default_rng(1), 40)
    assert len(first) == 40
    kinds = {kind for kind, *_ in first}
    assert kinds & set(KINDS)
    assert kinds & {"pair", "arithmetic", "average", "mixture"}
    for _, genome, mixed in first:
        np.testing.assert_array_equal(space.repaired(genome), genome)
        used = sources_used(space.route(genome))
        assert set(mixed) >= {source for source in used if source < space.founders}
        assert set(mixed) <= set(range(space.founders))
        assert mixed


def test_merges_that_no_source_stands_for_are_refused() -> None:
    with pytest.raises(PopulationError, match="1 merged models behind the founders"):
        BothSpace((0, 1, 2), 1, 0, 1, FlowSpace((2, 2, 2)))
    with pytest.raises(PopulationError, match="0 merged models"):
        BothSpace((0, 1), 1, 0, 1, FlowSpace((2, 2)), models=0)
