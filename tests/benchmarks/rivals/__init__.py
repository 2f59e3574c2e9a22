"""Rival search algorithms as their authors published them, for a comparison at an equal budget.

They share nothing with the package that they are compared with. Where one of them differs from
its published code, the docstring of its module says so.
"""

from collections.abc import Callable, Mapping

from tests.benchmarks.rivals import (
    cma_es,
    ga,
    m2n2,
    map_elites,
    pso,
    random_search,
    stock_pygad,
)

#: Each is called as `rival(problem, rng, settings)` and runs until the problem raises `Spent`.
RIVALS: Mapping[str, Callable[..., None]] = {
    "m2n2": m2n2.m2n2,
    "ga": ga.ga,
    "map_elites": map_elites.map_elites,
    "cma_es": cma_es.cma_es,
    "stock_pygad": stock_pygad.stock_pygad,
    "pso": pso.pso,
    "random_search": random_search.random_search,
}
