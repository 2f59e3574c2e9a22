"""Which models to merge for a task: who solves most, then who adds most from far away."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from population.analysis.recommendation import RecommendedSource, SourceCandidates, recommend


def candidates(
    solved: list[str], kin: dict[tuple[int, int], float] | None = None, rating: object = None
) -> SourceCandidates:
    """Models 1, 2, ... from strings of what each solves, and whose kin they are."""
    table = np.array([[float(sign) for sign in row] for row in solved])
    related = np.eye(len(solved))
    for (a, b), value in (kin or {}).items():
        related[a - 1, b - 1] = related[b - 1, a - 1] = value
    rated = np.full(len(solved), np.nan) if rating is None else np.array(rating, dtype=np.float64)
    return SourceCandidates(tuple(range(1, len(solved) + 1)), table, related, rated)


def chosen(field: SourceCandidates) -> list[int]:
    return [choice.model for choice in recommend(field)]


def test_the_best_comes_first_and_then_whoever_adds_most() -> None:
    assert chosen(candidates(["1100", "1110", "0001", "1100"]))[:2] == [2, 3]


def test_what_kin_adds_counts_less() -> None:
    solved = ["111100", "000011", "000010"]
    assert chosen(candidates(solved)) == [1, 2, 3]
    assert chosen(candidates(solved, {(1, 2): 0.6})) == [1, 3, 2]


def test_kin_of_any_that_was_chosen_counts() -> None:
    solved = ["11110000", "00001100", "00000011", "00000010"]
    assert chosen(candidates(solved, {(2, 3): 0.8})) == [1, 2, 4]


def test_ties_go_to_the_better_rated_and_then_to_the_older() -> None:
    assert chosen(candidates(["10", "10", "10"], rating=[0.0, 2.0, 1.0])) == [2, 3, 1]
    assert chosen(candidates(["10", "10", "10"])) == [1, 2, 3]
    assert chosen(candidates(["10", "10"], rating=[np.nan, -5.0]))[0] == 2


def test_where_nobody_adds_anything_independent_solvers_are_taken() -> None:
    solved = ["1111", "1111", "1110", "1000"]
    assert chosen(candidates(solved, {(1, 2): 1.0}, rating=[3, 2, 1, 0])) == [1, 3, 4]


def test_reasons_are_words_with_numbers() -> None:
    first, second, third = recommend(candidates(["1110", "0001", "0001"], {(1, 2): 0.25}))
    assert first == RecommendedSource(1, 3.0, 3.0, 3.0, 4, None, 0.0)
    assert first.reason == "solves most: 3 of 4 items"
    assert second.model == 3
    assert second.reason.startswith("adds 1 that those above do not solve, which makes 4 of 4")
    assert "#1" in second.reason
    assert third.reason.startswith("adds nothing more, but solves 1 of 4 by itself")
    assert "0.25" in third.reason


@given(
    st.lists(st.text("01", min_size=5, max_size=5), min_size=1, max_size=6),
    st.integers(1, 7),
)
def test_nobody_is_chosen_twice_and_together_they_solve_what_they_solve(
    solved: list[str], count: int
) -> None:
    found = recommend(candidates(solved), count)
    models = [choice.model for choice in found]
    assert len(models) == len(set(models)) == min(count, len(solved))
    best = max(row.count("1") for row in solved)
    assert found[0].solves == best
    for place, choice in enumerate(found, start=1):
        union = [any(solved[m - 1][item] == "1" for m in models[:place]) for item in range(5)]
        assert choice.together == pytest.approx(sum(union))
        assert choice.solves == solved[choice.model - 1].count("1")
    assert [choice.together for choice in found] == sorted(choice.together for choice in found)
