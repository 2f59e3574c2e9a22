"""Dominated Novelty Search: a candidate is worth what it solves and fitter ones do not.

A candidate that is worse than another and solves nothing that the other does not has no novelty,
however well it scores; a weak candidate that solves what the strong fail has. There is no grid and
nothing to tune (arXiv 2502.00593; in the form of AC/DC, arXiv 2604.14969, where items weigh by
difficulty).

Compared with AC/DC, scores may lie between 0 and 1 and duplicates count for nothing. Fitness is
a total order, by mean and then by hash, where AC/DC's order of equals is that of the list.
"""

import numpy as np

from lineage.records import Floats
from population.evolution.survival.candidates import Candidates
from population.evolution.survival.tie_breaking import (
    fittest_first,
    heads_of_lines,
    protected,
    seated,
)

NEIGHBOURS = 3
"""How many of the nearest fitter candidates count."""


def novelty(candidates: Candidates, size: int, *, neighbours: int = NEIGHBOURS) -> list[int]:
    """Dominated novelty search.

    The protected, then a place for the best of every founder's line, then the most novel.
    A founder whose line died out could only come back as itself, from where it started, so what its
    descendants have gained is kept while there is room. See `Rule`.

    Args:
        candidates: who may survive.
        size: how many do.
        neighbours: as for `dominated_novelty`.
    """
    ranked = fittest_first(candidates)
    worth = dominated_novelty(candidates.scores[ranked], neighbours)
    most_novel = [ranked[place] for place in np.argsort(-worth, kind="stable")]
    return seated(size, protected(candidates), heads_of_lines(candidates), most_novel)


def dominated_novelty(scores: Floats, neighbours: int = NEIGHBOURS) -> Floats:
    """The dominated novelty of each candidate (arXiv 2502.00593; AC/DC, arXiv 2604.14969).

    With the difficulty d_t = share of the candidates that fail item t, the distance of i from a
    fitter j is sum_t d_t max(0, s_it - s_jt) / sum_t d_t, and novelty is the mean over its
    nearest fitter ones.

    Args:
        scores: shape (candidates, items) in [0, 1], the fittest first.
        neighbours: how many of the nearest fitter ones count.

    Returns:
        Shape (candidates,); infinite for the fittest.

    >>> dominated_novelty(np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])).tolist()
    [inf, 0.0, 0.4]
    """
    difficulty = 1.0 - scores.mean(axis=0)
    weight = difficulty / max(difficulty.sum(), np.finfo(np.float64).tiny)
    worth = np.full(len(scores), np.inf)
    room = np.empty_like(scores)  # used again and again: fresh memory costs more than the sums
    for row in range(1, len(scores)):
        surplus = np.subtract(scores[row], scores[:row], out=room[:row])
        distance = np.maximum(surplus, 0.0, out=surplus) @ weight
        worth[row] = np.sort(distance)[:neighbours].mean()
    return worth
