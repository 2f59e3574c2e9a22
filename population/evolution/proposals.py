"""What passes between the breeder and its host: a brood, a panel, and what a generation came to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from lineage.records import Floats, Parent
from population.evolution.alarms import Alarm
from population.evolution.bandit import Arm
from population.evolution.evolution_strategy import EvolutionStrategyEmitter
from population.evolution.population_state import BreedingState

CENTRE, EMITTER = "centre", "emitter"
"""How children of the evolution strategy came about: its averaged centre, and steps around it."""


@dataclass(frozen=True)
class Proposal:
    """A child before it has weights: how it came about. `genome` has shape (genes,)."""

    operator: str
    parents: tuple[Parent, ...]
    genome: Floats


@dataclass(frozen=True)
class Offspring:
    """The children of a generation, scored on its few items.

    Attributes:
        conceived: how each came about.
        hashes: of their weights.
        scores: shape (children, items) in [0, 1]; 0 for those that died at birth.
        causes: what each died of at birth, or None.
        steps: shape (steps, genes): the emitter's. Behind the centre, the first child, come those
            that took them forward, and then those that took them back.
    """

    conceived: tuple[Proposal, ...]
    hashes: tuple[str, ...]
    scores: Floats
    causes: tuple[str | None, ...]
    steps: Floats = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def emitted(self) -> range:
        """Rows of the emitter's children, without the centre."""
        return range(1, 1 + 2 * len(self.steps))


@dataclass(frozen=True)
class Panel:
    """The items that the living are compared on.

    Attributes:
        scores: shape (members, items): the stock's.
        weights: shape (items,): a mean is the weighted sum of scores.
        rounds: the columns that are asked in each round of a race; together they are all.
    """

    scores: Floats
    weights: Floats
    rounds: tuple[Sequence[int], ...]


@dataclass(frozen=True)
class Outcome:
    """What a generation came to.

    Attributes:
        brood: the children.
        panel: the living on it.
        finishers: rows of the brood that were scored on all of the panel.
        finished: shape (finishers, items): their scores.
        living: ids of the offspring that live on.
        deaths: by id, what the others died of.
        emitter: where the evolution strategy stands now.
        origin: id of the model that its children descend from.
        bandit: what is known of the operators now.
        coverage: the largest part of the items that the living ever solved.
        alarms: what was found to be wrong before the brood was conceived.
    """

    brood: Offspring
    panel: Panel
    finishers: tuple[int, ...]
    finished: Floats
    living: tuple[int, ...]
    deaths: Mapping[int, str]
    emitter: EvolutionStrategyEmitter
    origin: int
    bandit: Mapping[str, Arm]
    coverage: float
    alarms: tuple[Alarm, ...] = ()


class Host(Protocol):
    """Where the bred live: makes and scores models, and keeps what happens."""

    def trial(self, conceived: Sequence[Proposal]) -> Offspring:
        """Make the children of the next generation and score them all on its few items."""
        ...

    def panel(self) -> Panel:
        """The panel of the next generation; where it is new, the living are scored on it."""
        ...

    def look(self, brood: Offspring, rows: Sequence[int], columns: Sequence[int]) -> Floats:
        """Scores of some of the brood on a round of that panel, shape (rows, columns).

        NaN for who dies when it is looked at.
        """
        ...

    def settle(self, judged: Outcome) -> BreedingState | None:
        """Commit a generation; the stock as it is then, or None to stop."""
        ...
