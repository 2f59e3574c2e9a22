"""Who lives on, rule by rule: what all rules promise, and what sets each of them apart."""

import sys
from dataclasses import replace
from types import FrameType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from population.evolution.survival import RULES, Candidates, survivors
from population.evolution.survival.dominated_novelty import dominated_novelty
from population.evolution.survival.m2n2 import m2n2
from population.evolution.survival.map_elites import cells, map_elites
from population.evolution.survival.niches import niches


@pytest.fixture(params=sorted(RULES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def candidates(
    scores: np.ndarray | list[list[float]], hashes: str = "", **parts: object
) -> Candidates:
    """Candidates of one founder's line, born in the order of their rows, unless told otherwise."""
    table = np.asarray(scores, dtype=np.float64)
    plain = Candidates(
        scores=table,
        means=table.mean(axis=1),
        hashes=list(hashes) or [f"{row:03}" for row in range(len(table))],
        protected=[],
        founder_line=np.ones((len(table), 1)),
        born=np.arange(len(table)),
    )
    return replace(plain, **parts)  # type: ignore[arg-type]


def shuffled(original: Candidates, order: list[int]) -> Candidates:
    """The same candidates in another order."""
    return Candidates(
        scores=original.scores[order],
        means=original.means[order],
        hashes=[original.hashes[row] for row in order],
        protected=[order.index(row) for row in original.protected],
        founder_line=original.founder_line[order],
        born=original.born[order],
    )


@st.composite
def broods(draw: st.DrawFn) -> tuple[Candidates, int, list[int]]:
    """Candidates with ties, twins, protected and several lines; a size; and another order."""
    kinds = draw(st.integers(1, 9))
    items = draw(st.integers(1, 6))
    level = st.sampled_from([0.0, 0.25, 0.5, 1.0])
    distinct = draw(st.lists(st.lists(level, min_size=items, max_size=items), min_size=kinds))
    twin_of = draw(st.lists(st.integers(0, len(distinct) - 1), min_size=1, max_size=14))
    scores = np.array([distinct[kind] for kind in twin_of])
    founders = draw(st.integers(1, 3))
    line = draw(st.lists(st.integers(0, founders - 1), min_size=kinds, max_size=14))
    brood = Candidates(
        scores=scores,
        means=scores.mean(axis=1),
        hashes=[f"sha{kind}" for kind in twin_of],
        protected=draw(st.lists(st.integers(0, len(twin_of) - 1), max_size=3, unique=True)),
        founder_line=np.eye(founders)[[line[kind % len(line)] for kind in twin_of]],
        born=np.array(draw(st.permutations(range(len(twin_of))))),
    )
    return brood, draw(st.integers(1, 10)), draw(st.permutations(range(len(twin_of))))


@settings(max_examples=150, deadline=None)
@given(broods())
def test_all_rules_keep_what_they_promise(case: tuple[Candidates, int, list[int]]) -> None:
    brood, size, order = case
    for rule in RULES.values():
        kept = rule(brood, size)
        assert kept == sorted(set(kept))
        hashes = {brood.hashes[row] for row in kept}
        assert len(hashes) == len(kept) == min(size, len(set(brood.hashes)))
        guarded = {brood.hashes[row] for row in brood.protected}
        assert guarded <= hashes if len(guarded) <= size else hashes <= guarded
        again = rule(shuffled(brood, order), size)
        assert {order[row] for row in again} == set(kept)


def test_nobody_goes_while_there_is_room(name: str) -> None:
    assert RULES[name](candidates([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]), 5) == [0, 1, 2]


def test_the_fittest_survives_unless_all_places_are_protected(name: str) -> None:
    brood = candidates([[0.5, 0.5, 0.0], [1.0, 1.0, 0.5], [0.0, 0.5, 0.5]])
    assert RULES[name](brood, 1) == [1]
    assert RULES[name](replace(brood, protected=[2]), 1) == [2]
    assert RULES[name](replace(brood, protected=[2]), 2) == [1, 2]


def test_of_twins_the_eldest_survives_in_its_row(name: str) -> None:
    brood = candidates([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], "aba", born=np.array([7, 5, 4]))
    assert RULES[name](brood, 3) == [1, 2]
    assert RULES[name](replace(brood, protected=[0]), 1) == [2]


def test_parts_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="are of 2, 2, 3, 2, 2 candidates"):
        candidates([[1.0], [0.0]], "abc")


# Dominated Novelty Search

SOLVED = np.array(
    [
        # items:  a    b    c    d    e
        [1.0, 1.0, 1.0, 0.0, 0.0],  # the fittest
        [1.0, 1.0, 0.0, 0.0, 0.0],  # can do nothing that the fittest cannot
        [1.0, 0.0, 0.0, 1.0, 0.0],  # alone in d
        [0.0, 0.0, 1.0, 0.0, 0.0],  # c, like the fittest
        [0.0, 0.0, 1.0, 0.0, 1.0],  # alone in e
    ]
)
FITNESS = np.array([0.6, 0.5, 0.4, 0.3, 0.2])


def test_dominated_novelty_by_hand() -> None:
    """Difficulties are 2/5, 3/5, 2/5, 4/5, 4/5, their sum is 15/5: weights 2, 3, 2, 4, 4 / 15."""
    expected = [
        np.inf,
        0.0,
        4 / 15,  # d from both above it
        (0 + 2 + 2) / 3 / 15,  # c from the second and the third; nothing from the first
        (4 + 4 + 6) / 3 / 15,  # e from all, and c from two of them, of which the nearest counts
    ]
    np.testing.assert_allclose(dominated_novelty(SOLVED), expected)


def test_novelty_keeps_the_weak_who_can_do_what_nobody_can() -> None:
    brood = candidates(SOLVED, means=FITNESS)
    assert RULES["novelty"](brood, 3) == [0, 2, 4]
    assert RULES["elitism"](brood, 3) == [0, 1, 2]
    assert RULES["novelty"](brood, 4) == [0, 2, 3, 4]


def test_items_that_all_solve_tell_nobody_apart() -> None:
    np.testing.assert_array_equal(dominated_novelty(np.ones((3, 4))), [np.inf, 0.0, 0.0])


def test_duplicates_do_not_crowd_out_anyone() -> None:
    """A hundred copies of the fittest do not make its items easier."""
    scores = np.concatenate([SOLVED, np.repeat(SOLVED[:1], 100, axis=0)])
    brood = candidates(scores, "abcde" + "a" * 100)
    assert RULES["novelty"](brood, 4) == RULES["novelty"](candidates(SOLVED, "abcde"), 4)


def test_the_best_of_every_line_keeps_a_place() -> None:
    scores = [[1.0, 1.0, 0.0], [1.0, 0.9, 0.0], [0.5, 0.0, 0.0], [0.2, 0.0, 0.0], [0.0, 0.0, 1.0]]
    line = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.0, 1.0], [0.8, 0.2]])
    brood = candidates(scores, founder_line=line)
    assert RULES["novelty"](brood, 2) == [0, 2]  # the best of each; novelty alone takes the last
    assert RULES["novelty"](brood, 3) == [0, 2, 4]
    assert RULES["novelty"](replace(brood, founder_line=np.ones((5, 1))), 2) == [0, 4]
    assert RULES["novelty"](replace(brood, protected=[3]), 2) == [0, 3]  # if places allow


