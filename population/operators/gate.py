"""Block gate crossover: every block comes whole from one of two parents."""

import numpy as np

from lineage.records import Floats


def make(rng: np.random.Generator, parents: Floats, weights: Floats) -> Floats:
    """Each block is the second parent's with the chance of its weight, else the first's."""
    from_mate = rng.random(parents.shape[2]) < weights[1]
    return np.asarray(np.where(from_mate, parents[1], parents[0]))
