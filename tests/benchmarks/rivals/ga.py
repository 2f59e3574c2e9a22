"""The genetic algorithm that M2N2 is compared with (arXiv 2508.16204).

It is M2N2 without competition and attraction: main.py of SakanaAI/natural_niches runs the same
code with alpha = 0 and no matchmaker.
"""

import numpy as np

from tests.benchmarks.rivals.m2n2 import M2N2Settings, m2n2
from tests.benchmarks.rivals.problem import Problem

PUBLISHED = M2N2Settings(alpha=0.0, use_attraction=False)


def ga(problem: Problem, rng: np.random.Generator, settings: M2N2Settings = PUBLISHED) -> None:
    """Breed one child at a time from parents drawn by accuracy; the least accurate row goes."""
    m2n2(problem, rng, settings)
