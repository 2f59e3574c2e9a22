"""Block-wise linear blend of two parents, extrapolating a little beyond either."""

import numpy as np

from lineage.records import Floats
from population.evolution.operators.operator import Recombination

BEYOND = 0.2
"""How far beyond a parent a block may go, as a part of the distance between the two."""


def make(mating: Recombination) -> Floats:
    """Each block at its own point on the line through both parents, shifted by their weights.

    Returns a genome of shape (genes,), as all operators do.
    """
    first, mate = mating.parents
    centre = mating.weights[1] - 0.5
    place = mating.rng.uniform(-BEYOND, 1.0 + BEYOND, size=mating.space.blocks) + centre
    return np.asarray(first + mating.per_block(place) * (mate - first))
