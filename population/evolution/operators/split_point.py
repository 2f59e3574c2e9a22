"""Split-point SLERP, as M2N2 crosses models (arXiv 2508.16204, section 3).

One place in the network, one mixing ratio: before the split the child is SLERP(first, mate, 1 - w),
after it SLERP(first, mate, w), both with the one angle between the whole models. Here a split falls
between two blocks, never inside one.
"""

import numpy as np

from lineage.records import Floats
from population.evolution.operators.operator import Recombination
from population.evolution.operators.slerp import arc


def make(mating: Recombination) -> Floats:
    """Blocks before a random split get one mixing ratio, those after it the other.

    Returns a genome of shape (genes,).
    """
    assert mating.geometry is not None
    first, mate = mating.parents
    angle = mating.geometry.angle(first, mate)
    split = mating.rng.integers(mating.space.blocks + 1)
    ratio = mating.rng.random()
    place = np.where(np.arange(mating.space.blocks) < split, 1.0 - ratio, ratio)
    of_first, of_mate = arc(np.full(mating.space.blocks, angle), place)
    return np.asarray(mating.per_block(of_first) * first + mating.per_block(of_mate) * mate)
