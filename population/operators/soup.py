"""Soup: the plain weighted average (Wortsman et al. 2022, arXiv 2203.05482).

The average of the best lies in a flatter place than each of them and has less of their luck, so it
often generalises better than any; one per generation costs little.
"""

import numpy as np

from lineage.records import Floats


def make(rng: np.random.Generator, parents: Floats, weights: Floats) -> Floats:
    """The weighted mean of the parents; nothing is drawn."""
    return np.asarray(np.tensordot(weights, parents, axes=1))