def test_who_is_half_one_founder_and_half_another_holds_both_lines() -> None:
    line = np.array([[0.5, 0.5], [0.0, 1.0], [1.0, 0.0]])
    brood = candidates([[1.0, 0.0], [0.5, 0.0], [0.0, 1.0]], founder_line=line)
    assert RULES["novelty"](brood, 2) == [0, 2]


def test_novelty_computes_with_arrays_and_not_pair_by_pair() -> None:
    """What it costs is counted in calls, of which a machine that is busy makes no more."""
    rng = np.random.default_rng(0)
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    costs = []
    for size in (50, 100):
        scores = rng.random((size, 1500))
        brood = candidates(scores, founder_line=rng.dirichlet(np.ones(9), size=size))
        calls = 0
        sys.setprofile(count)
        try:
            RULES["novelty"](brood, 40)
        finally:
            sys.setprofile(None)
        costs.append(calls)
    assert costs[1] < 100 * 99 / 2
    assert costs[1] < 3 * costs[0]  # twice as many have four times as many pairs


# The others


def test_the_grid_bins_perfect_scores_with_the_best() -> None:
    scores = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.1, 0.25, 0.15], [0.95, 0.95, 1.0, 0.8]])
    halves = [[0, 1], [2, 3]]
    assert cells(scores, halves).tolist() == [[9, 0], [0, 2], [9, 9]]
    assert cells(scores, [[0]]).tolist() == [[9], [0], [9]]


def test_map_elites_keeps_the_best_of_each_cell_then_the_best() -> None:
    scores = [[1.0, 0.3], [1.0, 0.35], [0.0, 0.2], [0.0, 0.25], [0.55, 0.55]]
    brood = candidates(scores)
    assert map_elites(brood, 3) == [1, 3, 4]
    assert map_elites(brood, 4) == [0, 1, 3, 4]
    assert map_elites(brood, 2) == [1, 4]  # fewer places than cells
    assert map_elites(brood, 2, groups=[[0, 1]]) == [1, 4]
    assert map_elites(candidates([[0.3], [0.6]]), 1) == [1]


def test_m2n2_leaves_one_of_two_who_alone_can_do_a_thing() -> None:
    """Ranked once, both are the worst and go. Removed in turn, the second is alone and stays."""
    many = [[1.0, 1.0, 0.0]] * 3
    brood = candidates([*many, [0.0, 0.0, 0.9], [0.0, 0.0, 0.8]])
    assert niches(brood, 3, part=1.0) == [0, 1, 2]
    assert m2n2(brood, 3) == [0, 1, 3]
    assert m2n2(replace(brood, sharing=0.0), 3) == [0, 1, 2]


def test_niches_is_the_rule_of_survivors() -> None:
    scores = np.random.default_rng(1).random((20, 12))
    brood = candidates(scores, protected=[3, 11])
    means, hashes = brood.means, brood.hashes
    for size in (1, 2, 8, 30):
        expected = survivors(scores, means, hashes, size, protected=[3, 11])
        assert niches(brood, size) == expected
    assert niches(brood, 8, part=0.0) == survivors(
        scores, means, hashes, 8, protected=[3, 11], niches=0.0
    )


def test_more_neighbours_hold_a_candidate_against_more_of_its_betters() -> None:
    scores = np.array([[1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
    nearest, both = (dominated_novelty(scores, neighbours)[2] for neighbours in (1, 2))
    assert both > nearest > 0.0
