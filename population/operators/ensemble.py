"""Ensemble recombination: sample around the parents' mean with their own covariance.

child = m + s * sum_i z_i sqrt(w_i) (p_i - m),  z_i ~ N(0, 1),  m = sum_i w_i p_i

The real-coded ensemble crossover (REX; Akimoto et al. 2009) with Gaussian draws. With s = 1 the
children scatter as their parents do, so the search keeps the shape that selection has found.
"""

import numpy as np

from lineage.records import Floats

SPREAD = 1.0


def make(rng: np.random.Generator, parents: Floats, weights: Floats) -> Floats:
    """See the module; all parents contribute by their weight."""
    mean = np.tensordot(weights, parents, axes=1)
    draws = rng.standard_normal(len(parents)) * np.sqrt(weights)
    return np.asarray(mean + SPREAD * np.tensordot(draws, parents - mean, axes=1))
