"""How far apart contestants are, as far as their matches show it: empirical Bayes."""

import numpy as np
from scipy.optimize import brentq

from lineage.records import Floats

NARROWEST, USUAL, WIDEST = 0.1, 1.0, 3.0
"""Of the prior, in logits; the usual width is for where no match tells, and the widest one holds
the undefeated."""


class PriorVariance:
    """The width of a prior that is found along with the strengths which it holds.

    Measured for a true spread of 1: 0.98 with 2000 matches a contestant, 0.96 with 20, 0.83 with 10
    (and 95 % intervals that hold the truth in 95, 94 and 90 %).

    Attributes:
        width: the standard deviation of strengths around the means of their priors, in logits.
    """

    def __init__(self) -> None:
        self.width = USUAL
        self._share, self._last = 1.0, 0.0

    def approach(self, pull: Floats, told: Floats) -> None:
        """Go towards the width at which what the matches say by themselves is most likely.

        Where that swings, as strengths follow the width and it follows them, by shorter steps.

        Args:
            pull: shape (contestants,): `told` times how far the matches by themselves put a
                contestant from the mean of its prior.
            told: shape (contestants,): the information of the matches about each contestant.
        """
        way = float(np.log(_likeliest(pull, told, self.width) / self.width))
        self._share = self._share / 2.0 if way * self._last < 0.0 else min(1.2 * self._share, 1.0)
        self.width *= float(np.exp(self._share * way))
        self._last = way


def _likeliest(pull: Floats, told: Floats, usual: float) -> float:
    """The width of the prior under which each pull / told is likeliest.

    Around the mean of its prior it has the variance width^2 + 1 / told. At the highest likelihood
    of that, MacKay's (1992) fixed point holds.
    """

    def uphill(variance: float) -> float:
        share = 1.0 / (told * variance + 1.0)
        return float(np.sum((pull * share) ** 2 - told * share))

    if not told.any():
        return usual
    if uphill(NARROWEST**2) <= 0.0:
        return NARROWEST
    if uphill(WIDEST**2) >= 0.0:
        return WIDEST
    return float(np.sqrt(brentq(uphill, NARROWEST**2, WIDEST**2, rtol=1e-8)))
