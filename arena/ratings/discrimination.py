"""The discrimination of judges: how sharply each tells strong from weak (arXiv 2602.16610)."""

import numpy as np

from arena.ratings.davidson import score_moments
from arena.ratings.graph import Graph
from lineage.records import Floats

SPREAD = 0.7
"""Standard deviation of the prior of log discriminations."""


def updated_discriminations(
    graph: Graph, strength: Floats, nu: float, slopes: Floats, guess: Floats
) -> Floats:
    """Discriminations after a step of Newton's method for their logarithms, at given strengths.

    The model is BT-sigma (arXiv 2602.16610). The mean discrimination, weighted by what each judge
    decided, is held at that of the guess: the step goes along the plane on which it does not
    change, and the result is rescaled to it.

    Args:
        graph: with pairs by judge.
        strength: shape `[contestants]`, in logits.
        nu: the odds of a tie between equals.
        slopes: shape `[judges + 1]`: discriminations; the last is that of matches without a judge.
        guess: shape `[judges + 1]`: the medians of their priors.

    Returns:
        Shape `[judges + 1]`.
    """
    pairs, gap = graph.pairs, graph.gaps(strength)

    def by_judge(values: Floats) -> Floats:
        sums = np.bincount(pairs.judge % len(slopes), values, len(slopes))
        return np.asarray(sums, dtype=np.float64)

    mean, variance, _ = score_moments(slopes[pairs.judge] * gap, nu)
    uphill = slopes * by_judge(gap * (pairs.score - pairs.weight * mean))
    above = np.log(slopes / guess)
    uphill -= above / SPREAD**2
    curved = slopes**2 * by_judge(gap**2 * pairs.weight * variance)
    # In logarithms the likelihood and the plane curve as well; at the optimum by so much in sum.
    curved += (1.0 + np.maximum(-above, 0.0)) / SPREAD**2
    decided = by_judge(pairs.weight)
    normal = decided * slopes
    uphill -= normal * np.sum(normal * uphill / curved) / (np.sum(normal**2 / curved) or 1.0)
    moved = slopes * np.exp(np.clip(uphill / curved, -1.0, 1.0))
    return np.asarray(moved * (decided @ guess or 1.0) / (decided @ moved or 1.0))
