"""Racing: hopeless children are dropped early, and the true best are not dropped."""

import itertools

import numpy as np
import pytest

from population.evolution.selection.racing import log_wealth, still_racing

ROUNDS = (15, 30, 60, 120)


def race(
    scores: np.ndarray, places: int, incumbents: np.ndarray | None = None, delta: float = 0.05
) -> tuple[list[int], int]:
    """Who finishes a whole race, and how many item evaluations it took."""
    entrants, items = scores.shape
    racing = np.arange(entrants)
    cost = 0
    for before, seen in itertools.pairwise((0, *ROUNDS, items)):
        cost += len(racing) * (seen - before)
        stay = still_racing(
            scores[racing, :seen], items, places, incumbents, delta, entrants=entrants
        )
        racing = racing[stay]
    return racing.tolist(), cost


def brood(rng: np.random.Generator, skill: np.ndarray, items: int = 240) -> np.ndarray:
    """Models that find the same items hard; columns are in a random order by construction."""
    hardness = rng.normal(size=items)
    ability = np.log(skill / (1.0 - skill))[:, None] * 1.5
    chance = 1.0 / (1.0 + np.exp(hardness * 1.5 - ability))
    return np.asarray(rng.random(chance.shape) < chance, dtype=np.float64)


def best(scores: np.ndarray, places: int, incumbents: np.ndarray | None = None) -> set[int]:
    """The racers that deserve a place; whoever is level with the last place does."""
    rivals = np.zeros(0) if incumbents is None else incumbents
    means = scores.mean(axis=1)
    last = np.sort(np.concatenate([means, rivals]))[::-1][places - 1]
    return set(np.flatnonzero(means >= last - 1e-9).tolist())


@pytest.mark.parametrize("spread", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("delta", [0.0, 0.3])
def test_the_true_best_are_dropped_no_more_often_than_promised(spread: float, delta: float) -> None:
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(40):
        scores = brood(rng, np.clip(rng.normal(0.5, spread, size=12), 0.1, 0.9))
        incumbents = rng.normal(0.5, spread, size=4).clip(0.1, 0.9)
        for rivals in (None, incumbents):
            finished, _ = race(scores, 4, rivals, delta)
            wrong += not best(scores, 4, rivals) <= set(finished)
    assert wrong <= delta * 80


def test_a_race_ends_with_exactly_the_best() -> None:
    scores = brood(np.random.default_rng(1), np.linspace(0.2, 0.8, 10))
    finished, _ = race(scores, 3, delta=0.0)
    assert set(finished) == best(scores, 3)
    incumbents = np.array([0.99, 0.98, 0.0])
    finished, _ = race(scores, 3, incumbents, delta=0.0)
    assert set(finished) == best(scores, 3, incumbents)


def test_the_hopeless_are_dropped_early() -> None:
    skill = np.array([0.9] * 4 + [0.2] * 12)
    scores = brood(np.random.default_rng(2), skill)
    finished, cost = race(scores, 4)
    assert set(finished) >= {0, 1, 2, 3}
    assert cost < 0.5 * scores.size
    certain, cost_of_certainty = race(scores, 4, delta=0.0)
    assert set(certain) <= set(finished)
    assert cost < cost_of_certainty


def test_incumbents_are_rivals_too() -> None:
    scores = brood(np.random.default_rng(3), np.full(8, 0.3))
    assert still_racing(scores[:, :120], 240, 2).all()
    assert not still_racing(scores[:, :120], 240, 2, np.array([0.95, 0.95])).any()
    assert still_racing(scores[:, :120], 240, 2, np.array([0.95, 0.0])).all()


def test_certainty_by_hand() -> None:
    """Of ten items six were seen. The last has 1 and can reach 5; two have 6, and one has 5."""
    scores = np.array([[1.0] * 6, [1.0] * 6, [1.0] * 5 + [0.0], [1.0] + [0.0] * 5])
    assert still_racing(scores, 10, 2, delta=0.0).tolist() == [True, True, True, False]
    assert still_racing(scores, 10, 3, delta=0.0).all()  # it could still be level with the third


def test_nobody_is_dropped_while_there_are_places_for_all() -> None:
    scores = np.array([[1.0] * 9, [0.0] * 9])
    assert still_racing(scores, 10, 2).all()
    assert not still_racing(scores, 10, 2, np.array([1.0])).all()
    assert still_racing(np.zeros((1, 9)), 10, 1).all()
    assert still_racing(np.zeros((3, 0)), 10, 1).all()
    assert still_racing(scores[1:], 10, 1, entrants=2).all()  # nobody left to lose to


def test_a_race_with_fewer_entrants_is_decided_sooner() -> None:
    """The error is shared by all who entered, so those who were dropped still count."""
    scores = brood(np.random.default_rng(4), np.array([0.8, 0.8, 0.5]))[:, :60]
    alone = still_racing(scores, 240, 2)
    among_many = still_racing(scores, 240, 2, entrants=10_000_000)
    assert not alone[2]
    assert among_many[2]


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="5 items seen of 4"):
        still_racing(np.zeros((2, 5)), 4, 1)
    with pytest.raises(ValueError, match="delta"):
        still_racing(np.zeros((2, 2)), 4, 1, delta=1.0)


def test_a_bet_by_hand() -> None:
    """Of four items two were seen: stakes 0.9 and 1.35, due 0 and 1/3; a win after a loss stays."""
    wealth = [1.0 + 0.9 * (0.0 + 1.0), 1.0 + 1.35 * (1 / 3 + 0.5), 1.0 + 1.35 * (1 / 3 - 0.5)]
    gains = np.array([[-1.0, -0.5], [-1.0, 0.5], [1.0, 0.0]])
    expected = [wealth[0] * wealth[1], wealth[0], 1.0]
    np.testing.assert_allclose(np.exp(log_wealth(gains, 4, 0.1)), expected)
    # Over many items the stakes are small: sqrt(2 log(10) / (0.25 * 0.25 * 400)).
    (one,) = log_wealth(np.array([[-1.0]]), 400, 0.1)
    assert np.exp(one) == pytest.approx(1.0 + np.sqrt(2.0 * np.log(10.0) / 25.0))


@pytest.mark.parametrize("kind", ["level", "graded", "rare"])
def test_a_bet_against_the_truth_rarely_wins(kind: str) -> None:
    """The mean over all items is 0, exactly: wealth may reach 1 / error with `error` at most."""
    rng = np.random.default_rng(5)
    items, error = 120, 0.1
    half = {
        "level": np.ones(items // 2),
        "graded": rng.random(items // 2),
        "rare": np.repeat([1.0, 0.0], [6, items // 2 - 6]),
    }[kind]
    gains = np.array([rng.permutation(np.concatenate([half, -half])) for _ in range(2000)])
    won = np.mean(log_wealth(gains, items, error) >= np.log(1.0 / error))
    assert won <= error + 3 * np.sqrt(error * (1.0 - error) / len(gains))
    lost = np.mean(log_wealth(gains - 0.2, items, error) >= np.log(1.0 / error))
    assert lost > won  # and a bet on the truth wins more often
