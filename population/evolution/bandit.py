"""The bandit: how likely each operator makes the next child, learned from earlier credit.

What counts is credit per item evaluation (`population.evolution.credit`). Operators are drawn by
Thompson sampling: each as often as it is likely to be the best one, by the Beta posteriors of all
(Thompson 1933). Experience fades, since what works in a young colony does not in an old one
(discounted Thompson sampling: Raj and Kalyani, arXiv 1707.09727, section 3).

All functions are pure: no state is kept here, and draws come from the generator that is passed in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lineage.records import Floats

FLOOR = 0.02
"""The least probability of every operator, so that it can show whether it has become better."""
DISCOUNT = 0.97
"""Factor on the weight of experience per generation: half of it is left after 23."""
PRIOR_TRIES = 50.0
"""How many tries the configured frequencies weigh: about two generations."""
DRAWS = 2000
"""Draws from the posteriors, to estimate how likely each arm is the best (to about 0.01)."""


@dataclass(frozen=True)
class Arm:
    """The experience with one operator. Tries, successes and cost fade together.

    Attributes:
        often: how often it is expected to be taken, before anything is known; sums to 1.
        tries: children that were evaluated.
        successes: credit, at most 1 per child.
        cost: item evaluations that were spent on these children.
    """

    often: float
    tries: float = 0.0
    successes: float = 0.0
    cost: float = 0.0


@dataclass(frozen=True)
class ArmResult:
    """The result of one child.

    Attributes:
        operator: that made it.
        success: its credit, in [0, 1].
        cost: item evaluations that it took.
    """

    operator: str
    success: float
    cost: float


Bandit = Mapping[str, Arm]
"""An arm per operator."""


def new_bandit(prior: Mapping[str, float]) -> dict[str, Arm]:
    """A bandit without experience. Operators that are expected to be taken 0 times are left out.

    Args:
        prior: how often each operator is expected to be taken, on any scale.

    Raises:
        ValueError: a frequency is negative, or none is positive.

    >>> {name: arm.often for name, arm in new_bandit({"soup": 1, "blend": 3, "slerp": 0}).items()}
    {'blend': 0.75, 'soup': 0.25}
    """
    total = sum(prior.values())
    if total <= 0.0 or min(prior.values()) < 0.0:
        raise ValueError("frequencies of operators must not be negative, and one must be positive")
    return {name: Arm(often / total) for name, often in sorted(prior.items()) if often > 0.0}


def arm_probabilities(
    bandit: Bandit, rng: np.random.Generator, floor: float = FLOOR
) -> dict[str, float]:
    """The probabilities that this generation's operators are drawn with; they sum to 1.

    The expected frequencies count as `PRIOR_TRIES` tries: without
    experience they are the probabilities, and after n tries they weigh PRIOR_TRIES / (PRIOR_TRIES +
    n); the probabilities of being the best weigh the rest.

    Args:
        bandit: the arms.
        rng: for this generation alone.
        floor: the least probability of any operator.

    Raises:
        ValueError: there are too many operators for such a floor.
    """
    names = sorted(bandit)
    if floor * len(names) > 1.0:
        raise ValueError(f"{len(names)} operators cannot have a probability of {floor} each")
    arms = [bandit[name] for name in names]
    tries = sum(arm.tries for arm in arms)
    prior = np.array([arm.often for arm in arms])
    best = _probability_of_being_best(arms, rng)
    mixed = (PRIOR_TRIES * prior + tries * best) / (PRIOR_TRIES + tries)
    return dict(zip(names, _floored(mixed, floor).tolist(), strict=True))


def update_bandit(
    bandit: Bandit, results: Sequence[ArmResult], discount: float = DISCOUNT
) -> dict[str, Arm]:
    """The bandit a generation later: earlier experience fades, and new results are added.

    Call it once per generation.

    Args:
        bandit: the arms.
        results: of every child that was evaluated in the generation.
        discount: factor on earlier experience.

    Raises:
        KeyError: a result is of an operator that the bandit does not have.
        ValueError: a success is not in [0, 1].
    """
    arms = {
        name: replace(
            arm,
            tries=discount * arm.tries,
            successes=discount * arm.successes,
            cost=discount * arm.cost,
        )
        for name, arm in bandit.items()
    }
    for result in results:
        if not 0.0 <= result.success <= 1.0:
            raise ValueError(f"a success is in [0, 1], got {result.success}")
        arm = arms[result.operator]
        arms[result.operator] = replace(
            arm,
            tries=arm.tries + 1.0,
            successes=arm.successes + result.success,
            cost=arm.cost + result.cost,
        )
    return arms


def _probability_of_being_best(arms: Sequence[Arm], rng: np.random.Generator) -> Floats:
    """The probability that each arm has the most credit per item evaluation, shape (arms,)."""
    successes = np.array([arm.successes for arm in arms])
    failures = np.array([arm.tries for arm in arms]) - successes
    # Fading may leave -1e-17 failures.
    rate = rng.beta(1.0 + successes, 1.0 + np.maximum(0.0, failures), size=(DRAWS, len(arms)))
    best = np.argmax(rate / _mean_cost(arms), axis=1)
    return np.bincount(best, minlength=len(arms)) / DRAWS


def _mean_cost(arms: Sequence[Arm]) -> Floats:
    """The mean cost of each arm's children, shape (arms,); without any, that of all, or else 1."""
    cost = sum(arm.cost for arm in arms)
    usual = cost / sum(arm.tries for arm in arms) if cost > 0.0 else 1.0
    return np.array([arm.cost / arm.tries if arm.cost > 0.0 else usual for arm in arms])


def _floored(probabilities: Floats, floor: float) -> Floats:
    """Probabilities of at least `floor`: those below are raised, the others pay in proportion."""
    low = probabilities < floor
    # Paying may bring another one below the floor; each turn adds one, so this ends.
    while True:
        rest = (1.0 - floor * low.sum()) / max(probabilities[~low].sum(), np.finfo(float).tiny)
        raised = np.where(low, floor, probabilities * rest)
        lower = low | (raised < floor)
        if np.array_equal(lower, low):
            return np.asarray(raised)
        low = lower
