"""The evolver: `ask` proposes the children of a population, `tell` learns from their scores.

::

    proposals = evolver.ask(state)
    offspring = ...                                # made and scored on a few items by the caller
    race      = run_race(state, offspring, panel, search, score)
    outcome   = evolver.tell(state, offspring, panel, race)

`ask` runs pygad for one generation, and each step is one of its hooks:

- parent selection: a tournament picks a first parent for every recombined child
  (`selection.parents`);
- crossover: the evolution strategy steps around its centre in mirrored pairs
  (`evolution_strategy`); a bandit shares the other places among the `operators`, which recombine a
  first parent with the mate that it is attracted to, or the best of the living;
- mutation: recombined children get noise (`mutation`), and all become valid genomes.

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
from population.evolution.alarms import (
    Alarm,
    AlarmResponse,
    diversity_alarms,
    diversity_of,
    response_to,
)
from population.evolution.bandit import arm_probabilities
from population.evolution.evolution_strategy import mirrored_genomes, sample_steps
from population.evolution.finals import Race
from population.evolution.lines import brood_of, is_climbing
from population.evolution.mutation import mutate
from population.evolution.operators import OPERATORS, Operator, Recombination
from population.evolution.operators.ensemble import rank_weights
from population.evolution.population_state import BreedingState
from population.evolution.proposals import (
    CENTRE,
    EMITTER,
    RAISE,
    Offspring,
    Outcome,
    Panel,
    Proposal,
    Proposals,
)
from population.evolution.pygad_engine import Hooks, PygadEngine
from population.evolution.selection.parents import (
    attraction,
    select_by_tournament,
    shared_fitness,
    tournament_strength,
)
from population.evolution.spaces import SearchSpace
from population.evolution.structure import recombined
from population.evolution.survival import RULES, Rule
from population.randomness import generator
from population.weights.geometry import Geometry


@dataclass(frozen=True)
class Evolver:
    """Proposes the children of a population, and learns from their scores.

    It keeps nothing between two calls: everything learned is in the state.

    Attributes:
        seed: the campaign's.
        search: how to breed.
        arena: how parents are picked.
        space: what genomes mean.
        geometry: lengths and angles of what genomes make; without one, operators that need it are
            never taken.
        operators: what recombines parents, by name.
        rule: the survival rule; by default the one that `search` names.
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
        return _Proposer.of(self, state).proposals()

    def tell(self, state: BreedingState, offspring: Offspring, panel: Panel, race: Race) -> Outcome:
        """The survivors, and what the evolution strategy and the bandit learn.

        Args:
            state: the population that bred.
            offspring: the proposals, scored on the generation's items.
            panel: with the scores of the living on it.
            race: the finalists on it.
        """
        rule = self.rule or RULES[self.search.survival]
        return outcome.outcome_of(
            state, offspring, panel, race, self.space.space, self.search, rule
        )


