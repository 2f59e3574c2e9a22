"""CMA-ES from the package `cma`, as mergekit-evolve and M2N2's comparison use it.

mergekit (scripts/evolve.py, evo/genome.py) starts at equal weights with a deviation of 1/6 and
ends where CMA-ES stops; M2N2 (cma_es_fn.py of SakanaAI/natural_niches) starts at random weights
with 0.01 and a population of 20. Here a run that stops is followed by one with twice the
population from the same start, as `cma.fmin2` restarts (IPOP: Auger and Hansen, CEC 2005). Like
theirs, it never scores the founders.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.benchmarks.rivals.problem import Floats, Problem, Referee

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message=".*matplotlib", category=UserWarning)
    import cma  # type: ignore[import-untyped]


@dataclass(frozen=True)
class CmaEsSettings:
    """Where and how wide the search starts.

    Args:
        sigma: The first deviation in all directions.
        start: The first mean; the founders' mean by default.
        population: Candidates in a generation; `cma` chooses by default.
    """

    sigma: float = 0.2
    start: Floats | None = None
    population: int | None = None


DEFAULTS = CmaEsSettings()


def cma_es(problem: Problem, rng: np.random.Generator, settings: CmaEsSettings = DEFAULTS) -> None:
    """Sample generation by generation, restarting, until the budget is spent."""
    referee = Referee(problem)
    start = problem.founders.mean(axis=0) if settings.start is None else settings.start
    options: dict[str, Any] = {
        "randn": lambda *shape: rng.standard_normal(shape),
        "seed": np.nan,  # leave numpy's global generator alone
        "verbose": -9,
    }
    if settings.population is not None:
        options["popsize"] = settings.population
    while True:
        strategy = cma.CMAEvolutionStrategy(start, settings.sigma, options)
        while not strategy.stop():
            candidates = strategy.ask()
            strategy.tell(candidates, -referee.means(np.stack(candidates)))
        options["popsize"] = 2 * strategy.popsize
