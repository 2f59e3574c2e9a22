"""Block crossover ("gate" in configurations): every block comes from one of two parents."""

import numpy as np

from lineage.records import Floats
from population.evolution.operators.operator import Recombination


def make(mating: Recombination) -> Floats:
    """Each block is the mate's with the probability of its weight, else the first's.

    Returns a genome of shape (genes,).
    """
    from_mate = mating.rng.random(mating.space.blocks) < mating.weights[1]
    return np.asarray(np.where(mating.per_block(from_mate), mating.parents[1], mating.parents[0]))
