"""Breeding: operators keep their promises, and draws can be repeated."""

from dataclasses import replace

import numpy as np
import pytest

from lineage.records import Floats
from population.evolution.operators import OPERATORS, Recombination
from population.evolution.operators.ensemble import rank_weights
from population.evolution.operators.iso_line import ISO, LINE
from population.evolution.operators.slerp import BEYOND, arc
from population.evolution.operators.svd_mutation import STRENGTH
from population.evolution.spaces.both import BothSpace
from population.evolution.spaces.flow import FlowSpace
from population.evolution.spaces.initial_genomes import equal_parents, initial_merges
from population.evolution.spaces.parameter import ParameterSpace
from population.randomness import generator
from population.weights.geometry import Geometry

VECTORS, BLOCKS = 3, 5
SPACE = ParameterSpace(VECTORS + 1, (1, 2, 3), BLOCKS, -10.0, 10.0)
NAMES = sorted(OPERATORS)
QUIET = sorted({*OPERATORS} - {"iso_line", "singular"})
"""Operators whose children are like their parents where these are alike."""
BY_BLOCK = ["blend", "gate", "slerp", "split_point"]
"""Operators that mix two parents in every block, all of its genes alike."""
ROUTES = {
    "flow": FlowSpace((2, 2, 2), repeats=2, longest=5),
    "both": BothSpace((1, 2), 4, -1.0, 2.0, FlowSpace((2, 2, 2, 2))),
}


def task_vectors(seed: int = 5, size: int = 7) -> Floats:
    """Explicit weights: shape (blocks, vectors, size)."""
    return np.random.default_rng(seed).normal(size=(BLOCKS, VECTORS, size))


def geometry(vectors: Floats) -> Geometry:
    return Geometry(np.einsum("bvs,bws->bvw", vectors, vectors))


def weights_of(genome: Floats, vectors: Floats) -> Floats:
    """What a genome adds to the base, block by block: shape (blocks, size)."""
    return np.einsum("vb,bvs->bs", SPACE.coefficients(genome), vectors)


def mating(
    name: str, seed: int = 0, parents: Floats | None = None, vectors: Floats | None = None
) -> Recombination:
    """Random parents with unequal shares."""
    count = 6 if OPERATORS[name].ensemble else 2
    if parents is None:
        parents = np.random.default_rng(seed).normal(size=(count, SPACE.space.genes))
    shares = np.arange(1.0, len(parents) + 1)
    return Recombination(
        generator(seed, "mating"),
        parents,
        shares / shares.sum(),
        SPACE.space,
        geometry(task_vectors() if vectors is None else vectors),
    )


def in_blocks(genome: Floats) -> Floats:
    """The genes of each block: shape (blocks, vectors)."""
    return SPACE.coefficients(genome).T


@pytest.mark.parametrize("name", QUIET)
def test_equal_parents_have_equal_children(name: str) -> None:
    pair = mating(name)
    same = np.repeat(pair.parents[:1], len(pair.parents), axis=0)
    child = OPERATORS[name].make(mating(name, parents=same))
    np.testing.assert_allclose(child, same[0], atol=1e-12)


