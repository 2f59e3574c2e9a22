"""The breeding state: what the evolver needs to know of the living, and nothing else.

A campaign reads it from its archive before every generation; a benchmark keeps it in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lineage.records import Floats, Parent, parent_roles
from population.evolution.bandit import Bandit
from population.evolution.evolution_strategy import EvolutionStrategyEmitter
from population.evolution.spaces.space import Integers


@dataclass(frozen=True)
class Members:
    """The living, a row each: the founders, then the rest.

    Attributes:
        ids: of the models.
        founders: how many of them are founders.
        genomes: shape (members, genes).
        hashes: what tells their weights apart, see `lineage.records.Model.identity`.
        scores: shape (members, items) in [0, 1]: on the current panel.
        means: shape (members,): what `scores` come to.
        relationship: shape (members, members), coefficients of relationship.
        founder_shares: shape (members, founders).
        children: shape (members,): how many children each has had.
        rating: shape (members,): the arena's, in logits; 0 where there is none.
        deviation: shape (members,): standard errors of the ratings, in logits.
    """

    ids: tuple[int, ...]
    founders: int
    genomes: Floats
    hashes: tuple[str, ...]
    scores: Floats
    means: Floats
    relationship: Floats
    founder_shares: Floats
    children: Floats
    rating: Floats
    deviation: Floats

    @property
    def offspring(self) -> Integers:
        """Rows of the members that are no founders, shape (offspring,)."""
        return np.arange(self.founders, len(self.ids))

    def best_offspring(self, count: int) -> list[int]:
        """Rows of the best offspring by mean, best first."""
        rows = self.offspring
        order = np.argsort(-self.means[rows], kind="stable")
        return [int(row) for row in rows[order][:count]]

    def parents(self, rows: Sequence[int], weights: Floats) -> tuple[Parent, ...]:
        """The members in some rows as parents, with their weights as shares.

        One that is chosen twice is one parent with both shares.

        Args:
            rows: of the members, the first parent first.
            weights: shape (rows,), summing to 1.
        """
        roles = parent_roles(len(rows))
        shares: dict[int, float] = {}
        role: dict[int, str] = {}
        for row, weight, name in zip(rows, weights, roles, strict=True):
            parent = self.ids[row]
            shares[parent] = shares.get(parent, 0.0) + float(weight)
            role.setdefault(parent, name)
        return tuple(Parent(parent, share, role[parent]) for parent, share in shares.items())


@dataclass(frozen=True)
class SearchState:
    """What the search has learned so far, as the archive keeps it after every generation.

    Attributes:
        emitter: of the evolution strategy.
        origin: id of the model that the emitter's children descend from, which does not die.
        bandit: experience with the operators.
    """

    emitter: EvolutionStrategyEmitter
    origin: int
    bandit: Bandit


@dataclass(frozen=True)
class BreedingState:
    """The living and what the search has learned: all that the next generation follows from.

    Attributes:
        generation: the last one that is complete.
        members: the living.
        search: what it has learned.
        champion: id of the best, which does not die.
        next_id: the id of the next birth.
        coverage: the largest part of the items that the living ever solved.
        pinned: ids of members that keep their place whatever they score.
        matings: pairs of ids that get a child in the next generation, by command.
        gain: how far the best of the living rose in the last generation, on one panel.
    """

    generation: int
    members: Members
    search: SearchState
    champion: int
    next_id: int
    coverage: float = 0.0
    pinned: tuple[int, ...] = ()
    matings: tuple[tuple[int, int], ...] = ()
    gain: float = 0.0
