"""Scores of models on items, before they are rows of an archive."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lineage.merit import merit
from lineage.records import Floats, Item, Scores
from population.evolution.spaces.space import Integers


@dataclass(frozen=True)
class Results:
    """How some models did on some items.

    Attributes:
        exact: shape (models, items): verdicts in [0, 1], 1 for exact match.
        probability: shape (models, items): probability of the right answer.
    """

    exact: Floats
    probability: Floats

    @property
    def merit(self) -> Floats:
        """The score that breeding goes by (`lineage.merit`), shape (models, items)."""
        return merit(self.exact, self.probability)

    def only(self, rows: Sequence[int]) -> "Results":
        """The results of the models in some rows."""
        return Results(self.exact[list(rows)], self.probability[list(rows)])

    def __add__(self, other: "Results") -> "Results":
        return Results(
            np.concatenate([self.exact, other.exact]),
            np.concatenate([self.probability, other.probability]),
        )

    def rows(self, ids: Sequence[int], items: Sequence[Item]) -> Scores:
        """The same as rows of an archive, given the ids of the models and the items."""
        return Scores(tuple(ids), tuple(i.id for i in items), self.exact, self.probability)


def stacked(finals: list[list[Results]], order: Integers, like: Results) -> Results:
    """The results of finishers, their rounds put together in the order of the panel.

    Args:
        finals: for each finisher its results by round, of shape (1, items of the round).
        order: shape (items,): the place of each item of the panel in the rounds.
        like: results on the whole panel, for the shape where nobody finished.
    """
    if not finals:
        return like.only([])
    return Results(
        np.array([np.concatenate([r.exact[0] for r in rounds])[order] for rounds in finals]),
        np.array([np.concatenate([r.probability[0] for r in rounds])[order] for rounds in finals]),
    )
