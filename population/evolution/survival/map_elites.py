"""MAP-Elites: a grid over scores on groups of items, and one place for the best of each cell.

Mouret and Clune, arXiv 1504.04909, section 3, with mean scores on groups of items as descriptors,
as in the MAP-Elites baseline of M2N2 (arXiv 2508.16204), which has one group per kind of digit.
"""

from collections.abc import Sequence

import numpy as np

from lineage.records import Floats
from population.evolution.survival.candidates import Candidates, Integers
from population.evolution.survival.tie_breaking import fittest_first, protected, seated

BINS = 10
"""Cells along each side of the grid."""


def map_elites(
    candidates: Candidates, size: int, *, groups: Sequence[Sequence[int]] | None = None
) -> list[int]:
    """The best of each cell of a grid.

    The protected, then the fittest of every cell, then the fittest of the rest; see `Rule`.

    Args:
        candidates: who may survive.
        size: how many do. With fewer places than cells taken, the fittest elites get them.
        groups: columns of the scores, a group per side of the grid. By default the two halves of
            the items as they come, which is the two halves of the tasks where items are sorted so.
    """
    if groups is None:
        items = candidates.scores.shape[1]
        groups = [half for half in (range(items // 2), range(items // 2, items)) if half]
    ranked = fittest_first(candidates)
    elites: dict[tuple[int, ...], int] = {}
    for row, cell in zip(ranked, cells(candidates.scores[ranked], groups), strict=True):
        elites.setdefault(tuple(cell.tolist()), row)
    return seated(size, protected(candidates), elites.values(), ranked)


def cells(scores: Floats, groups: Sequence[Sequence[int]]) -> Integers:
    """The cells of candidates on the grid, shape (candidates, groups), each in 0 ... BINS - 1.

    Args:
        scores: shape (candidates, items) in [0, 1].
        groups: columns of `scores`, none of them empty.
    """
    descriptors = np.stack([scores[:, list(group)].mean(axis=1) for group in groups], axis=1)
    # A perfect score belongs to the last bin, not to one of its own beyond it.
    return np.minimum((descriptors * BINS).astype(np.int64), BINS - 1)
