"""Ensemble recombination: the weighted mean of the best of a brood.

Averaging the best siblings cancels the noise that each was born with and keeps what they have in
common, which is what made them the best (the recombination of the (mu/mu_w, lambda) evolution
strategy; Hansen and Ostermeier 2001, section 2). Mutated, it is the next step of a search; left as
it is, it is a soup (Wortsman et al. 2022, arXiv 2203.05482), and often the best model of all.
"""

import numpy as np

from lineage.records import Floats


def make(rng: np.random.Generator, parents: Floats, weights: Floats) -> Floats:
    """The weighted mean of the parents; nothing is drawn."""
    return np.asarray(np.tensordot(weights, parents, axes=1))


def rank_weights(size: int) -> Floats:
    """Shares of the parents by rank, best first, summing to 1: log(size + 1/2) - log(rank)."""
    weights = np.log(size + 0.5) - np.log(np.arange(1, size + 1))
    return np.asarray(weights / weights.sum())
