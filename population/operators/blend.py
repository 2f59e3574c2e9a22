"""Block-wise linear blend of two parents, extrapolating a little beyond either."""

import numpy as np

from lineage.records import Floats

BEYOND = 0.2
"""How far beyond a parent a block may go, as a part of the distance between the two."""


def make(rng: np.random.Generator, parents: Floats, weights: Floats) -> Floats:
    """Each block lies at its own point on the line through both parents; `weights` shift it."""
    centre = weights[1] - 0.5
    place = rng.uniform(-BEYOND, 1.0 + BEYOND, size=parents.shape[2]) + centre
    return np.asarray(parents[0] + place * (parents[1] - parents[0]))
