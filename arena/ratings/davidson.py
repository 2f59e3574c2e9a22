"""Moments of the score of a match: Bradley-Terry with Davidson's ties."""

import numpy as np

from lineage.records import Floats


def score_moments(gap: Floats, nu: float) -> tuple[Floats, Floats, Floats]:
    """Mean and variance of the score of matches, and the probability of a tie.

    With e^{gap/2}, e^{-gap/2} and nu as the odds of win, loss and tie (Davidson 1970, Journal of
    the American Statistical Association 65: 317-328), the score y (1, 0, 1/2) has
    d E[y] / d gap = Var[y], so that Newton's method needs no more than these.

    Args:
        gap: difference of strengths in logits, shape `[matches]`.
        nu: the odds of a tie between equals.

    Returns:
        Mean of the score, its variance, and the probability of a tie, each of shape `[matches]`.

    >>> mean, variance, tie = score_moments(np.array([0.0]), nu=0.0)
    >>> float(mean[0]), float(variance[0]), float(tie[0])
    (0.5, 0.25, 0.0)
    """
    win = np.exp(gap / 2.0)
    total = win + 1.0 / win + nu
    tie = nu / total
    mean = win / total + tie / 2.0
    # E[y^2] counts a tie a quarter, and E[y] half of it.
    return mean, mean - tie / 4.0 - mean**2, tie
