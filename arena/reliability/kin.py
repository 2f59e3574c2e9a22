"""Kin strata: which of two contestants a judge is closer kin to.

No model judges itself. In an archive that breeds within itself all models become kin, and a rule
that forbids kin to judge would leave no judge. So it counts which of two contestants a judge is
closer to: neither (by more than `BALANCE`), or one. The reliability of judges is counted for each
case.
"""

import numpy as np
import numpy.typing as npt

from lineage.records import Floats

Sides = npt.NDArray[np.int8]

BALANCE = 0.05
"""Coefficients of relationship that differ by no more are the same."""

STRANGERS, WRONG_IS_KIN, RIGHT_IS_KIN, CANARY = range(4)
STRATA = ("strangers", "wrong is kin", "right is kin", "canary")
"""Strata of pairs of a right and a wrong answer: neither is of closer kin, the wrong one is, the
right one is; or the wrong one is a canary."""


def closer_side(relationship: Floats, first: npt.ArrayLike, second: npt.ArrayLike) -> Sides:
    """For every judge and pair: 1 where the first is closer kin, -1 where the second is, else 0.

    Args:
        relationship: shape `[judges, contestants]`, coefficients in [0, 1].
        first: shape `[pairs]`, columns of `relationship`.
        second: shape `[pairs]`, columns of `relationship`.

    Returns:
        Shape `[judges, pairs]`.

    >>> closer_side(np.array([[0.5, 0.0, 0.02]]), [0, 1], [1, 2]).tolist()
    [[1, 0]]
    """
    gap = relationship[:, np.asarray(first)] - relationship[:, np.asarray(second)]
    return (np.where(np.abs(gap) > BALANCE, np.sign(gap), 0)).astype(np.int8)
