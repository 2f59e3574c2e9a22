"""What a match between two contestants comes to: Bradley-Terry with Davidson's ties."""

import numpy as np

from lineage.records import Floats


def outlook(gap: Floats, nu: float) -> tuple[Floats, Floats, Floats]:
    """What to expect of matches of `gap` logits between the contestants.

    With e^{gap/2}, e^{-gap/2} and nu as the odds of win, loss and tie (Davidson 1970), the score y
    (1, 0, 1/2) has d E[y] / d gap = Var[y], so that Newton's method needs no more than this:

    Returns:
        the mean and the variance of the score, and the chance of a tie.
    """
    win = np.exp(gap / 2.0)
    total = win + 1.0 / win + nu
    tie = nu / total
    mean = win / total + tie / 2.0
    # E[y^2] counts a tie a quarter, and E[y] half of it.
    return mean, mean - tie / 4.0 - mean**2, tie