@dataclass(frozen=True)
class _Proposer:
    """Proposes the children of one generation.

    Attributes:
        evolver: whose settings hold.
        state: the population that breeds.
        alarms: losses of its diversity.
        response: to the alarms.
        probabilities: by operator, of making a child that the emitter does not make.
        steps: shape (pairs, genes): the emitter's.
    """

    evolver: Evolver
    state: BreedingState
    alarms: tuple[Alarm, ...]
    response: AlarmResponse
    probabilities: Mapping[str, float]
    steps: Floats

    @classmethod
    def of(cls, evolver: Evolver, state: BreedingState) -> "_Proposer":
        """Check the diversity, and draw what all children share."""
        alarms = _alarms_of(state) if evolver.search.alarms else []
        response = response_to(alarms, evolver.search.brood)
        proposer = cls(evolver, state, tuple(alarms), response, {}, np.empty((0, 0)))
        return replace(
            proposer,
            probabilities=proposer._operator_probabilities(),
            steps=proposer._emitter_steps(),
        )

    def proposals(self) -> Proposals:
        """All children, made by pygad."""
        members, search = self.state.members, self.evolver.search
        rows = members.offspring
        children: list[Proposal] = []
        first_parents = self._first_parents(len(rows))

        def parent_selection(fitness: Floats, count: int, engine: Any) -> tuple[Floats, Any]:
            return members.genomes[first_parents], first_parents

        def crossover(parents: Floats, shape: tuple[int, int], engine: Any) -> Floats:
            children[:] = self._children(engine.last_generation_parents_indices, shape[0])
            return np.array([child.genome for child in children])

        def mutation(genomes: Floats, engine: Any) -> Floats:
            # From what crossover made: pygad has cut integer genes down to the integer below.
            mutated = self._mutated(children)
            children[:] = [replace(c, genome=g) for c, g in zip(children, mutated, strict=True)]
            return mutated

        self.evolver.engine.generation(
            members.genomes[rows],
            members.means[rows],
            brood_of(search, self.state),
            Hooks(parent_selection, crossover, mutation),
        )
        sharing = search.sharing * self.response.novelty
        return Proposals(tuple(children), self.steps, sharing, self.alarms)

    # pygad's steps, in their order

    def _first_parents(self, count: int) -> Any:
        """Rows of a first parent for every child that is recombined, by tournament, shape (count,).

        Founders may be picked as well. Children of the emitter need no parent.
        """
        members, search, arena = self.state.members, self.evolver.search, self.evolver.arena
        fitness = shared_fitness(members.scores, search.sharing * self.response.novelty)
        rows = np.zeros(count, dtype=np.int64)
        pairs = len(self.steps)
        for child in range(1 + 2 * pairs if pairs else 0, count):
            rng = self._generator("tournament", child)
            strength = tournament_strength(
                rng, members.rating, members.deviation, fitness, members.children, arena.weight
            )
            rows[child] = select_by_tournament(rng, strength, arena.tournament)
        return rows

    def _children(self, first_parents: Sequence[int], count: int) -> list[Proposal]:
        """The centre, mirrored pairs around it, children of the operators, and ordered matings."""
        emitted, pairs = [*self._emitted(), *self._raised()], self.state.matings
        recombined = first_parents[len(emitted) : count - len(pairs)]
        mated = [self._mated(child, int(first)) for child, first in enumerate(recombined)]
        ordered = [self._ordered(child, pair) for child, pair in enumerate(pairs, len(mated))]
        return [*emitted, *mated, *ordered]

    def _mutated(self, children: Sequence[Proposal]) -> Floats:
        """Valid genomes, those of recombined children mutated; shape (children, genes)."""
        space = self.evolver.space.space
        genomes = np.array([child.genome for child in children])
        for row, child in enumerate(children):
            operator = self.evolver.operators.get(child.operator)
            if operator is not None and operator.mutated:
                rng = self._generator("mutation", row)
                genomes[row] = mutate(genomes[row], rng, space, self.evolver.search.mutation)
        return self.evolver.space.repaired(genomes)

    # What all children share

    def _generator(self, purpose: str, child: int = 0) -> np.random.Generator:
        return generator(self.evolver.seed, purpose, self.state.generation + 1, child)

    def _operator_probabilities(self) -> dict[str, float]:
        bandit = self.state.search.bandit
        probabilities = (
            arm_probabilities(bandit, self._generator("bandit"))
            if self.evolver.search.bandit
            else {name: arm.often for name, arm in bandit.items()}
        )
        return {
            name: probability
            for name, probability in sorted(probabilities.items())
            if self.evolver.geometry is not None or not self.evolver.operators[name].geometric
        }

    def _emitter_steps(self) -> Floats:
        """The emitter's steps, one for each pair of its children; shape (pairs, genes)."""
        search, space = self.evolver.search, self.evolver.space.space
        size = brood_of(search, self.state)
        room = size - len(self.state.matings)
        pairs = max(0, min(round(search.emitter * size / 2), (room - 1) // 2))
        if not pairs:
            return np.empty((0, space.genes))
        level = self.state.search.emitter.level
        return sample_steps(self._generator("emitter"), space, level, pairs)

    # Kinds of children

    def _emitted(self) -> list[Proposal]:
        """The averaged centre and the mirrored pairs around the centre."""
        if not len(self.steps):
            return []
        learned, sigma = self.state.search, self.evolver.search.sigma
        emitter, parents = learned.emitter, (Parent(learned.origin, 1.0, "first"),)
        return [
            Proposal(CENTRE, parents, emitter.average),
            *(
                Proposal(EMITTER, parents, genome)
                for genome in mirrored_genomes(emitter.centre, self.steps, sigma * emitter.stride)
            ),
        ]

    def _raised(self) -> list[Proposal]:
        """The best of the living, to be taken further by gradient steps while it climbs."""
        members = self.state.members
        if not is_climbing(self.evolver.search, self.state):
            return []
        (best,) = members.best_offspring(1)
        return [Proposal(RAISE, (Parent(members.ids[best], 1.0, "first"),), members.genomes[best])]

    def _mated(self, child: int, first: int) -> Proposal:
        """A child of an operator that the bandit draws."""
        rng, members = self._generator("mating", child), self.state.members
        name = _draw_name(rng, self.probabilities)
        if self.evolver.operators[name].ensemble:
            ensemble = members.best_offspring(self.evolver.search.family)
            return self._recombined(rng, name, ensemble, rank_weights(len(ensemble)))
        new_blood = child < self.response.new_blood
        mate = int(rng.integers(members.founders)) if new_blood else self._mate(rng, first)
        return self._recombined(rng, name, [first, mate], np.array([0.5, 0.5]))

    def _ordered(self, child: int, pair: tuple[int, int]) -> Proposal:
        """A child of two that somebody chose, by an operator for two that the bandit draws."""
        rng = self._generator("mating", child)
        for_two = {
            name: probability
            for name, probability in self.probabilities.items()
            if not self.evolver.operators[name].ensemble
        }
        name = _draw_name(rng, for_two or {"gate": 1.0})  # which any space has
        rows = [self.state.members.ids.index(model) for model in pair]
        return self._recombined(rng, name, rows, np.array([0.5, 0.5]))

    def _recombined(
        self, rng: np.random.Generator, name: str, rows: Sequence[int], weights: Floats
    ) -> Proposal:
        """The child that an operator makes of the members in some rows."""
        members = self.state.members
        genomes = members.genomes[list(rows)]
        recombination = Recombination(
            rng, genomes, weights, self.evolver.space.space, self.evolver.geometry
        )
        parents = members.parents(rows, weights)
        return Proposal(name, parents, recombined(self.evolver.operators[name], recombination))

    def _mate(self, rng: np.random.Generator, first: int) -> int:
        """The row of the mate that a first parent is attracted to."""
        members = self.state.members
        if not self.evolver.search.attraction:
            others = [row for row in range(len(members.ids)) if row != first]
            return int(rng.choice(others))
        probabilities = attraction(members.scores, first, members.relationship[first])
        return int(rng.choice(len(probabilities), p=probabilities))


def _alarms_of(state: BreedingState) -> list[Alarm]:
    """The alarms of the living before they breed."""
    members, rows = state.members, state.members.offspring
    measures = diversity_of(
        members.founder_shares[rows],
        members.relationship[np.ix_(rows, rows)],
        members.scores[rows],
    )
    return diversity_alarms(measures, max(state.coverage, measures.item_coverage))


def _draw_name(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    """A name, drawn with a probability in proportion to its weight."""
    values = np.array(list(weights.values()))
    return list(weights)[int(rng.choice(len(values), p=values / values.sum()))]
