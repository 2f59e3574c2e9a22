"""The genetic algorithm of pygad as it comes, without any operator of one's own."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pygad

from tests.benchmarks.rivals.problem import Floats, Problem, Referee

_QUIET = logging.getLogger(__name__)  # pygad logs a traceback when the budget is spent
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


@dataclass(frozen=True)
class StockPygadSettings:
    """The few things that pygad wants to be told.

    Args:
        low: Smallest value of a gene that mutation draws.
        high: Largest value of a gene that mutation draws.
        population: Solutions in a generation; half of them become parents.
        initial: The first population; by default the founders, filled up with uniform draws.
    """

    low: float = 0.0
    high: float = 1.0
    population: int = 20
    initial: Floats | None = None


DEFAULTS = StockPygadSettings()


def stock_pygad(
    problem: Problem, rng: np.random.Generator, settings: StockPygadSettings = DEFAULTS
) -> None:
    """Run `pygad.GA` until the budget is spent.

    Steady-state selection, random mutation of a tenth of the genes and one elite are its
    defaults. Uniform crossover is not (it cuts at one point), but does not depend on the order of
    the genes. What pygad remembers from the generation before is not scored again.
    """
    referee = Referee(problem)

    def fitness(_engine: Any, vectors: Floats, _indices: Any) -> Floats:
        return referee.means(vectors)

    initial = first_population(problem, rng, settings)
    pygad.GA(
        num_generations=1 << 30,
        num_parents_mating=len(initial) // 2,
        initial_population=initial,
        fitness_func=fitness,
        fitness_batch_size=len(initial),
        gene_space={"low": settings.low, "high": settings.high},
        crossover_type="uniform",
        random_seed=int(rng.integers(1 << 31)),
        logger=_QUIET,
        suppress_warnings=True,
    ).run()


def first_population(
    problem: Problem, rng: np.random.Generator, settings: StockPygadSettings
) -> Floats:
    """The given population, or the founders and uniform draws from the gene space."""
    if settings.initial is not None:
        return settings.initial
    founders, dims = problem.founders.shape
    missing = max(0, settings.population - founders)
    drawn = rng.uniform(settings.low, settings.high, (missing, dims))
    return np.concatenate([problem.founders, drawn])
