"""Block-wise SLERP: along the arc between the parents' task vectors instead of the line.

child = sin((1 - t) a) / sin(a) * first + sin(t a) / sin(a) * mate, with a the angle between the two
in the block (Shoemake 1985). The angle follows from the founders' inner products, so no weight is
read, and the child is a linear recipe like any other.
"""

import numpy as np

from lineage.records import Floats
from population.arc import arc_coefficients
from population.evolution.operators.operator import Recombination

BEYOND = 0.2
"""How far beyond a parent a block may go, as a part of the arc."""

SMALLEST = 1e-4
"""Below this angle, in radians, the arc is the line."""


def make(mating: Recombination) -> Floats:
    """Each block at its own point on the arc through both parents, shape (genes,)."""
    assert mating.geometry is not None
    first, mate = mating.parents
    place = mating.rng.uniform(-BEYOND, 1.0 + BEYOND, size=mating.space.blocks)
    place += mating.weights[1] - 0.5
    of_first, of_mate = arc(mating.geometry.angles(first, mate), place)
    return np.asarray(mating.per_block(of_first) * first + mating.per_block(of_mate) * mate)


def arc(angle: Floats, place: Floats) -> tuple[Floats, Floats]:
    """The coefficients of two vectors at a place on the arc between them (Shoemake 1985).

    Args:
        angle: shape (blocks,): between them, in radians.
        place: shape (blocks,): 0 is the first vector, 1 the second.

    Returns:
        Two arrays of shape (blocks,).

    >>> first, mate = arc(np.array([np.pi / 2]), np.array([1.0]))
    >>> first.round(6).tolist(), mate.round(6).tolist()
    ([0.0], [1.0])
    """
    # Opposite vectors have no arc, equal ones no angle: both go along the line.
    straight = (angle < SMALLEST) | (angle > np.pi - SMALLEST)
    return arc_coefficients(angle, place, straight)
