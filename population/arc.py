"""Where two vectors meet on the arc between them (SLERP)."""

import numpy as np
import numpy.typing as npt

from lineage.records import Floats


def arc_coefficients(
    angle: Floats, place: Floats, straight: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """The coefficients of two vectors at a place on the arc between them (Shoemake 1985).

    Args:
        angle: between them, in radians, of any shape.
        place: of the same shape: 0 is the first vector, 1 the second.
        straight: of the same shape: where to go along the line instead, since there is no arc.

    Returns:
        Two arrays of that shape.

    >>> right = np.array([np.pi / 2])
    >>> first, second = arc_coefficients(right, np.array([1.0]), np.array([False]))
    >>> first.round(6).tolist(), second.round(6).tolist()
    ([0.0], [1.0])
    """
    safe = np.where(straight, 1.0, angle)
    return (
        np.where(straight, 1.0 - place, np.sin((1.0 - place) * safe) / np.sin(safe)),
        np.where(straight, place, np.sin(place * safe) / np.sin(safe)),
    )
