"""The unit in which ratings are shown, everywhere: Elo points, 1000 for the mean of the founders.

The archive and all arithmetic have logits (log odds), of which the mean of the founders is zero.
"""

import math
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # the command line needs the unit before anything that is heavy
    import numpy as np
    import numpy.typing as npt

Value = TypeVar("Value", float, "npt.NDArray[np.float64]")

MIDDLE = 1000.0
"""The rating of the mean of the founders."""

POINT = 400.0 / math.log(10.0)
"""Elo points of a logit: 400 points are odds of ten to one (Elo 1978)."""

UNIT = "Elo points, 1000 for the mean of the founders"


def points(rating: Value) -> Value:
    """A rating in Elo points, from logits: 1000 + 400 / ln(10) times the logits.

    >>> points(0.0)
    1000.0
    >>> round(points(math.log(10.0)))
    1400
    """
    return MIDDLE + POINT * rating


def spread(deviation: Value) -> Value:
    """Half of the 95 % interval of a rating in Elo points, from its standard error in logits.

    >>> round(spread(0.1), 1)
    34.0
    """
    return 1.96 * POINT * deviation
