"""Our evolver on anything that can be scored, with everything kept in memory.

It stands where a campaign stands, without the archive, the arena and the language models; how
children are conceived, judged and survive is the project's own code, the same lines.
"""

from collections.abc import Callable, Sequence

import numpy as np

from lineage.ancestry.kinship import Kinship
from lineage.records import Floats, Parent
from population.config import ArenaSettings, Search
from population.evolution.bandit import new_bandit
from population.evolution.evolution_strategy import new_emitter
from population.evolution.evolver import Evolver
from population.evolution.finals import Race, run_race
from population.evolution.population_state import BreedingState, Members, SearchState
from population.evolution.proposals import Offspring, Outcome, Panel, Proposals
from population.evolution.spaces import SearchSpace
from population.evolution.spaces.initial_genomes import equal_parents
from population.evolution.spaces.space import Integers
from population.randomness import generator
from population.weights.geometry import Geometry

Evaluate = Callable[[Floats, Integers], Floats]
"""Scores (genomes, items) in [0, 1] of genomes on some of the training items."""


class Nursery:
    """Breeds in memory until the budget is spent.

    Args:
        seed: of all draws.
        search: how to breed.
        space: what genomes mean.
        items: how many training items there are.
        evaluate: scores genomes.
        budget: item evaluations.
        watch: told (item evaluations spent, genome of the champion) after every generation.
        geometry: of what genomes make, if it is known.
    """

    def __init__(
        self,
        seed: int,
        search: Search,
        space: SearchSpace,
        items: int,
        evaluate: Evaluate,
        budget: int,
        watch: Callable[[int, Floats], None],
        geometry: Geometry | None = None,
    ) -> None:
        self._seed, self._search, self._space = seed, search, space
        self._items, self._evaluate, self._budget = items, evaluate, budget
        self._watch, self._geometry = watch, geometry
        self._spent = 0
        self._kinship: Kinship

    def run(self, founders: int) -> None:
        """Found a colony of this many founders and breed."""
        search = self._search
        arena = ArenaSettings(weight=0.0)  # nobody judges here
        evolver = Evolver(self._seed, search, arena, self._space, self._geometry)
        state = self._founded(founders)
        while not self._done(state):
            generation = state.generation + 1
            proposals = evolver.ask(state)
            offspring = self._tried(proposals, generation)
            panel = self._panel(state)
            asked = self._asked(generation)

            def score(
                rows: Sequence[int],
                columns: Sequence[int],
                genomes: Floats = proposals.genomes,
                asked: Integers = asked,
            ) -> Floats:
                return self._scored(genomes[list(rows)], asked[list(columns)])

            race = run_race(state, offspring, panel, search, score)
            outcome = evolver.tell(state, offspring, panel, race)
            state = self._next(state, offspring, panel, race, outcome)
            champion = state.members.ids.index(state.champion)
            self._watch(self._spent, state.members.genomes[champion])

    # One generation

    def _tried(self, proposals: Proposals, generation: int) -> Offspring:
        """Score the children on fresh items."""
        genomes = proposals.genomes
        asked = self._dealt("slice", generation, self._search.items)
        return Offspring(
            proposals,
            tuple(map(_hash, genomes)),
            self._scored(genomes, asked),
            (None,) * len(genomes),
        )

    def _panel(self, state: BreedingState) -> Panel:
        """The panel of this epoch; the living are scored again where it is new."""
        members, scores = state.members, state.members.scores
        if (state.generation + 1) % self._search.rotate == 0:
            scores = self._scored(members.genomes, self._asked(state.generation + 1))
        count = scores.shape[1]
        rounds = tuple(
            tuple(part.tolist()) for part in np.array_split(np.arange(count), self._search.rounds)
        )
        return Panel(scores, np.full(count, 1.0 / count), rounds)

    def _next(
        self,
        before: BreedingState,
        offspring: Offspring,
        panel: Panel,
        race: Race,
        outcome: Outcome,
    ) -> BreedingState:
        """The survivors as the next state."""
        members = before.members
        born = [before.next_id + row for row in race.finishers]
        for model, row in zip(born, race.finishers, strict=True):
            self._kinship.add_birth(model, offspring.children[row].parents)
        ids = (*members.ids[: members.founders], *outcome.living)
        self._kinship.keep(ids)
        rows = {model: row for row, model in enumerate((*members.ids, *born))}
        chosen = [rows[model] for model in ids]
        finished = [offspring.children[row].genome for row in race.finishers]
        genomes, hashes = [*members.genomes, *finished], [*members.hashes]
        hashes += [offspring.hashes[row] for row in race.finishers]
        scores = np.concatenate([panel.scores, race.scores])[chosen]
        children = dict(zip(members.ids, members.children.tolist(), strict=True))
        for child in offspring.children:
            for parent in child.parents:
                children[parent.id] += 1
        means = scores @ panel.weights
        return BreedingState(
            generation=before.generation + 1,
            members=Members(
                ids=ids,
                founders=members.founders,
                genomes=np.array([genomes[row] for row in chosen]),
                hashes=tuple(hashes[row] for row in chosen),
                scores=scores,
                means=means,
                relationship=self._kinship.relationship(ids),
                founder_shares=self._kinship.founder_shares(ids),
                children=np.array([children.get(model, 0.0) for model in ids]),
                rating=np.zeros(len(ids)),
                deviation=np.zeros(len(ids)),
            ),
            search=outcome.search,
            champion=_crowned(ids, means),
            next_id=before.next_id + len(offspring.children),
            coverage=outcome.coverage,
        )

    # Its parts

    def _founded(self, founders: int) -> BreedingState:
        """Generation 0: founders, and the best of a first population on a few items."""
        own = [self._space.founder(number) for number in range(founders)]
        first = self._space.initial_genomes(generator(self._seed, "first"), self._search.population)
        genomes = np.array([genome for _, genome, _ in first])
        few = self._scored(genomes, self._dealt("slice", 0, self._search.items)).mean(axis=1)
        best = sorted(np.argsort(-few, kind="stable")[: self._search.population].tolist())
        everyone = np.array([*own, *genomes[best]])
        scores = self._scored(everyone, self._asked(0))
        ids = tuple(range(1, len(everyone) + 1))
        self._kinship = Kinship(ids[:founders])
        for place, row in enumerate(best):
            parents: tuple[Parent, ...] = equal_parents(tuple(n + 1 for n in first[row][2]))
            self._kinship.add_birth(founders + 1 + place, parents)
        means = scores.mean(axis=1)
        head = founders + int(np.argmax(means[founders:]))
        champion = int(np.argmax(means))
        self._watch(self._spent, everyone[champion])
        return BreedingState(
            generation=0,
            members=Members(
                ids=ids,
                founders=founders,
                genomes=everyone,
                hashes=tuple(map(_hash, everyone)),
                scores=scores,
                means=means,
                relationship=self._kinship.relationship(ids),
                founder_shares=self._kinship.founder_shares(ids),
                children=np.zeros(len(ids)),
                rating=np.zeros(len(ids)),
                deviation=np.zeros(len(ids)),
            ),
            search=SearchState(
                new_emitter(everyone[head]),
                ids[head],
                new_bandit({str(name): often for name, often in self._search.operators.items()}),
            ),
            champion=ids[champion],
            next_id=len(ids) + 1,
        )

    def _scored(self, genomes: Floats, asked: Integers) -> Floats:
        self._spent += len(genomes) * len(asked)
        return self._evaluate(genomes, asked)

    def _dealt(self, what: str, number: int, count: int) -> Integers:
        rng = generator(self._seed, what, number)
        return rng.choice(self._items, min(count, self._items), replace=False)

    def _asked(self, generation: int) -> Integers:
        return self._dealt("panel", generation // self._search.rotate, self._search.panel)

    def _done(self, state: BreedingState) -> bool:
        panel = min(self._search.panel, self._items)
        next_cost = self._search.brood * min(self._search.items, self._items)
        next_cost += self._search.finalists * panel
        if (state.generation + 1) % self._search.rotate == 0:
            next_cost += len(state.members.ids) * panel
        return self._spent + next_cost > self._budget


def _crowned(ids: tuple[int, ...], means: Floats) -> int:
    """The best of the living on the panel; of equals the youngest, who has learned longer."""
    return ids[int(np.flatnonzero(means == means.max())[-1])]


def _hash(genome: Floats) -> str:
    """Only ever compared, within this process; the usual hash of bytes is the fastest there is."""
    return str(hash(genome.tobytes()))
