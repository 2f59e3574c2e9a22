"""SVD mutation ("singular" in configurations): relative noise on a genome's singular values.

AC/DC (arXiv 2604.14969) and CycleQD (arXiv 2410.14735, section 3.3) perturb singular values of
weights, by an amount that is blind to their size. Here the matrix is the genome's own, a row per
block and a column per gene of it, and the noise is relative: directions that the parent does not
use stay unused. So the child is a linear recipe over the founders like its parent.
"""

import numpy as np

from lineage.records import Floats
from population.evolution.operators.operator import Recombination

STRENGTH = 0.2
"""Standard deviation of the noise, as a part of each singular value."""


def make(mating: Recombination) -> Floats:
    """U diag(s * (1 + STRENGTH * noise)) V^T of the first parent's matrix, shape (genes,)."""
    order = np.argsort(mating.space.block, kind="stable")
    child = mating.parents[0].copy()
    matrix = child[order].reshape(mating.space.blocks, -1)
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values *= 1.0 + STRENGTH * mating.rng.standard_normal(len(values))
    child[order] = ((left * values) @ right).ravel()
    return np.asarray(child)
