"""The values of one generation: proposals, offspring, panel and outcome.

`Evolver.ask` gives `Proposals`; whoever evaluates them gives `Offspring`; the finalists of these
are scored on the `Panel`; `Evolver.tell` makes an `Outcome` of all that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from lineage.records import Floats, Parent
from population.evolution.alarms import Alarm
from population.evolution.population_state import SearchState

CENTRE, EMITTER = "centre", "emitter"
"""Operators of the evolution strategy's children: its averaged centre, and steps around it."""

RAISE = "raise"
"""Operator of a child that is its parent as it is: local search takes the line further."""


@dataclass(frozen=True)
class Proposal:
    """A child before it has weights.

    Attributes:
        operator: that made it; or how a candidate of generation 0 was made.
        parents: with their shares.
        genome: shape (genes,).
    """

    operator: str
    parents: tuple[Parent, ...]
    genome: Floats


@dataclass(frozen=True)
class Proposals:
    """The children that a generation is to evaluate.

    Attributes:
        children: in the order of their births: the centre, the emitter's mirrored pairs, those of
            the operators.
        steps: shape (steps, genes): the emitter's. Behind the centre, the first child, come those
            that took them forward, and then those that took them back.
        sharing: exponent of fitness sharing in this generation.
        alarms: losses of diversity among the living that breed.
    """

    children: tuple[Proposal, ...]
    steps: Floats = field(default_factory=lambda: np.empty((0, 0)))
    sharing: float = 1.0
    alarms: tuple[Alarm, ...] = ()

    @property
    def genomes(self) -> Floats:
        """Shape (children, genes)."""
        return np.array([child.genome for child in self.children])

    @property
    def emitter_rows(self) -> range:
        """Rows of the emitter's children, without the centre."""
        return range(1, 1 + 2 * len(self.steps))

    @property
    def centre_row(self) -> int | None:
        """Row of the evolution strategy's centre, if there is one."""
        kinds = [child.operator for child in self.children]
        return kinds.index(CENTRE) if CENTRE in kinds else None


@dataclass(frozen=True)
class Offspring:
    """The children of a generation, evaluated on its few items.

    Attributes:
        proposals: genomes and parents.
        hashes: what tells their weights apart, see `lineage.records.Model.identity`.
        scores: shape (children, items) in [0, 1]; 0 for those that died at birth.
        causes: of death at birth, or None.
    """

    proposals: Proposals
    hashes: tuple[str, ...]
    scores: Floats
    causes: tuple[str | None, ...]

    @property
    def children(self) -> tuple[Proposal, ...]:
        """The proposals, one by one."""
        return self.proposals.children


@dataclass(frozen=True)
class Panel:
    """The items that the living are compared on.

    Attributes:
        scores: shape (members, items): of all members.
        weights: shape (items,): a mean is the weighted sum of scores.
        rounds: the columns of each round of a race; together they are all.
    """

    scores: Floats
    weights: Floats
    rounds: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a generation.

    Attributes:
        finishers: rows of the offspring that were scored on all of the panel.
        living: ids of the offspring, old and new, that live on.
        deaths: by id, the causes of death of the others.
        search: what the search has learned, this generation's scores included.
        coverage: the largest part of the items that the living ever solved.
    """

    finishers: tuple[int, ...]
    living: tuple[int, ...]
    deaths: Mapping[int, str]
    search: SearchState
    coverage: float
