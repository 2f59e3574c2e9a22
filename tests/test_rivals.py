"""Rivals are what their papers and their code say, on cases that were worked out by hand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, pairwise

import numpy as np
import pytest

from tests.benchmarks.rivals import (
    RIVALS,
    cma_es,
    ga,
    m2n2,
    map_elites,
    pso,
    random_search,
    stock_pygad,
)
from tests.benchmarks.rivals.problem import Floats, Problem, Referee, Spent

GROUPS = (np.array([0, 1, 4, 5, 8, 9]), np.array([2, 3, 6, 7, 10, 11]))


@dataclass
class Specialists:
    """Items want a coordinate near 0.5, a little, more and very near; each founder has one right.

    The optimum is 0.5 everywhere.
    """

    budget: int
    founders: Floats = field(default_factory=lambda: 0.5 * np.eye(4))
    asked: list[Floats] = field(default_factory=list)
    offered: list[Floats] = field(default_factory=list)

    def scores(self, vectors: Floats) -> Floats:
        if len(vectors) > self.budget:
            raise Spent
        self.budget -= len(vectors)
        self.asked.append(vectors)
        return self.solved(vectors)

    def offer(self, vector: Floats) -> None:
        self.offered.append(vector)

    def solved(self, vectors: Floats) -> Floats:
        distance = np.abs(vectors - 0.5)
        return np.hstack([distance < within for within in (0.4, 0.2, 0.1)]).astype(float)


class Hopeless(Specialists):
    """Nobody ever solves anything."""

    def solved(self, vectors: Floats) -> Floats:
        return np.zeros((len(vectors), 12))


class Smooth(Specialists):
    """Any step towards the optimum is seen."""

    def solved(self, vectors: Floats) -> Floats:
        return np.exp(-np.abs(vectors - 0.5))


Rival = Callable[[Problem, np.random.Generator], None]
RUNS: dict[str, Rival] = {
    **RIVALS,
    "map_elites": partial(RIVALS["map_elites"], settings=map_elites.MapElitesSettings(GROUPS)),
    "m2n2 with mutation": partial(m2n2.m2n2, settings=m2n2.M2N2Settings(mutation=0.01)),
    "middle of the sweep": partial(pso.pso, settings=pso.MIDDLE_OF_SWEEP),
}


def run(rival: Rival, problem: Specialists, seed: int = 0) -> Specialists:
    with pytest.raises(Spent):
        rival(problem, np.random.default_rng(seed))
    return problem


@pytest.fixture(params=sorted(RUNS))
def rival(request: pytest.FixtureRequest) -> Rival:
    return RUNS[request.param]


# All of them


def test_finds_better_than_its_founders(rival: Rival) -> None:
    problem = run(rival, Specialists(500))
    best_founder = problem.solved(problem.founders).mean(axis=1).max()
    assert problem.solved(problem.offered[-1][np.newaxis]).mean() > best_founder


def test_spends_the_budget_to_the_last_evaluation(rival: Rival) -> None:
    problem = run(rival, Specialists(203))
    assert problem.budget == 0
    assert sum(map(len, problem.asked)) == 203


def test_offers_whatever_beats_all_before_it(rival: Rival) -> None:
    problem = run(rival, Specialists(200))
    best, expected = -1.0, []
    for batch in problem.asked:
        means = problem.solved(batch).mean(axis=1)
        if means.max() > best:
            best = means.max()
            expected.append(batch[means.argmax()])
    np.testing.assert_array_equal(problem.offered, expected)


def test_is_repeatable_from_its_seed(rival: Rival) -> None:
    state = np.random.get_state(legacy=False)["state"]["key"]  # noqa: NPY002 - nobody may touch it
    first, again, other = (run(rival, Specialists(200), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(np.vstack(first.asked), np.vstack(again.asked))
    assert not np.array_equal(np.vstack(first.asked), np.vstack(other.asked))
    after = np.random.get_state(legacy=False)["state"]["key"]  # noqa: NPY002
    np.testing.assert_array_equal(after, state)


def test_goes_on_where_nobody_solves_anything(rival: Rival) -> None:
    assert len(run(rival, Hopeless(200)).offered) == 1


def test_the_referee_copies_what_it_passes_on() -> None:
    problem = Specialists(10)
    vectors = np.full((1, 4), 0.5)
    Referee(problem).scores(vectors)
    vectors[:] = 0.0
    np.testing.assert_array_equal(problem.offered, [[0.5] * 4])


# M2N2

SCORES = np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
"""Three models on four items. Crowds are 3, 1, 1 and 0 (which counts as 1)."""


def test_shared_fitness_by_hand() -> None:
    np.testing.assert_allclose(m2n2.shared_fitness(SCORES, 1.0), [4 / 3, 4 / 3, 1 / 3])
    np.testing.assert_allclose(m2n2.shared_fitness(SCORES, 0.0), [2, 2, 1])


def test_shared_fitness_divides_the_solved_items_among_all() -> None:
    scores = (np.random.default_rng(0).random((20, 100)) < 0.1).astype(float)
    covered = np.count_nonzero(scores.any(axis=0))
    assert m2n2.shared_fitness(scores, 1.0).sum() == pytest.approx(covered)


def test_attraction_by_hand() -> None:
    np.testing.assert_allclose(m2n2.attraction(SCORES, 0, 1.0), [0, 1, 0])
    np.testing.assert_allclose(m2n2.attraction(SCORES, 2, 1.0), [1, 1, 0])
    halves = np.array([[0.5, 0.0], [1.0, 0.5]])
    np.testing.assert_allclose(m2n2.attraction(halves, 0, 1.0), [0, 0.5 / 1.5 + 1])


def test_the_second_parent_has_what_the_first_lacks() -> None:
    rng = np.random.default_rng(0)
    pairs = {m2n2.parents(SCORES, rng, m2n2.PUBLISHED) for _ in range(200)}
    assert pairs == {(0, 1), (1, 0), (2, 0), (2, 1)}
    alone = {m2n2.parents(SCORES[[0, 0]], rng, m2n2.PUBLISHED) for _ in range(20)}
    assert alone == {(0, 0), (1, 0)}  # nobody attracts: the first row


def test_the_genetic_algorithm_draws_both_parents_by_accuracy() -> None:
    rng = np.random.default_rng(0)
    pairs = np.array([m2n2.parents(SCORES, rng, ga.PUBLISHED) for _ in range(4000)])
    for parent in pairs.T:
        np.testing.assert_allclose(np.bincount(parent) / 4000, [0.4, 0.4, 0.2], atol=0.03)
    assert (pairs[:, 0] == pairs[:, 1]).any()


@pytest.mark.parametrize("mutation", [0.0, 0.01])
def test_only_mutation_leaves_what_the_founders_span(mutation: float) -> None:
    founders = 0.5 * np.eye(4)[:2]
    for rival in (
        partial(m2n2.m2n2, settings=m2n2.M2N2Settings(mutation=mutation)),
        partial(
            map_elites.map_elites,
            settings=map_elites.MapElitesSettings(GROUPS, mutation=mutation),
        ),
    ):
        children = np.vstack(run(rival, Specialists(200, founders)).asked[1:])
        assert children[:, 2:].any() == (mutation > 0.0)
        assert children[0, 2:].std() <= 3.0 * mutation


def test_slerp_at_its_ends_returns_the_parents_exactly() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 7))
    for weight, split, child in (
        (0.0, 7, first),
        (1.0, 7, second),
        (0.0, 0, second),
        (1.0, 0, first),
        (0.0, 3, np.r_[first[:3], second[3:]]),
        (1.0, 3, np.r_[second[:3], first[3:]]),
    ):
        np.testing.assert_array_equal(m2n2.split_point_slerp(first, second, weight, split), child)


@pytest.mark.parametrize("weight", [0.1, 0.5, 0.8])
def test_slerp_keeps_the_norm_of_unit_vectors(weight: float) -> None:
    first, second = np.random.default_rng(1).normal(size=(2, 7))
    first, second = first / np.linalg.norm(first), second / np.linalg.norm(second)
    child = m2n2.split_point_slerp(first, second, weight, 7)
    assert np.linalg.norm(child) == pytest.approx(1.0)
    assert np.arccos(child @ first) == pytest.approx(weight * np.arccos(first @ second))


def test_slerp_has_one_angle_for_the_whole_vector() -> None:
    """The halves are parallel and perpendicular; the whole vectors are at 60 degrees."""
    first, second = np.array([1.0, 1.0, 0.0]), np.array([1.0, 0.0, 1.0])
    child = m2n2.split_point_slerp(first, second, 0.25, 1)
    sin = np.sin(np.deg2rad([15, 45, 60]))
    np.testing.assert_allclose(child * sin[2], [sin[0] + sin[1], sin[0], sin[1]])


def test_slerp_is_linear_where_there_is_no_angle() -> None:
    vector, zero = np.array([3.0, 4.0]), np.zeros(2)
    np.testing.assert_allclose(m2n2.split_point_slerp(vector, 3 * vector, 0.5, 2), 2 * vector)
    np.testing.assert_allclose(m2n2.split_point_slerp(vector, zero, 0.5, 2), vector / 2)


def test_crossover_mirrors_its_weight_at_the_split_point() -> None:
    rng = np.random.default_rng(0)
    first, second = np.eye(2)
    whole = np.array([m2n2.crossover(first, second, rng, split_point=False) for _ in range(50)])
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1.0)
    split = np.array([m2n2.crossover(first, second, rng) for _ in range(50)])
    before_all = np.isclose(np.linalg.norm(split, axis=1), 1.0)
    between = np.isclose(split[:, 0], split[:, 1])
    assert (before_all ^ between).all()
    assert 10 < between.sum() < 40


def test_a_child_replaces_the_least_fit_by_hand() -> None:
    vectors, scores = np.arange(3.0)[:, np.newaxis], SCORES.copy()
    m2n2.replace_worst(vectors, scores, np.array([9.0]), np.array([0.0, 0.0, 0.0, 1.0]), 1.0)
    np.testing.assert_array_equal(vectors[:, 0], [0, 1, 9])
    np.testing.assert_array_equal(scores[2], [0, 0, 0, 1])


def test_a_child_that_is_the_least_fit_itself_is_dropped() -> None:
    vectors, scores = np.arange(3.0)[:, np.newaxis], SCORES.copy()
    m2n2.replace_worst(vectors, scores, np.array([9.0]), np.zeros(4), 1.0)
    np.testing.assert_array_equal(vectors[:, 0], [0, 1, 2])
    np.testing.assert_array_equal(scores, SCORES)


def test_of_equals_the_older_goes() -> None:
    vectors, scores = np.arange(3.0)[:, np.newaxis], np.ones((3, 4))
    m2n2.replace_worst(vectors, scores, np.array([9.0]), np.ones(4), 1.0)
    np.testing.assert_array_equal(vectors[:, 0], [9, 1, 2])


def test_replacement_loses_at_most_a_fair_share_of_what_is_covered() -> None:
    """What only one row solves is no more than its fitness, and the least is below the mean."""
    rng = np.random.default_rng(2)
    for _ in range(200):
        scores = (rng.random((6, 40)) < 0.2).astype(float)
        score = (rng.random(40) < 0.2).astype(float)
        before = np.vstack([scores, score]).any(axis=0).sum()
        m2n2.replace_worst(np.zeros((6, 1)), scores, np.zeros(1), score, 1.0)
        assert before - scores.any(axis=0).sum() <= before / 7


def test_the_genetic_algorithm_never_loses_accuracy() -> None:
    rng = np.random.default_rng(3)
    vectors, scores = np.zeros((6, 1)), np.zeros((6, 40))
    for _ in range(100):
        before = scores.mean(axis=1)
        m2n2.replace_worst(vectors, scores, np.zeros(1), rng.integers(0, 2, 40).astype(float), 0.0)
        assert (scores.mean(axis=1) >= before).all()


# MAP-Elites


def test_a_cell_is_the_accuracy_on_both_groups() -> None:
    groups = (np.array([0, 2, 4]), np.array([1, 3]))
    where = map_elites.descriptors(np.array([1.0, 0.0, 1.0, 1.0, 0.0]), groups)
    np.testing.assert_allclose(where, [2 / 3, 1 / 2])
    assert map_elites.quality(where, groups) == pytest.approx(3 / 5)
    assert map_elites.cell(where, 10) == (6, 5)
    assert map_elites.cell(np.array([1.0, 0.0]), 10) == (9, 0)


def test_a_cell_keeps_the_better_one_and_of_equals_the_older() -> None:
    grid = map_elites.Grid(10, 1)
    for quality, vector in ((0.3, 1.0), (0.2, 2.0), (0.4, 3.0), (0.4, 4.0)):
        grid.insert((3, 4), quality, np.array([vector]))
    assert grid.vectors[3, 4] == 3.0
    assert grid.qualities[3, 4] == 0.4
    assert grid.occupied.sum() == 1


def test_elites_mate_with_themselves_until_qualities_sum_to_two() -> None:
    rng = np.random.default_rng(0)

    def pairs(qualities: tuple[float, ...]) -> set[tuple[float, float]]:
        grid = map_elites.Grid(10, 1)
        for row, quality in enumerate(qualities):
            grid.insert((row, row), quality, np.array([float(row)]))
        mated = (grid.parents(rng) for _ in range(200))
        return {(float(first[0]), float(second[0])) for first, second in mated}

    assert pairs((0.9, 0.9)) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert pairs((0.9, 0.9, 0.9)) == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)}


# Model Swarms


def test_velocity_by_hand() -> None:
    moved = pso.velocity(
        weights=np.array([[0.4, 0.3, 0.2, 0.1]]),
        velocities=np.array([[1.0, 0.0]]),
        positions=np.array([[2.0, 2.0]]),
        personal=np.array([[3.0, 2.0]]),
        best=np.array([2.0, 7.0]),
        worst=np.array([0.0, 4.0]),
    )
    np.testing.assert_allclose(moved, [[0.4 + 0.3 + 0.2, 1.0 - 0.2]])


def test_weights_sum_to_one_and_keep_their_proportions() -> None:
    settings = pso.PsoSettings(inertia=0.4, cognitive=0.2, social=0.2, repel=0.0)
    weights = pso.random_weights(20000, np.random.default_rng(0), settings)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    np.testing.assert_array_equal(weights[:, 3], 0.0)
    assert np.median(weights[:, 0] / weights[:, 1]) == pytest.approx(2.0, rel=0.05)


def test_the_swarm_is_filled_up_on_lines_through_two_of_its_own() -> None:
    founders = np.array([[0.0, 1.0], [1.0, 1.0]])
    swarm = pso.populate(founders, 200, np.random.default_rng(0))
    np.testing.assert_array_equal(swarm[:2], founders)
    np.testing.assert_allclose(swarm[:, 1], 1.0)
    assert swarm[:, 0].min() < 0.0
    assert swarm[:, 0].max() > 1.0


def test_particles_start_towards_another() -> None:
    positions = np.array([[1.0], [2.0], [4.0], [8.0], [16.0]])
    aims = positions + pso.first_velocities(positions, np.random.default_rng(0))
    assert np.isin(aims, positions).all()
    assert not np.equal(aims, positions).any()


def test_steps_shrink_to_a_floor() -> None:
    steps = list(islice(pso.steps(pso.DEFAULTS), 60))
    np.testing.assert_allclose(steps[:3], [1.0, 0.95, 0.95**2])
    np.testing.assert_allclose(steps[-10:], 0.1)


@pytest.mark.parametrize("restart_after", [1, 2, np.inf])
@pytest.mark.parametrize("force", ["inertia", "cognitive", "social", "repel"])
def test_particles_follow_each_force_alone(force: str, restart_after: float) -> None:
    """The weights sum to one, so that a single force has all of it."""
    alone = dict.fromkeys(["inertia", "cognitive", "social", "repel"], 0.0) | {force: 1.0}
    settings = pso.PsoSettings(4, **alone, step=0.5, step_factor=1.0, restart_after=restart_after)
    founders = np.random.default_rng(1).uniform(-1.0, 2.0, (4, 4))
    problem = run(partial(pso.pso, settings=settings), Smooth(60, founders))
    velocity = 2.0 * (problem.asked[1] - founders)
    for iteration, (before, after) in enumerate(pairwise(problem.asked), start=1):
        seen = np.stack(problem.asked[:iteration])
        means = problem.solved(seen).mean(axis=2)
        found = means.argmax(axis=0)
        personal = seen[found, range(4)]
        stray = (iteration - found >= restart_after)[:, np.newaxis]
        start = np.where(stray, personal, before)
        velocity = {
            "inertia": np.where(stray, 0.0, velocity),
            "cognitive": personal - start,
            "social": seen.reshape(-1, 4)[means.argmax()] - start,
            "repel": start - seen.reshape(-1, 4)[means.argmin()],
        }[force]
        np.testing.assert_allclose(after, start + 0.5 * velocity)


def test_particles_without_a_new_best_return_to_their_own() -> None:
    """Where all scores are equal the first particle is best and worst; after 5 iterations the
    others leave their start along the line through it, and it stays where it is."""
    starts, *moves = run(pso.pso, Hopeless(20 * 9)).asked
    for iteration, positions in enumerate(moves, start=1):
        ways, lines = positions - starts, starts[0] - starts
        along = np.linalg.matrix_rank(np.stack([ways[7], lines[7]]), tol=1e-9) == 1
        assert along == (iteration >= 5)
        assert np.allclose(ways[0], 0.0) == (iteration >= 5)


# The others


def test_cma_es_finds_the_optimum() -> None:
    problem = run(cma_es.cma_es, Specialists(500))
    np.testing.assert_allclose(problem.offered[-1], 0.5, atol=0.1)


def test_cma_es_restarts_with_twice_the_population() -> None:
    problem = run(
        partial(cma_es.cma_es, settings=cma_es.CmaEsSettings(population=6)), Hopeless(500)
    )
    sizes = [len(batch) for batch in problem.asked]
    assert {6, 12, 24} <= set(sizes)
    whole = [size for size in sizes if size > 1]
    assert whole == sorted(whole)


def test_cma_es_starts_where_it_is_told() -> None:
    start = np.array([3.0, 1.0, -1.0, 0.0])
    settings = cma_es.CmaEsSettings(sigma=1e-3, start=start)
    problem = run(partial(cma_es.cma_es, settings=settings), Specialists(8))
    np.testing.assert_allclose(problem.asked[0], np.tile(start, (8, 1)), atol=0.01)


def test_pygad_starts_with_the_founders_and_stays_in_its_space() -> None:
    settings = stock_pygad.StockPygadSettings(low=0.25, high=0.75, population=12)
    problem = run(partial(stock_pygad.stock_pygad, settings=settings), Specialists(200))
    np.testing.assert_array_equal(problem.asked[0][:4], problem.founders)
    genes = np.vstack(problem.asked)
    assert (((genes >= 0.25) & (genes <= 0.75)) | (genes == 0.0)).all()


def test_random_samples_are_points_of_the_box_or_mixtures() -> None:
    settings = random_search.RandomSearchSettings(low=2.0, high=3.0, batch=400)
    samples = random_search.samples(np.eye(3), np.random.default_rng(0), settings)
    boxed = ((samples >= 2.0) & (samples <= 3.0)).all(axis=1)
    mixed = np.isclose(samples.sum(axis=1), 1.0) & (samples >= 0.0).all(axis=1)
    assert (boxed ^ mixed).all()
    assert 150 < boxed.sum() < 250
