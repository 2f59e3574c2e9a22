"""Breeding on pygad: its population holds the genomes of the living, its hooks do the rest.

- `parent_selection_type`: an arena tournament picks a first parent for every child of two.
- `crossover_type`: the first parent is attracted to its mate and an operator recombines them; an
  ensemble is made of the best of the last brood.
- `mutation_type`: every child's coefficients get noise and are kept inside the gene space.
- `fitness_func` (one batch): the campaign makes the siblings and scores them together.
- `on_generation`: the campaign lets the fittest of old and new survive and commits everything;
  the survivors are pygad's next population.

pygad's own generators are never used: every draw is keyed by (seed, generation, child).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pygad

from arena.choosing import attraction, shared_fitness, tournament, tournament_strength
from lineage.records import Floats, Parent
from population.colony import Colony, task_means
from population.config import Arena, Search
from population.operators import OPERATORS
from population.operators.ensemble import rank_weights
from population.randomness import generator

_QUIET = logging.getLogger("colony.pygad")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


@dataclass(frozen=True)
class Conception:
    """A child before it has weights: how it came about."""

    operator: str
    parents: tuple[Parent, ...]
    genome: Floats


class Breeder:
    """Runs pygad over the living of a colony, generation by generation.

    Args:
        seed: the campaign's.
        search: how to breed.
        arena: how parents are picked.
        score: called once per generation with all its children; returns their fitness.
        settle: called after each generation; commits it and returns the colony as it is now,
            or None to stop.
    """

    def __init__(
        self,
        seed: int,
        search: Search,
        arena: Arena,
        score: Callable[[Sequence[Conception]], Floats],
        settle: Callable[[], Colony | None],
    ) -> None:
        self._seed, self._search, self._arena = seed, search, arena
        self._score, self._settle = score, settle
        self._colony: Colony
        self._conceived: list[Conception] = []

    def run(self, colony: Colony) -> None:
        """Breed until `settle` says to stop."""
        self._colony = colony
        vectors, blocks = colony.genomes.shape[1:]
        living = self._living_genomes()
        brood = min(self._search.brood, len(living))
        space = {"low": self._search.lowest, "high": self._search.highest}
        engine = pygad.GA(
            num_generations=1 << 30,  # `settle` decides when to stop
            initial_population=living,
            num_parents_mating=len(living),
            fitness_func=self._fitness,
            fitness_batch_size=len(living),
            parent_selection_type=self._first_parents,
            crossover_type=self._recombined,
            mutation_type=self._mutated,
            on_generation=self._on_generation,
            gene_space=[space] * (vectors * blocks),
            gene_type=float,
            keep_parents=0,
            keep_elitism=len(living) - brood,  # pygad breeds the rest; who lives, `settle` decides
            logger=_QUIET,
            suppress_warnings=True,
        )
        engine.run()

    def _living_genomes(self) -> Floats:
        """A copy: pygad overwrites its population in place."""
        living = self._colony.genomes[self._colony.founders :]
        return living.reshape(len(living), -1).copy()

    def _fitness(self, engine: Any, genomes: Floats, indices: Any) -> Floats:
        """The children's scores; the living that a run starts with are known already.

        pygad leaves out a child that equals one it has kept, and so it is never born.
        """
        if engine.last_generation_offspring_mutation is None:
            return self._living_fitness()
        shape = self._colony.genomes.shape[1:]
        self._conceived = [
            replace(self._conceived[index - engine.keep_elitism], genome=genome.reshape(shape))
            for index, genome in zip(indices, np.array(genomes, dtype=np.float64), strict=True)
        ]
        return self._score(self._conceived)

    def _living_fitness(self) -> Floats:
        return task_means(self._colony.panel, self._colony.scores)[self._colony.founders :]

    def _first_parents(self, fitness: Floats, count: int, engine: Any) -> tuple[Floats, Any]:
        """One first parent per child, by tournament in the arena. Founders may win as well."""
        colony = self._colony
        unrated = [colony.ratings.get(model.id) for model in colony.members]
        rating = np.array([rated.rating if rated else 0.0 for rated in unrated])
        deviation = np.array([rated.deviation if rated else 1.0 for rated in unrated])
        shared = shared_fitness(colony.scores, self._search.sharing)
        winners = []
        for child in range(count):
            rng = generator(self._seed, "tournament", colony.generation + 1, child)
            strength = tournament_strength(
                rng, rating, deviation, shared, colony.children, self._arena.weight
            )
            winners.append(tournament(rng, strength, self._arena.tournament))
        chosen = np.array(winners)
        return colony.genomes[chosen].reshape(count, -1), chosen

    def _recombined(self, parents: Floats, shape: tuple[int, int], engine: Any) -> Floats:
        """A child per place: draw an operator, gather its parents, recombine."""
        names = sorted(name for name, often in self._search.operators.items() if often > 0)
        odds = np.array([self._search.operators[name] for name in names])
        brood = self._best_of_the_brood()
        self._conceived = []
        for child in range(shape[0]):
            rng = generator(self._seed, "mating", self._colony.generation + 1, child)
            name = names[int(rng.choice(len(names), p=odds / odds.sum()))]
            if OPERATORS[name].ensemble:
                family, weights = brood, rank_weights(len(brood))
            else:
                first = int(engine.last_generation_parents_indices[child])
                family, weights = self._pair(rng, first), np.array([0.5, 0.5])
            genome = OPERATORS[name].make(rng, self._colony.genomes[family], weights)
            self._conceived.append(Conception(name, self._parents(family, weights), genome))
        return np.array([child.genome.ravel() for child in self._conceived])

    def _best_of_the_brood(self) -> list[int]:
        """Members born in the last generation, best first; all offspring if there are too few."""
        colony = self._colony
        scores = task_means(colony.panel, colony.scores)
        offspring = range(colony.founders, len(colony.members))
        youngest = [i for i in offspring if colony.members[i].generation == colony.generation]
        pool = youngest if len(youngest) >= 2 else list(offspring)
        return sorted(pool, key=lambda member: (-scores[member], member))[: self._search.young]

    def _pair(self, rng: np.random.Generator, first: int) -> list[int]:
        """A first parent and the mate it is attracted to."""
        colony = self._colony
        pull = attraction(colony.scores, first, colony.relationship[first])
        return [first, int(rng.choice(len(pull), p=pull))]

    def _parents(self, family: Sequence[int], weights: Floats) -> tuple[Parent, ...]:
        roles = ("first", "mate") if len(family) == 2 else ("ensemble",) * len(family)
        return tuple(
            Parent(self._colony.members[row].id, float(weight), role)
            for row, weight, role in zip(family, weights, roles, strict=True)
        )

    def _mutated(self, genomes: Floats, engine: Any) -> Floats:
        """Noise on the coefficients, and all of them inside the gene space."""
        low = np.array([space["low"] for space in engine.gene_space])
        high = np.array([space["high"] for space in engine.gene_space])
        least, most = np.log(self._search.mutation)
        for child, conceived in enumerate(self._conceived):
            if OPERATORS[conceived.operator].mutated:
                rng = generator(self._seed, "mutation", self._colony.generation + 1, child)
                strength = np.exp(rng.uniform(least, most))
                genomes[child] += strength * rng.standard_normal(genomes.shape[1])
        return np.clip(genomes, low, high)

    def _on_generation(self, engine: Any) -> str | None:
        colony = self._settle()
        if colony is None:
            return "stop"
        self._colony = colony
        engine.population = self._living_genomes()
        engine.last_generation_fitness = self._living_fitness()
        return None
