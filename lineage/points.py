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
"""Points of a logit: 400 points are odds of ten to one."""

UNIT = "Elo points, 1000 for the mean of the founders"


def points(rating: Value) -> Value:
    """A rating in points, from logits."""
    return MIDDLE + POINT * rating


def spread(deviation: Value) -> Value:
    """Half of the 95 % interval of a rating in points, from its standard deviation in logits."""
    return 1.96 * POINT * deviation
