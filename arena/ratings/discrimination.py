"""How sharply judges tell strong from weak (BT-sigma, arXiv 2602.16610)."""

import numpy as np

from arena.ratings.davidson import outlook
from arena.ratings.graph import Graph
from lineage.records import Floats

SPREAD = 0.7
"""The standard deviation of log slopes around what they were guessed to be."""


def sharpened(graph: Graph, strength: Floats, nu: float, slopes: Floats, guess: Floats) -> Floats:
    """Slopes after a step of Newton's method for their logarithms, at these strengths.

    Their mean, weighted by what each judge decided, is held at that of the guess: the step goes
    along the plane on which it does not change, and what curves away from there is scaled back.

    Args:
        graph: whose pairs know their judges.
        strength: shape (contestants,).
        nu: the odds of a tie.
        slopes: shape (judges,), the last one of matches without a judge.
        guess: shape (judges,): the medians of their priors.
    """
    pairs, gap = graph.pairs, graph.gaps(strength)

    def by_judge(values: Floats) -> Floats:
        sums = np.bincount(pairs.judge % len(slopes), values, len(slopes))
        return np.asarray(sums, dtype=np.float64)

    mean, variance, _ = outlook(slopes[pairs.judge] * gap, nu)
    uphill = slopes * by_judge(gap * (pairs.score - pairs.weight * mean))
    above = np.log(slopes / guess)
    uphill -= above / SPREAD**2
    curved = slopes**2 * by_judge(gap**2 * pairs.weight * variance)
    # In logarithms the likelihood and the plane curve as well; at the optimum by so much in sum.
    curved += (1.0 + np.maximum(-above, 0.0)) / SPREAD**2
    heard = by_judge(pairs.weight)
    normal = heard * slopes
    uphill -= normal * np.sum(normal * uphill / curved) / (np.sum(normal**2 / curved) or 1.0)
    moved = slopes * np.exp(np.clip(uphill / curved, -1.0, 1.0))
    return np.asarray(moved * (heard @ guess or 1.0) / (heard @ moved or 1.0))
