"""Breeding on pygad: its population holds the genomes of the living, its hooks do the rest.

- `parent_selection_type`: an arena tournament picks a first parent for every child of two.
- `crossover_type`: the brood is conceived. An evolution strategy steps around its centre in
  mirrored pairs; a bandit shares the other places among the operators, which recombine a first
  parent with the mate that it is attracted to, or the best of the living.
- `mutation_type`: recombined children get noise, and all become valid genomes.
- `fitness_func` (one batch): the host makes the siblings and scores them on the same few items.
- `on_generation`: the most promising are looked at on the panel that the living were scored on, the
  survivors of old and new live on, the emitter moves, the bandit learns, and the host commits it.

pygad's own generators are never used: every draw is keyed by (seed, generation, child). What is
bred, and on what it is scored, is the host's business: a campaign on language models, or a
benchmark on anything else that has a `Space`.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lineage.records import Floats, Parent
from population.config import ArenaSettings, Search
from population.evolution.alarms import Alarm, DiversityMeasures, alarms, vital_signs
from population.evolution.alarms import AlarmResponse as Remedy
from population.evolution.alarms import answer as remedy_for
from population.evolution.bandit import odds
from population.evolution.evolution_strategy import directions, mirrored
from population.evolution.operators import OPERATORS, Recombination
from population.evolution.operators.ensemble import rank_weights
from population.evolution.outcome import judge
from population.evolution.population_state import BreedingState
from population.evolution.proposals import CENTRE, EMITTER, Host, Offspring, Proposal
from population.evolution.pygad_engine import Engine
from population.evolution.selection.parents import (
    attraction,
    shared_fitness,
    tournament,
    tournament_strength,
)
from population.evolution.spaces import SearchSpace
from population.randomness import generator
from population.weights.geometry import Geometry

_QUIET = logging.getLogger("colony.pygad")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


class Breeder:
    """Runs pygad over the living, generation by generation.

    Args:
        seed: the campaign's.
        search: how to breed.
        arena: how parents are picked.
        space: what genomes mean.
        host: where they live.
        geometry: of what genomes make; without one, operators that need it are never taken.
    """

    def __init__(
        self,
        seed: int,
        search: Search,
        arena: ArenaSettings,
        space: SearchSpace,
        host: Host,
        geometry: Geometry | None = None,
    ) -> None:
        self._seed, self._search, self._arena = seed, search, arena
        self._space, self._host, self._geometry = space, host, geometry
        self._stock: BreedingState
        self._going: bool
        self._alarms: list[Alarm] = []
        self._remedy = Remedy()
        self._odds: dict[str, float] = {}
        self._steps: Floats
        self._conceived: list[Proposal] = []
        self._genomes: Floats
        self._brood: Offspring

    def run(self, stock: BreedingState) -> None:
        """Breed until the host says to stop."""
        self._stock, self._going = stock, True
        while self._going:
            self._engine().run()

    def _engine(self) -> Engine:
        """A pygad for as many as live now: it cannot change its size."""
        living = self._living_genomes()
        brood = min(self._search.brood, len(living))
        genes, types = self._space.space.pygad_space()
        return Engine(
            num_generations=1 << 30,  # the host decides when to stop
            initial_population=living,
            num_parents_mating=len(living),
            fitness_func=self._fitness,
            fitness_batch_size=brood,
            parent_selection_type=self._first_parents,
            crossover_type=self._conceive,
            mutation_type=self._mutated,
            on_generation=self._on_generation,
            gene_space=genes,
            gene_type=types,
            keep_parents=0,
            keep_elitism=len(living) - brood,  # pygad breeds the rest; who lives, `judge` decides
            logger=_QUIET,
            suppress_warnings=True,
        )

    def _living_genomes(self) -> Floats:
        """A copy: pygad overwrites its population in place."""
        return self._stock.genomes[self._stock.founders :].copy()

    # pygad's hooks, in the order it calls them

    def _first_parents(self, fitness: Floats, count: int, engine: Any) -> tuple[Floats, Any]:
        """A first parent for every child that will be recombined, by tournament in the arena.

        Founders may win as well. Children of the emitter need none.
        """
        self._alarms, self._remedy = self._examine()
        stock = self._stock
        shared = shared_fitness(stock.scores, self._sharing)
        chosen = np.zeros(count, dtype=np.int64)
        pairs = self._pairs(count)
        for child in range(1 + 2 * pairs if pairs else 0, count):
            rng = self._draw("tournament", child)
            strength = tournament_strength(
                rng, stock.rating, stock.deviation, shared, stock.children, self._arena.weight
            )
            chosen[child] = tournament(rng, strength, self._arena.tournament)
        return stock.genomes[chosen], chosen

    def _conceive(self, parents: Floats, shape: tuple[int, int], engine: Any) -> Floats:
        """The brood: the centre, mirrored pairs around it, children of the operators.

        The last ones are of those pairs that were asked for.
        """
        stepped, asked = self._emitted(shape[0]), self._stock.matings
        firsts = engine.last_generation_parents_indices[len(stepped) : shape[0] - len(asked)]
        self._odds = self._shared_out() if len(firsts) or asked else {}
        mated = [self._mated(child, int(first)) for child, first in enumerate(firsts)]
        self._conceived = [
            *stepped,
            *mated,
            *(self._asked_for(child, pair) for child, pair in enumerate(asked, len(mated))),
        ]
        self._genomes = np.array([child.genome for child in self._conceived])
        return self._genomes

    def _mutated(self, genomes: Floats, engine: Any) -> Floats:
        """Noise on what was recombined, and all of it inside the space.

        It starts from what was conceived: pygad has cut whole genes down to the integer below.
        """
        space, genomes = self._space.space, self._genomes
        least, most = np.log(self._search.mutation)
        for child, conceived in enumerate(self._conceived):
            if conceived.operator in OPERATORS and OPERATORS[conceived.operator].mutated:
                rng = self._draw("mutation", child)
                noise = np.exp(rng.uniform(least, most)) * rng.standard_normal(space.genes)
                flipped = rng.random(space.genes) < 2.0 / space.blocks
                flips = flipped * rng.choice((-1.0, 1.0), space.genes)
                genomes[child] += np.where(space.integer, flips, noise * space.step)
        return self._space.repaired(genomes)

    def _fitness(self, engine: Any, genomes: Floats, indices: Any) -> Floats:
        """The children's shared fitness; that of the living that a run starts with is known."""
        if engine.last_generation_offspring_mutation is None:
            return self._stock.means[self._stock.founders :]
        own = np.array(genomes, dtype=np.float64)  # pygad overwrites its population in place
        conceived = [
            replace(child, genome=genome)
            for child, genome in zip(self._conceived, own, strict=True)
        ]
        self._brood = replace(self._host.trial(conceived), steps=self._steps)
        return shared_fitness(self._brood.scores, self._sharing, epsilon=1.0)

    def _on_generation(self, engine: Any) -> str | None:
        judged = judge(
            self._stock, self._brood, self._space.space, self._search, self._host, self._sharing
        )
        settled = self._host.settle(replace(judged, alarms=tuple(self._alarms)))
        self._going = settled is not None
        if settled is None:
            return "stop"
        grown = len(settled.ids) != len(self._stock.ids)
        self._stock = settled
        if grown:
            return "stop"
        engine.population = self._living_genomes()
        engine.last_generation_fitness = settled.means[settled.founders :]
        return None

    # Conceiving

    def _draw(self, what: str, child: int = 0) -> np.random.Generator:
        return generator(self._seed, what, self._stock.generation + 1, child)

    @property
    def _sharing(self) -> float:
        return self._search.sharing * self._remedy.novelty

    def _examine(self) -> tuple[list[Alarm], Remedy]:
        """The colony's vital signs before it breeds, and what is done about them."""
        stock, rows = self._stock, self._stock.offspring
        signs = vital_signs(
            stock.lines[rows], stock.relationship[np.ix_(rows, rows)], stock.scores[rows]
        )
        best = DiversityMeasures(1.0, 0.0, max(stock.coverage, signs.item_coverage), 1.0)
        raised = alarms(signs, best) if self._search.alarms else []
        return raised, remedy_for(raised, self._search.brood)

    def _shared_out(self) -> dict[str, float]:
        """How likely each operator makes the next child that the emitter does not make."""
        bandit = self._stock.bandit
        usual = {name: arm.often for name, arm in bandit.items()}
        drawn = odds(bandit, self._draw("bandit")) if self._search.bandit else usual
        return {
            name: odd
            for name, odd in sorted(drawn.items())
            if self._geometry is not None or not OPERATORS[name].geometric
        }

    def _pairs(self, brood: int) -> int:
        """How many mirrored pairs there are in a brood, beside the centre and who is asked for."""
        brood = min(brood, self._search.brood)
        room = brood - len(self._stock.matings)
        return max(0, min(round(self._search.emitter * brood / 2), (room - 1) // 2))

    def _emitted(self, brood: int) -> list[Proposal]:
        """The averaged centre and the mirrored pairs around the centre."""
        stock, pairs = self._stock, self._pairs(brood)
        self._steps = np.empty((0, self._space.space.genes))
        if not pairs:
            return []
        emitter = stock.emitter
        self._steps = directions(self._draw("emitter"), self._space.space, emitter.level, pairs)
        parents = (Parent(stock.origin, 1.0, "first"),)
        around = mirrored(emitter.centre, self._steps, self._search.sigma * emitter.stride)
        return [
            Proposal(CENTRE, parents, emitter.average),
            *(Proposal(EMITTER, parents, genome) for genome in around),
        ]

    def _mated(self, child: int, first: int) -> Proposal:
        """A child of an operator that the bandit draws."""
        rng = self._draw("mating", child)
        name = _picked(rng, self._odds)
        if OPERATORS[name].ensemble:
            family = self._stock.best_offspring(self._search.family)
            return self._recombined(rng, name, family, rank_weights(len(family)))
        mate = self._newcomer(rng) if child < self._remedy.new_blood else self._mate(rng, first)
        return self._recombined(rng, name, [first, mate], np.array([0.5, 0.5]))

    def _asked_for(self, child: int, pair: tuple[int, int]) -> Proposal:
        """A child of two that somebody chose, by an operator for two that the bandit draws."""
        rng = self._draw("mating", child)
        for_two = {n: odd for n, odd in self._odds.items() if not OPERATORS[n].ensemble}
        name = _picked(rng, for_two or {"gate": 1.0})  # which any space has
        rows = [self._stock.ids.index(model) for model in pair]
        return self._recombined(rng, name, rows, np.array([0.5, 0.5]))

    def _recombined(
        self, rng: np.random.Generator, name: str, family: Sequence[int], weights: Floats
    ) -> Proposal:
        """What an operator makes of the members in some rows."""
        genomes = self._stock.genomes[list(family)]
        mating = Recombination(rng, genomes, weights, self._space.space, self._geometry)
        parents = self._stock.parents(family, weights)
        return Proposal(name, parents, OPERATORS[name].make(mating))

    def _mate(self, rng: np.random.Generator, first: int) -> int:
        """The mate that a first parent is attracted to."""
        stock = self._stock
        if not self._search.attraction:
            others = [row for row in range(len(stock.ids)) if row != first]
            return int(rng.choice(others))
        pull = attraction(stock.scores, first, stock.relationship[first])
        return int(rng.choice(len(pull), p=pull))

    def _newcomer(self, rng: np.random.Generator) -> int:
        """New blood: a founder, whoever would be attractive."""
        return int(rng.integers(self._stock.founders))


def _picked(rng: np.random.Generator, odds: Mapping[str, float]) -> str:
    """A name, drawn by its odds, on any scale."""
    chances = np.array(list(odds.values()))
    return list(odds)[int(rng.choice(len(chances), p=chances / chances.sum()))]