@pytest.mark.parametrize("name", QUIET)
def test_a_child_lies_in_what_its_parents_span_block_by_block(name: str) -> None:
    pair = mating(name)
    child = in_blocks(OPERATORS[name].make(pair))
    for block in range(BLOCKS):
        spanned = np.array([in_blocks(parent)[block] for parent in pair.parents]).T
        solution = np.linalg.lstsq(spanned, child[block], rcond=None)[0]
        np.testing.assert_allclose(spanned @ solution, child[block], atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_draw_makes_the_same_child_and_parents_are_left_alone(name: str) -> None:
    make = OPERATORS[name].make
    pair = mating(name, seed=3)
    before = pair.parents.copy()
    pair.parents.setflags(write=False)
    first = make(pair)
    assert first.shape == (SPACE.space.genes,)
    assert np.array_equal(pair.parents, before)
    assert not np.shares_memory(first, pair.parents)
    assert np.array_equal(first, make(mating(name, seed=3, parents=before)))
    other = make(replace(pair, rng=generator(4, "mating")))
    assert np.array_equal(first, other) == (name == "soup")


@pytest.mark.parametrize("name", BY_BLOCK)
def test_all_genes_of_a_block_are_mixed_alike(name: str) -> None:
    """They do not stand beside each other in a genome."""
    assert (np.diff(SPACE.space.block) != 0).all()
    pair = mating(name)
    child, first, mate = (in_blocks(g) for g in (OPERATORS[name].make(pair), *pair.parents))
    for block in range(BLOCKS):
        both = np.array([first[block], mate[block]]).T
        _, error, *_ = np.linalg.lstsq(both, child[block], rcond=None)
        assert error.sum() < 1e-18


@pytest.mark.parametrize("kind", ROUTES)
@pytest.mark.parametrize("name", [name for name in NAMES if not OPERATORS[name].geometric])
def test_routes_have_valid_children_too(name: str, kind: str) -> None:
    space = ROUTES[kind]
    count = 6 if OPERATORS[name].ensemble else 2
    drawn = [genome for _, genome, _ in space.initial_genomes(generator(0, "first"), count)]
    parents = np.array(drawn)
    shares = np.full(count, 1.0 / count)
    for seed in range(20):
        pair = Recombination(generator(seed, "mating"), parents, shares, space.space)
        child = space.repaired(OPERATORS[name].make(pair))
        assert child.shape == (space.space.genes,)
        assert (child[space.space.integer] % 1 == 0).all()
        assert (child >= space.space.low).all()
        assert (child <= space.space.high).all()
        assert len(space.route(child).steps) >= 1


# One by one


def test_blend_takes_each_block_a_place_on_the_line() -> None:
    pair = mating("blend")
    child = in_blocks(OPERATORS["blend"].make(pair))
    first, mate = (in_blocks(parent) for parent in pair.parents)
    places = (child - first) / (mate - first)
    assert np.ptp(places, axis=1).max() < 1e-9
    assert len(set(places[:, 0].round(6))) == BLOCKS
    shift = pair.weights[1] - 0.5
    assert places.min() >= -0.2 + shift
    assert places.max() <= 1.2 + shift


def test_the_gate_takes_every_block_whole() -> None:
    taken = {0: 0, 1: 0}
    for seed in range(200):
        pair = mating("gate", seed)
        child = in_blocks(OPERATORS["gate"].make(pair))
        both = np.array([in_blocks(parent) for parent in pair.parents])
        whole = (child == both).all(axis=2)
        assert (whole.sum(axis=0) == 1).all()
        for parent in taken:
            taken[parent] += int(whole[parent].sum())
    # The shares are 1/3 and 2/3 of a thousand blocks.
    assert 600 < taken[1] < 730


def test_iso_line_is_its_formula() -> None:
    pair = mating("iso_line")
    child = OPERATORS["iso_line"].make(pair)
    rng = generator(0, "mating")
    first, mate = pair.parents
    noise = rng.standard_normal(len(first)) * SPACE.space.step
    expected = first + ISO * noise + LINE * rng.standard_normal() * (mate - first)
    np.testing.assert_allclose(child, expected)


def test_a_soup_is_the_weighted_mean() -> None:
    pair = mating("soup")
    parts = [weight * parent for weight, parent in zip(pair.weights, pair.parents, strict=True)]
    np.testing.assert_allclose(OPERATORS["soup"].make(pair), sum(parts))


def test_an_ensemble_scatters_as_its_parents_do() -> None:
    """Over many draws: their weighted mean, and their weighted covariance."""
    pair = mating("ensemble")
    children = np.array(
        [
            OPERATORS["ensemble"].make(replace(pair, rng=generator(seed, "many")))
            for seed in range(20_000)
        ]
    )
    mean = pair.weights @ pair.parents
    apart = pair.parents - mean
    covariance = (apart.T * pair.weights) @ apart
    np.testing.assert_allclose(children.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(children.T, bias=True), covariance, atol=0.06)


def test_ranks_weigh_less_and_less() -> None:
    weights = rank_weights(6)
    assert weights.sum() == pytest.approx(1.0)
    assert (np.diff(weights) < 0).all()
    assert (weights > 0).all()
    np.testing.assert_allclose(weights[0] / weights[1], np.log(6.5) / (np.log(6.5) - np.log(2)))


def test_singular_scales_what_the_parent_does() -> None:
    """U and V are the parent's, and every singular value is multiplied by its own factor."""
    pair = mating("singular")
    child = in_blocks(OPERATORS["singular"].make(pair))
    left, values, right = np.linalg.svd(in_blocks(pair.parents[0]), full_matrices=False)
    core = left.T @ child @ right.T
    factors = np.diag(core) / values
    np.testing.assert_allclose(core, np.diag(factors * values), atol=1e-12)
    rng = generator(0, "mating")
    np.testing.assert_allclose(factors, 1 + STRENGTH * rng.standard_normal(VECTORS))


def test_singular_leaves_unused_directions_unused() -> None:
    genome = np.outer([0.5, 0.25, 0.0], np.ones(BLOCKS)).ravel()  # one direction in all blocks
    pair = mating("singular", parents=np.array([genome, genome]))
    child = OPERATORS["singular"].make(pair)
    np.testing.assert_allclose(child, genome * child[0] / genome[0], atol=1e-12)


# On the arc


def slerped(one: Floats, other: Floats, place: float, angle: float | None = None) -> Floats:
    """Textbook SLERP of two explicit vectors."""
    if angle is None:
        angle = np.arccos(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    return np.asarray(
        (np.sin((1 - place) * angle) * one + np.sin(place * angle) * other) / np.sin(angle)
    )


@pytest.mark.parametrize("seed", range(5))
def test_slerp_is_slerp_of_the_weights_themselves(seed: int) -> None:
    """The genome's arithmetic against the same on the vectors that genomes stand for."""
    vectors = task_vectors(seed, size=30)
    pair = mating("slerp", seed, vectors=vectors)
    made = weights_of(OPERATORS["slerp"].make(pair), vectors)
    first, mate = (weights_of(parent, vectors) for parent in pair.parents)
    rng = generator(seed, "mating")
    places = rng.uniform(-BEYOND, 1 + BEYOND, size=BLOCKS) + pair.weights[1] - 0.5
    for block, place in enumerate(places):
        np.testing.assert_allclose(
            made[block], slerped(first[block], mate[block], place), atol=1e-9
        )


def test_slerp_keeps_the_length_of_parents_that_have_the_same() -> None:
    vectors = task_vectors(size=30)
    pair = mating("slerp", vectors=vectors)
    first, mate = (weights_of(parent, vectors) for parent in pair.parents)
    ratio = np.linalg.norm(first, axis=1) / np.linalg.norm(mate, axis=1)
    parents = np.array([pair.parents[0], pair.parents[1] * pair.per_block(ratio)])
    made = weights_of(
        OPERATORS["slerp"].make(mating("slerp", parents=parents, vectors=vectors)), vectors
    )
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), np.linalg.norm(first, axis=1))


