"""The bandit: which operator makes the next child, learned from what became of the last ones.

An operator earns a credit by a child that got a place among the living and kept it when it was
looked at again; a lucky score earns nothing. What counts is credit per item evaluation. A brood is
drawn by Thompson sampling: an operator is taken as often as it is likely to be the best one, by the
Beta posteriors of all (Thompson 1933). Experience fades, since what works in a young colony does
not in an old one (discounted Thompson sampling: Raj and Kalyani, arXiv 1707.09727, section 3).

All is a value: no state is kept here, and draws come from the generator that is passed in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lineage.records import Floats

FLOOR = 0.02
"""The probability that every operator has at least, so that it can show what it has become."""
DISCOUNT = 0.97
"""What experience keeps of its weight per generation: half of it after 23."""
EXPECTED = 50.0
"""How many tries the frequencies asked for weigh: about two broods."""
DRAWS = 2000
"""From the posteriors, to find who is how likely the best (to about 0.01)."""


@dataclass(frozen=True)
class Arm:
    """What is known of one operator. Tries, successes and cost fade together.

    Attributes:
        often: how often it is expected to be taken, before anything is known; sums to 1.
        tries: children whose fate is known.
        successes: credits, at most one per child.
        cost: item evaluations that were spent on these children.
    """

    often: float
    tries: float = 0.0
    successes: float = 0.0
    cost: float = 0.0


@dataclass(frozen=True)
class ArmResult:
    """What became of one child: a credit in [0, 1], and the item evaluations that it took."""

    operator: str
    success: float
    cost: float


Bandit = Mapping[str, Arm]
"""An arm per operator."""


def start(prior: Mapping[str, float]) -> dict[str, Arm]:
    """A bandit without experience. Operators that are expected to be taken 0 times are left out.

    Args:
        prior: how often each operator is expected to be taken, on any scale.

    Raises:
        ValueError: a frequency is negative, or none is positive.
    """
    total = sum(prior.values())
    if total <= 0.0 or min(prior.values()) < 0.0:
        raise ValueError("frequencies of operators must not be negative, and one must be positive")
    return {name: Arm(often / total) for name, often in sorted(prior.items()) if often > 0.0}


def odds(bandit: Bandit, rng: np.random.Generator, floor: float = FLOOR) -> dict[str, float]:
    """The probabilities that this generation's operators are drawn with; they sum to 1.

    The expected frequencies count as `EXPECTED` tries: with nothing known they are the odds, and
    after n tries they weigh EXPECTED / (EXPECTED + n), the odds of being the best weigh the rest.

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
    known = sum(arm.tries for arm in arms)
    expected = np.array([arm.often for arm in arms])
    mixed = (EXPECTED * expected + known * _chance_to_be_best(arms, rng)) / (EXPECTED + known)
    return dict(zip(names, _floored(mixed, floor).tolist(), strict=True))


def updated(
    bandit: Bandit, outcomes: Sequence[ArmResult], discount: float = DISCOUNT
) -> dict[str, Arm]:
    """The bandit a generation later: what was known fades, and what became known is added.

    Call it once per generation, with every child whose fate was settled in it.

    Raises:
        KeyError: an outcome is of an operator that the bandit does not have.
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
    for outcome in outcomes:
        if not 0.0 <= outcome.success <= 1.0:
            raise ValueError(f"a success is in [0, 1], got {outcome.success}")
        arm = arms[outcome.operator]
        arms[outcome.operator] = replace(
            arm,
            tries=arm.tries + 1.0,
            successes=arm.successes + outcome.success,
            cost=arm.cost + outcome.cost,
        )
    return arms


def _chance_to_be_best(arms: Sequence[Arm], rng: np.random.Generator) -> Floats:
    """How likely each arm has the most credit per item evaluation, shape (arms,)."""
    successes = np.array([arm.successes for arm in arms])
    failures = np.array([arm.tries for arm in arms]) - successes
    # Fading may leave -1e-17 failures.
    rate = rng.beta(1.0 + successes, 1.0 + np.maximum(0.0, failures), size=(DRAWS, len(arms)))
    best = np.argmax(rate / _cost_of_a_try(arms), axis=1)
    return np.bincount(best, minlength=len(arms)) / DRAWS


def _cost_of_a_try(arms: Sequence[Arm]) -> Floats:
    """The mean cost of each arm's children; where none is known, that of all, or else 1."""
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
