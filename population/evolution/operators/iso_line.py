"""Iso+line variation: a little noise everywhere, and a step along the line to the mate.

Vassiliades and Mouret 2018 (arXiv 1804.03906), equation 2: elites share a direction, and stepping
along the line between two of them keeps what they have in common.
"""

import numpy as np

from lineage.records import Floats
from population.evolution.operators.operator import Recombination

ISO = 0.02
"""Noise, in natural steps of a gene."""

LINE = 0.2
"""Standard deviation of the step, as a part of the distance between the parents."""


def make(mating: Recombination, *, iso: float = ISO, line: float = LINE) -> Floats:
    """First + iso * noise + line * one draw * (mate - first), shape (genes,)."""
    first, mate = mating.parents
    noise = mating.rng.standard_normal(len(first)) * mating.space.step
    return np.asarray(first + iso * noise + line * mating.rng.standard_normal() * (mate - first))
