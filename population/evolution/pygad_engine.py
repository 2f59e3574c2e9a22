"""Runs pygad for one generation: parent selection, crossover and mutation by its public hooks.

Its population holds the genomes of the living. pygad's own random generators are never drawn from,
and it scores no children: they are evaluated after `Evolver.ask`.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pygad

from lineage.records import Floats
from population.evolution.spaces import Space

_QUIET = logging.getLogger("colony.pygad")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False

ParentSelection = Callable[[Floats, int, Any], tuple[Floats, Any]]
"""pygad's: (fitness, how many, engine) -> (genomes, rows)."""
Crossover = Callable[[Floats, tuple[int, int], Any], Floats]
"""pygad's: (parents' genomes, (children, genes), engine) -> genomes."""
Mutation = Callable[[Floats, Any], Floats]
"""pygad's: (genomes, engine) -> genomes."""


@dataclass(frozen=True)
class Hooks:
    """The functions that make the children of one generation, as pygad calls them.

    Attributes:
        parent_selection: picks first parents.
        crossover: makes children.
        mutation: changes them.
    """

    parent_selection: ParentSelection
    crossover: Crossover
    mutation: Mutation


class _Generation(pygad.GA):  # type: ignore[misc]
    """pygad without its own scoring.

    pygad would look every genome up among those that it has kept, gene by gene. The fitness of the
    living is given, and their children have none yet.
    """

    def cal_pop_fitness(self) -> Floats:
        """The fitness of the living, shape (living,); also used where the children's would be."""
        return np.asarray(self.fitness_func(self, self.population, None))


class PygadEngine:
    """pygad, one generation at a time.

    It checks every gene of the population that it is made with, one by one, which takes longer
    than a generation of long genomes. So it is made once for each size of a population, and kept;
    nothing that it keeps reaches the next generation.

    Args:
        space: what genomes may be.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._cached: tuple[tuple[int, int], _Generation] | None = None
        self._hooks: Hooks
        self._fitness: Floats

    def generation(self, living: Floats, fitness: Floats, children: int, hooks: Hooks) -> None:
        """Run one generation of pygad; the hooks keep the children that they make.

        Args:
            living: genomes, shape (living, genes).
            fitness: of the living, shape (living,).
            children: how many are made; at most as many as live.
            hooks: functions that make them.
        """
        self._hooks, self._fitness = hooks, fitness
        size = (len(living), children)
        if self._cached is None or self._cached[0] != size:
            self._cached = (size, self._engine(living, children))
        engine = self._cached[1]
        engine.population = living.copy()  # pygad overwrites its population in place
        engine.generations_completed = 0
        engine.best_solutions_fitness, engine.best_solutions_generations = [], []
        engine.run()

    def _engine(self, living: Floats, children: int) -> _Generation:
        genes, types = self._space.pygad_space()
        return _Generation(
            num_generations=1,
            initial_population=living.copy(),
            num_parents_mating=len(living),
            fitness_func=lambda engine, genomes, indices: self._fitness,
            fitness_batch_size=children,
            parent_selection_type=self._parent_selection,
            crossover_type=self._crossover,
            mutation_type=self._mutation,
            gene_space=genes,
            gene_type=types,
            keep_parents=0,
            keep_elitism=len(living)
            - children,  # so that `children` are made; survival is decided elsewhere
            logger=_QUIET,
            suppress_warnings=True,
        )

    def _parent_selection(self, fitness: Floats, count: int, engine: Any) -> tuple[Floats, Any]:
        return self._hooks.parent_selection(fitness, count, engine)

    def _crossover(self, parents: Floats, shape: tuple[int, int], engine: Any) -> Floats:
        return self._hooks.crossover(parents, shape, engine)

    def _mutation(self, genomes: Floats, engine: Any) -> Floats:
        return self._hooks.mutation(genomes, engine)
