"""The bandit: it starts as asked, finds the better operator, starves none, and forgets."""

import numpy as np
import pytest

from population.evolution.bandit import ArmResult, arm_probabilities, new_bandit, update_bandit

PRIOR = {"ensemble": 0.8, "blend": 0.08, "gate": 0.08, "soup": 0.04}
EVEN = {"a": 1.0, "b": 1.0}


def generation(
    bandit: dict, rng: np.random.Generator, success: dict[str, float], cost: dict[str, float]
) -> list[ArmResult]:
    """The outcomes of a brood of 24, drawn by the bandit's arm_probabilities."""
    probabilities = arm_probabilities(bandit, rng)
    drawn = rng.choice(list(probabilities), size=24, p=list(probabilities.values()))
    return [ArmResult(name, float(rng.random() < success[name]), cost[name]) for name in drawn]


def lived(
    bandit: dict,
    generations: int,
    success: dict[str, float],
    cost: dict[str, float] | None = None,
    **settings: float,
) -> dict:
    rng = np.random.default_rng(generations)
    for _ in range(generations):
        outcomes = generation(bandit, rng, success, cost or dict.fromkeys(bandit, 240.0))
        bandit = update_bandit(bandit, outcomes, **settings)
    return bandit


def odds_of(bandit: dict, **settings: float) -> dict[str, float]:
    return arm_probabilities(bandit, np.random.default_rng(0), **settings)


def test_at_first_operators_are_drawn_as_often_as_was_asked() -> None:
    assert odds_of(new_bandit(PRIOR)) == pytest.approx(PRIOR)
    tenfold = new_bandit({name: 10.0 * often for name, often in PRIOR.items()})
    assert odds_of(tenfold) == pytest.approx(PRIOR)


def test_an_operator_that_is_switched_off_stays_off() -> None:
    assert odds_of(new_bandit({"a": 0.5, "b": 0.0, "c": 0.5})) == pytest.approx(
        {"a": 0.5, "c": 0.5}
    )


def test_the_better_operator_is_found_whatever_was_expected() -> None:
    success = {"ensemble": 0.1, "blend": 0.1, "gate": 0.1, "soup": 0.5}
    early, late = (odds_of(lived(new_bandit(PRIOR), n, success))["soup"] for n in (5, 60))
    assert early < late
    assert late > 0.7


def test_credit_counts_per_cost() -> None:
    success = {"a": 0.3, "b": 0.4}
    assert odds_of(lived(new_bandit(EVEN), 60, success))["b"] > 0.7
    dear = lived(new_bandit(EVEN), 60, success, cost={"a": 100.0, "b": 300.0})
    assert odds_of(dear)["a"] > 0.7


def test_nobody_starves() -> None:
    bandit = lived(new_bandit(PRIOR), 80, dict.fromkeys(PRIOR, 0.0) | {"ensemble": 0.9})
    for floor in (0.02, 0.1, 0.25):
        probabilities = odds_of(bandit, floor=floor)
        assert min(probabilities.values()) >= floor - 1e-12
        assert sum(probabilities.values()) == pytest.approx(1.0)
    assert odds_of(new_bandit({"a": 0.97, "b": 0.015, "c": 0.015}), floor=0.2) == pytest.approx(
        {"a": 0.6, "b": 0.2, "c": 0.2}
    )
    with pytest.raises(ValueError, match="4 operators"):
        odds_of(bandit, floor=0.3)


def test_it_notices_when_the_best_operator_changes() -> None:
    old = lived(new_bandit(EVEN), 60, {"a": 0.5, "b": 0.2})
    assert odds_of(old)["a"] > 0.7
    assert odds_of(lived(old, 40, {"a": 0.1, "b": 0.3}))["b"] > 0.5

    stubborn = lived(new_bandit(EVEN), 60, {"a": 0.5, "b": 0.2}, discount=1.0)
    assert odds_of(lived(stubborn, 40, {"a": 0.1, "b": 0.3}, discount=1.0))["b"] < 0.2


def test_experience_fades_once_a_generation() -> None:
    bandit = update_bandit(
        new_bandit(EVEN), [ArmResult("a", 1.0, 200.0), ArmResult("a", 0.5, 100.0)]
    )
    assert (bandit["a"].tries, bandit["a"].successes, bandit["a"].cost) == (2.0, 1.5, 300.0)
    bandit = update_bandit(bandit, [ArmResult("b", 0.0, 10.0)], discount=0.5)
    assert (bandit["a"].tries, bandit["a"].successes, bandit["a"].cost) == (1.0, 0.75, 150.0)
    assert bandit["b"].tries == 1.0
    assert bandit["a"].often == 0.5


def test_the_same_generator_gives_the_same_odds() -> None:
    bandit = lived(new_bandit(PRIOR), 3, dict.fromkeys(PRIOR, 0.3))
    assert odds_of(bandit) == odds_of(bandit)
    backwards = dict(reversed(bandit.items()))
    assert odds_of(backwards) == odds_of(bandit)


def test_nonsense_is_refused() -> None:
    for prior in ({}, {"a": 0.0}, {"a": 1.0, "b": -1.0}):
        with pytest.raises(ValueError, match="frequencies"):
            new_bandit(prior)
    with pytest.raises(KeyError):
        update_bandit(new_bandit(EVEN), [ArmResult("c", 1.0, 1.0)])
    with pytest.raises(ValueError, match="got 2"):
        update_bandit(new_bandit(EVEN), [ArmResult("a", 2.0, 1.0)])
