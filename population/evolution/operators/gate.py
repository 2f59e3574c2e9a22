"""Block gate crossover: every block comes whole from one of two parents."""

import numpy as np

from lineage.records import Floats
from population.evolution.operators.operator import Recombination


def make(mating: Recombination) -> Floats:
    """Each block is the second parent's with the chance of its weight, else the first's."""
    from_mate = mating.rng.random(mating.space.blocks) < mating.weights[1]
    return np.asarray(np.where(mating.per_block(from_mate), mating.parents[1], mating.parents[0]))
