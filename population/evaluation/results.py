"""What was measured of models on items, before it is rows of an archive."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lineage.merit import merit
from lineage.records import Floats, Item, Scores
from population.evolution.spaces.space import Integers


@dataclass(frozen=True)
class Results:
    """How some models did on some items: both arrays have shape (models, items)."""

    exact: Floats
    probability: Floats

    @property
    def merit(self) -> Floats:
        """What breeding goes by, shape (models, items)."""
        return merit(self.exact, self.probability)

    def only(self, rows: Sequence[int]) -> "Results":
        """Some of the models."""
        return Results(self.exact[list(rows)], self.probability[list(rows)])

    def __add__(self, other: "Results") -> "Results":
        return Results(
            np.concatenate([self.exact, other.exact]),
            np.concatenate([self.probability, other.probability]),
        )

    def rows(self, ids: Sequence[int], items: Sequence[Item]) -> Scores:
        """As rows of an archive."""
        return Scores(tuple(ids), tuple(i.id for i in items), self.exact, self.probability)


def stacked(finals: list[list[Results]], order: Integers, like: Results) -> Results:
    """Results of each finisher, its rounds put together in the order of the panel.

    Args:
        finals: for each finisher its results by round, of shape (1, items).
        order: where each item of the panel stands in the rounds.
        like: results on the whole panel, for the shape where nobody finished.
    """
    if not finals:
        return like.only([])
    return Results(
        np.array([np.concatenate([r.exact[0] for r in rounds])[order] for rounds in finals]),
        np.array([np.concatenate([r.probability[0] for r in rounds])[order] for rounds in finals]),
    )
