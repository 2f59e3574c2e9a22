"""Recommending sources: which models of an archive should be merged for a task.

The first is the one that solves most. Each further one is the one that solves most of what the
chosen do not, times one less its relationship with the closest of them: what relatives can do is
likely to lie in the same weights already, and to be averaged away with what they share. Where no
model adds anything, it is the one that solves most by itself, times the same. Ties go to the higher
rated.
"""

from dataclasses import dataclass

import numpy as np

from lineage.records import Floats

DEFAULT_COUNT = 3
"""Models that are recommended: with more, each has too small a part in a merge."""


@dataclass(frozen=True)
class SourceCandidates:
    """The models to choose from.

    Attributes:
        models: ids.
        solved: shape [models, items]: how far each solves each item of the task, in [0, 1].
        relationship: shape [models, models], in [0, 1].
        rating: shape [models], in any unit; NaN for models without one.
    """

    models: tuple[int, ...]
    solved: Floats
    relationship: Floats
    rating: Floats


@dataclass(frozen=True)
class RecommendedSource:
    """A recommended model, and why.

    Attributes:
        model: its id.
        solves: items that it solves.
        adds: of these, what the models before it do not solve.
        together: items that it and those before it solve.
        items: how many there are.
        closest: the closest relative among those before it; None for the first.
        relationship: with that one; 0 for the first.
    """

    model: int
    solves: float
    adds: float
    together: float
    items: int
    closest: int | None
    relationship: float

    @property
    def reason(self) -> str:
        """Why it was chosen, as a sentence."""
        if self.closest is None:
            return f"solves most: {_amount(self.solves)} of {self.items} items"
        kin = f"relationship {self.relationship:.2f} with its closest kin here, #{self.closest}"
        if self.adds <= 0.0:
            own = f"solves {_amount(self.solves)} of {self.items} by itself"
            return f"adds nothing more, but {own}; {kin}"
        return (
            f"adds {_amount(self.adds)} that those above do not solve, which makes "
            f"{_amount(self.together)} of {self.items}; {kin}"
        )


def recommend(
    candidates: SourceCandidates, count: int = DEFAULT_COUNT
) -> tuple[RecommendedSource, ...]:
    """The models to merge for a task, the best first; fewer where there are no more candidates.

    >>> solved = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> candidates = SourceCandidates((3, 4), solved, np.eye(2), np.array([1000.0, 900.0]))
    >>> [source.model for source in recommend(candidates)]
    [3, 4]
    """
    models, solved = candidates.models, candidates.solved
    rated = np.where(np.isnan(candidates.rating), -np.inf, candidates.rating)
    best = np.zeros(solved.shape[1])
    chosen: list[int] = []
    choices: list[RecommendedSource] = []
    for _ in range(min(count, len(models))):
        adds = np.maximum(solved - best, 0.0).sum(axis=1)
        near = candidates.relationship[:, chosen]
        kinship = near.max(axis=1) if chosen else np.zeros(len(models))
        own = 1.0 - kinship
        rows = [row for row in range(len(models)) if row not in chosen]
        worth = np.round([adds * own, solved.sum(axis=1) * own, rated], 9)
        row = max(rows, key=lambda row: (*worth[:, row], -models[row]))
        best = np.maximum(best, solved[row])
        choices.append(
            RecommendedSource(
                models[row],
                float(solved[row].sum()),
                float(adds[row]),
                float(best.sum()),
                solved.shape[1],
                models[chosen[int(near[row].argmax())]] if chosen else None,
                float(kinship[row]),
            )
        )
        chosen.append(row)
    return tuple(choices)


def _amount(items: float) -> str:
    return f"{items:.1f}".removesuffix(".0")
