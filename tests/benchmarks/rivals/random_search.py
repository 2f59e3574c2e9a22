"""Random search over merge coefficients, as a careful person would do it."""

from dataclasses import dataclass

import numpy as np

from tests.benchmarks.rivals.problem import Floats, Problem, Referee


@dataclass(frozen=True)
class RandomSearchSettings:
    """Where samples come from.

    Args:
        low: Lower side of the box.
        high: Upper side of the box.
        batch: Samples scored together.
    """

    low: float = 0.0
    high: float = 1.0
    batch: int = 20


DEFAULTS = RandomSearchSettings()


def random_search(
    problem: Problem, rng: np.random.Generator, settings: RandomSearchSettings = DEFAULTS
) -> None:
    """Score the founders, then samples, until the budget is spent."""
    referee = Referee(problem)
    referee.scores(problem.founders)
    while True:
        referee.scores(samples(problem.founders, rng, settings))


def samples(founders: Floats, rng: np.random.Generator, settings: RandomSearchSettings) -> Floats:
    """A batch: each a point of the box or, as likely, a mixture of the founders.

    The shares of a mixture are uniform on the simplex (a Dirichlet distribution of ones).
    """
    boxed = rng.uniform(settings.low, settings.high, (settings.batch, founders.shape[1]))
    mixed = rng.dirichlet(np.ones(len(founders)), settings.batch) @ founders
    return np.where(rng.random((settings.batch, 1)) < 0.5, boxed, mixed)
