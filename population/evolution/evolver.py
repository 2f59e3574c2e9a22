"""Ask and tell: which children a population is to have, and what became of them.

::

    proposals = evolver.ask(state)
    offspring = ...                                # made and scored on a few items by the caller
    race      = run_race(state, offspring, panel, search, score)
    outcome   = evolver.tell(state, offspring, panel, race)

`ask` runs pygad for one generation, and each step is one of its hooks:

- parent selection: an arena tournament picks a first parent for every child of two;
- crossover: an evolution strategy steps around its centre in mirrored pairs; a bandit shares the
  other places among the operators, which recombine a first parent with the mate that it is
  attracted to, or the best of the living;
- mutation: recombined children get noise, and all become valid genomes.

Every draw is keyed by (seed, generation, child). What is bred, and on what it is scored, is the
caller's business: a campaign on language models, or a benchmark on anything that has a `Space`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from lineage.records import Floats, Parent
from population.config import ArenaSettings, Search
from population.evolution import outcome
from population.evolution.alarms import Alarm, AlarmResponse, alarms, diversity_of, response_to
from population.evolution.bandit import odds
from population.evolution.evolution_strategy import directions, mirrored
from population.evolution.finals import Race
from population.evolution.operators import OPERATORS, Operator, Recombination
from population.evolution.operators.ensemble import rank_weights
from population.evolution.population_state import BreedingState
from population.evolution.proposals import (
    CENTRE,
    EMITTER,
    Offspring,
    Outcome,
    Panel,
    Proposal,
    Proposals,
)
from population.evolution.pygad_engine import Hooks, PygadEngine
from population.evolution.selection.parents import (
    attraction,
    shared_fitness,
    tournament,
    tournament_strength,
)
from population.evolution.spaces import SearchSpace
from population.evolution.survival import RULES, Rule
from population.randomness import generator
from population.weights.geometry import Geometry


@dataclass(frozen=True)
class Evolver:
    """Proposes the children of a population, and learns from what became of them.

    It keeps nothing between two calls: all that was learned is in the state.

    Attributes:
        seed: the campaign's.
        search: how to breed.
        arena: how parents are picked.
        space: what genomes mean.
        geometry: of what genomes make; without one, operators that need it are never taken.
        operators: what recombines parents, by name.
        rule: who lives on; by default the one that `search` names.
    """

    seed: int
    search: Search
    arena: ArenaSettings
    space: SearchSpace
    geometry: Geometry | None = None
    operators: Mapping[str, Operator] = field(default_factory=lambda: OPERATORS)
    rule: Rule | None = None

    @cached_property
    def engine(self) -> PygadEngine:
        """pygad, made for this space."""
        return PygadEngine(self.space.space)

    def ask(self, state: BreedingState) -> Proposals:
        """The children of the next generation, as many as `[search] brood` or as live."""
        return _Asking.begun(self, state).proposals()

    def tell(self, state: BreedingState, offspring: Offspring, panel: Panel, race: Race) -> Outcome:
        """Who lives on, and what the evolution strategy and the bandit learn.

        Args:
            state: who bred.
            offspring: what was asked for, scored on the generation's items.
            panel: with the living on it.
            race: the most promising of the offspring on it.
        """
        rule = self.rule or RULES[self.search.survival]
        return outcome.outcome_of(
            state, offspring, panel, race, self.space.space, self.search, rule
        )


@dataclass(frozen=True)
class _Asking:
    """One generation as it is proposed.

    Attributes:
        evolver: for whom.
        state: who breeds.
        alarms: what is wrong with the living.
        response: what is done about it.
        odds: how likely each operator makes the next child that the emitter does not make.
        steps: shape (steps, genes): the emitter's.
    """

    evolver: Evolver
    state: BreedingState
    alarms: tuple[Alarm, ...]
    response: AlarmResponse
    odds: Mapping[str, float]
    steps: Floats

    @classmethod
    def begun(cls, evolver: Evolver, state: BreedingState) -> "_Asking":
        """Look at the living, and draw what all children share."""
        raised = _raised(state) if evolver.search.alarms else []
        response = response_to(raised, evolver.search.brood)
        asking = cls(evolver, state, tuple(raised), response, {}, np.empty((0, 0)))
        return replace(asking, odds=asking._operator_odds(), steps=asking._steps())

    def proposals(self) -> Proposals:
        """All of them, made by pygad."""
        state, search = self.state, self.evolver.search
        rows = state.offspring
        made: list[Proposal] = []
        firsts = self._first_parents(len(rows))

        def parent_selection(fitness: Floats, count: int, engine: Any) -> tuple[Floats, Any]:
            return state.genomes[firsts], firsts

        def crossover(parents: Floats, shape: tuple[int, int], engine: Any) -> Floats:
            made[:] = self._children(engine.last_generation_parents_indices, shape[0])
            return np.array([child.genome for child in made])

        def mutation(genomes: Floats, engine: Any) -> Floats:
            # From what crossover made: pygad has cut whole genes down to the integer below.
            mutated = self._mutated(made)
            made[:] = [replace(c, genome=g) for c, g in zip(made, mutated, strict=True)]
            return mutated

        self.evolver.engine.generation(
            state.genomes[rows],
            state.means[rows],
            min(search.brood, len(rows)),
            Hooks(parent_selection, crossover, mutation),
        )
        sharing = search.sharing * self.response.novelty
        return Proposals(tuple(made), self.steps, sharing, self.alarms)

    # pygad's steps, in their order

    def _first_parents(self, count: int) -> Any:
        """Rows of a first parent for every child that is recombined, by tournament in the arena.

        Founders may win as well. Children of the emitter need none.
        """
        state, search, arena = self.state, self.evolver.search, self.evolver.arena
        shared = shared_fitness(state.scores, search.sharing * self.response.novelty)
        chosen = np.zeros(count, dtype=np.int64)
        pairs = len(self.steps)
        for child in range(1 + 2 * pairs if pairs else 0, count):
            rng = self._draw("tournament", child)
            strength = tournament_strength(
                rng, state.rating, state.deviation, shared, state.children, arena.weight
            )
            chosen[child] = tournament(rng, strength, arena.tournament)
        return chosen

    def _children(self, firsts: Sequence[int], count: int) -> list[Proposal]:
        """The centre, mirrored pairs around it, children of the operators.

        The last ones are of those pairs that somebody asked for.
        """
        stepped, wanted = self._emitted(), self.state.matings
        recombined = firsts[len(stepped) : count - len(wanted)]
        mated = [self._mated(child, int(first)) for child, first in enumerate(recombined)]
        asked = [self._asked_for(child, pair) for child, pair in enumerate(wanted, len(mated))]
        return [*stepped, *mated, *asked]

    def _mutated(self, children: Sequence[Proposal]) -> Floats:
        """Noise on what was recombined, and all of it inside the space; shape (children, genes)."""
        space = self.evolver.space.space
        genomes = np.array([child.genome for child in children])
        least, most = np.log(self.evolver.search.mutation)
        for child, proposed in enumerate(children):
            operator = self.evolver.operators.get(proposed.operator)
            if operator is not None and operator.mutated:
                rng = self._draw("mutation", child)
                noise = np.exp(rng.uniform(least, most)) * rng.standard_normal(space.genes)
                flipped = rng.random(space.genes) < 2.0 / space.blocks
                flips = flipped * rng.choice((-1.0, 1.0), space.genes)
                genomes[child] += np.where(space.integer, flips, noise * space.step)
        return self.evolver.space.repaired(genomes)

    # What all children share

    def _draw(self, what: str, child: int = 0) -> np.random.Generator:
        return generator(self.evolver.seed, what, self.state.generation + 1, child)

    def _operator_odds(self) -> dict[str, float]:
        bandit = self.state.bandit
        usual = {name: arm.often for name, arm in bandit.items()}
        drawn = odds(bandit, self._draw("bandit")) if self.evolver.search.bandit else usual
        return {
            name: odd
            for name, odd in sorted(drawn.items())
            if self.evolver.geometry is not None or not self.evolver.operators[name].geometric
        }

    def _steps(self) -> Floats:
        """The emitter's: half as many as it makes children, beside the centre."""
        search, space = self.evolver.search, self.evolver.space.space
        size = min(search.brood, len(self.state.offspring))
        room = size - len(self.state.matings)
        pairs = max(0, min(round(search.emitter * size / 2), (room - 1) // 2))
        if not pairs:
            return np.empty((0, space.genes))
        return directions(self._draw("emitter"), space, self.state.emitter.level, pairs)

    # Kinds of children

    def _emitted(self) -> list[Proposal]:
        """The averaged centre and the mirrored pairs around the centre."""
        if not len(self.steps):
            return []
        emitter, sigma = self.state.emitter, self.evolver.search.sigma
        parents = (Parent(self.state.origin, 1.0, "first"),)
        return [
            Proposal(CENTRE, parents, emitter.average),
            *(
                Proposal(EMITTER, parents, genome)
                for genome in mirrored(emitter.centre, self.steps, sigma * emitter.stride)
            ),
        ]

    def _mated(self, child: int, first: int) -> Proposal:
        """A child of an operator that the bandit draws."""
        rng = self._draw("mating", child)
        name = _picked(rng, self.odds)
        if self.evolver.operators[name].ensemble:
            family = self.state.best_offspring(self.evolver.search.family)
            return self._recombined(rng, name, family, rank_weights(len(family)))
        new_blood = child < self.response.new_blood
        mate = int(rng.integers(self.state.founders)) if new_blood else self._mate(rng, first)
        return self._recombined(rng, name, [first, mate], np.array([0.5, 0.5]))

    def _asked_for(self, child: int, pair: tuple[int, int]) -> Proposal:
        """A child of two that somebody chose, by an operator for two that the bandit draws."""
        rng = self._draw("mating", child)
        for_two = {n: odd for n, odd in self.odds.items() if not self.evolver.operators[n].ensemble}
        name = _picked(rng, for_two or {"gate": 1.0})  # which any space has
        rows = [self.state.ids.index(model) for model in pair]
        return self._recombined(rng, name, rows, np.array([0.5, 0.5]))

    def _recombined(
        self, rng: np.random.Generator, name: str, family: Sequence[int], weights: Floats
    ) -> Proposal:
        """What an operator makes of the members in some rows."""
        genomes = self.state.genomes[list(family)]
        recombination = Recombination(
            rng, genomes, weights, self.evolver.space.space, self.evolver.geometry
        )
        parents = self.state.parents(family, weights)
        return Proposal(name, parents, self.evolver.operators[name].make(recombination))

    def _mate(self, rng: np.random.Generator, first: int) -> int:
        """The mate that a first parent is attracted to."""
        state = self.state
        if not self.evolver.search.attraction:
            others = [row for row in range(len(state.ids)) if row != first]
            return int(rng.choice(others))
        pull = attraction(state.scores, first, state.relationship[first])
        return int(rng.choice(len(pull), p=pull))


def _raised(state: BreedingState) -> list[Alarm]:
    """The alarms of the living before they breed."""
    rows = state.offspring
    measures = diversity_of(
        state.lines[rows], state.relationship[np.ix_(rows, rows)], state.scores[rows]
    )
    return alarms(measures, max(state.coverage, measures.item_coverage))


def _picked(rng: np.random.Generator, odds: Mapping[str, float]) -> str:
    """A name, drawn by its odds, on any scale."""
    chances = np.array(list(odds.values()))
    return list(odds)[int(rng.choice(len(chances), p=chances / chances.sum()))]
