"""A soup: the weighted mean of the best, as it is.

Averaging cancels the noise that each was born with and keeps what they have in common (Wortsman et
al. 2022, arXiv 2203.05482).
"""

import numpy as np

from lineage.records import Floats
from population.evolution.operators.operator import Recombination


def make(mating: Recombination) -> Floats:
    """The weighted mean of the parents; nothing is drawn."""
    return np.asarray(mating.weights @ mating.parents)
