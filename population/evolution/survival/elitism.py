"""Elitism: the best by mean. The plainest rule, and the one to beat."""

from population.evolution.survival.candidates import Candidates
from population.evolution.survival.tie_breaking import fittest_first, protected, seated


def elitism(candidates: Candidates, size: int) -> list[int]:
    """The best by mean score.

    The protected, then the fittest; see `Rule`.
    """
    return seated(size, protected(candidates), fittest_first(candidates))
