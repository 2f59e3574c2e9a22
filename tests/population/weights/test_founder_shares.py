"""Founder shares by weight: how much of all that is added to the base is whose."""

import numpy as np
import pytest

from population.weights.founder_shares import FounderShares, founder_shares, vector_shares


def test_shares_weigh_blocks_by_their_size_and_signs_not_at_all() -> None:
    coefficients = np.array([[1.0, 0.0], [0.0, -0.5]])
    assert vector_shares(coefficients, np.array([100.0, 200.0])).tolist() == [0.5, 0.5]
    assert vector_shares(0.0 * coefficients, np.array([100.0, 200.0])).tolist() == [0.0, 0.0]


def test_a_long_task_vector_counts_for_more_where_it_is_long() -> None:
    coefficients = np.array([[1.0, 1.0], [1.0, 0.0]])
    lengths = np.array([[1.0, 2.0], [3.0, 100.0]])
    assert vector_shares(coefficients, lengths).tolist() == [0.5, 0.5]


def test_the_largest_share_comes_first() -> None:
    found = founder_shares(
        ("sort", "sum", "kanji"), np.array([[1.0], [-6.0], [3.0]]), np.ones(1), "parameters"
    )
    assert list(found.shares.items()) == [("sum", 0.6), ("kanji", 0.3), ("sort", 0.1)]
    assert found.measure == "parameters"


@pytest.mark.parametrize("count", [1, 2, 8])
def test_equal_parts_are_as_many_effective_founders_as_there_are(count: int) -> None:
    shares = FounderShares({str(one): 1.0 / count for one in range(count)}, "length")
    assert shares.effective == pytest.approx(count)


def test_unequal_parts_are_fewer_effective_founders() -> None:
    shares = FounderShares({"a": 0.9, "b": 0.1, "c": 0.0}, "length")
    assert shares.effective == pytest.approx(np.exp(-0.9 * np.log(0.9) - 0.1 * np.log(0.1)))


def test_the_base_holds_nothing_of_anybody() -> None:
    found = founder_shares(("a", "b"), np.zeros((2, 3)), np.ones((2, 3)), "length")
    assert (dict(found.shares), found.effective) == ({"a": 0.0, "b": 0.0}, 0.0)
