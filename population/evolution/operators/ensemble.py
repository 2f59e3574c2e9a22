"""Ensemble recombination: a draw around the mean of the best, along their differences.

child = m + sum_i z_i sqrt(w_i) (p_i - m), with m the mean of the parents p weighted by w and z
normal: the children scatter as the parents do, in every direction that these span (REX, real-coded
ensemble crossover: Akimoto et al. 2009, section 3, with the weights of an evolution strategy).
"""

import numpy as np

from lineage.records import Floats
from population.evolution.operators.operator import Recombination


def make(mating: Recombination) -> Floats:
    """A draw around the weighted mean of the parents, shape (genes,)."""
    mean = mating.weights @ mating.parents
    drawn = mating.rng.standard_normal(len(mating.weights)) * np.sqrt(mating.weights)
    return np.asarray(mean + drawn @ (mating.parents - mean))


def rank_weights(size: int) -> Floats:
    """Shares of the parents by rank, best first, summing to 1, shape (size,).

    In proportion to log(size + 1/2) - log(rank).

    The weights of an evolution strategy's recombination (Hansen 2016, arXiv 1604.00772, table 1).

    >>> rank_weights(2).round(3).tolist()
    [0.804, 0.196]
    """
    weights = np.log(size + 0.5) - np.log(np.arange(1, size + 1))
    return np.asarray(weights / weights.sum())
