"""Whose kin a judge is. Nobody judges itself, and praise of kin is believed as far as it proved.

In an archive that breeds within itself everybody becomes kin, and a rule that forbids kin to judge
leaves no judge. So it counts whom of two contestants a judge is closer to: closer to neither (by
more than `BALANCE`), or closer to one. How often judges are right is known for each case apart.
"""

import numpy as np
import numpy.typing as npt

from lineage.records import Floats

Sides = npt.NDArray[np.int8]

BALANCE = 0.05
"""Coefficients of relationship that differ by no more are the same."""

STRANGERS, WRONG_IS_KIN, RIGHT_IS_KIN, CANARY = range(4)
STRATA = ("strangers", "wrong is kin", "right is kin", "canary")
"""Of which pairs a judge's record speaks: those where neither answer is of closer kin, where the
wrong one is, where the right one is; and where the wrong one was planted."""


def sides(relationship: Floats, first: npt.ArrayLike, second: npt.ArrayLike) -> Sides:
    """For every judge and pair: 1 where the first is closer kin, -1 where the second is, else 0.

    Args:
        relationship: shape (judges, contestants).
        first: shape (pairs,), columns of `relationship`.
        second: as `first`.

    Returns:
        shape (judges, pairs).
    """
    gap = relationship[:, np.asarray(first)] - relationship[:, np.asarray(second)]
    return (np.where(np.abs(gap) > BALANCE, np.sign(gap), 0)).astype(np.int8)