def test_the_arc_ends_at_both_and_is_the_line_where_there_is_none() -> None:
    angles = np.array([1.0, 0.0, np.pi, 1e-6, np.pi / 2])
    for place, ends in ((0.0, (1.0, 0.0)), (1.0, (0.0, 1.0))):
        found = np.array(arc(angles, np.full(5, place)))
        np.testing.assert_allclose(found.T, np.tile(ends, (5, 1)), atol=1e-12)
    of_first, of_mate = arc(angles, np.full(5, 0.3))
    np.testing.assert_allclose(of_first[1:4], 0.7, atol=1e-9)
    np.testing.assert_allclose(of_mate[1:4], 0.3, atol=1e-9)
    np.testing.assert_allclose(of_first[4], np.sin(0.7 * np.pi / 2))


def test_split_point_has_one_angle_one_ratio_and_one_split() -> None:
    vectors = task_vectors(size=30)
    splits = set()
    for seed in range(40):
        pair = mating("split_point", seed, vectors=vectors)
        child = OPERATORS["split_point"].make(pair)
        made = weights_of(child, vectors)
        first, mate = (weights_of(parent, vectors) for parent in pair.parents)
        one, other = first.ravel(), mate.ravel()
        angle = np.arccos(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
        rng = generator(seed, "mating")
        split, ratio = int(rng.integers(BLOCKS + 1)), rng.random()
        before = slerped(first, mate, 1 - ratio, angle)
        after = slerped(first, mate, ratio, angle)
        np.testing.assert_allclose(made[:split], before[:split], atol=1e-9)
        np.testing.assert_allclose(made[split:], after[split:], atol=1e-9)
        splits.add(split)
    assert splits == set(range(BLOCKS + 1))


# Draws, and the first population


def test_generators_differ_by_every_part_of_their_key() -> None:
    draws = {
        generator(*key).random()
        for key in ((1, "a", 2), (2, "a", 2), (1, "b", 2), (1, "a", 3), (1, "a", 2, 0))
    }
    assert len(draws) == 5
    assert generator(1, "a", 2).random() == generator(1, "a", 2).random()


def test_founders_without_a_base_are_put_together_block_by_block_too() -> None:
    made = initial_merges(generator(0, "first"), vectors=4, blocks=3, size=10, base=False)
    patchworks = [genome for how, genome, _ in made if how == "patchwork"]
    assert len(patchworks) == 20
    for genome in patchworks:
        assert np.array_equal(np.sort(genome, axis=0), [[0.0] * 3] * 3 + [[1.0] * 3])
    assert len({genome.tobytes() for genome in patchworks}) > 10


def test_the_first_population_holds_what_people_try_by_hand() -> None:
    made = initial_merges(generator(0, "first"), vectors=4, blocks=3, size=10, base=True)
    assert len(made) >= 10
    kinds = {how for how, _, _ in made}
    assert kinds == {"arithmetic", "average", "pair", "mixture"}
    pairs = [mixed for how, _, mixed in made if how == "pair"]
    assert sorted(pairs) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    for how, genome, mixed in made:
        assert genome.shape == (4, 3)
        if how == "pair":
            assert np.flatnonzero(genome.any(axis=1)).tolist() == list(mixed)
            np.testing.assert_allclose(genome.sum(axis=0), 1.0)


def test_parents_of_the_first_population_share_equally() -> None:
    assert [(p.id, p.share, p.role) for p in equal_parents((3, 5))] == [
        (3, 0.5, "first"),
        (5, 0.5, "mate"),
    ]
    assert {p.role for p in equal_parents((1, 2, 3))} == {"ensemble"}
