"""Model soup: the weighted mean of the best.

Averaging cancels the noise in each and keeps what they have in common (Wortsman et
al. 2022, arXiv 2203.05482).
"""

import numpy as np

from lineage.records import Floats
from population.evolution.operators.operator import Recombination


def make(mating: Recombination) -> Floats:
    """The weighted mean of the parents, shape (genes,); nothing is drawn."""
    return np.asarray(mating.weights @ mating.parents)
