"""M2N2's replacement: the candidate of least shared fitness is removed, one at a time.

Each time one goes its niche becomes less crowded, and others in it are worth more. Ranking once
and cutting would remove both of two candidates who alone can do a thing (M2N2, arXiv 2508.16204,
section 3; there one child is born and one dies, here a brood is born and as many die).
"""

from population.evolution.selection.parents import shared_fitness
from population.evolution.survival.candidates import Candidates
from population.evolution.survival.tie_breaking import fittest_first, protected, seated


def m2n2(candidates: Candidates, size: int) -> list[int]:
    """Shared fitness alone, as M2N2 has it.

    Remove the unprotected of least shared fitness until `size` remain; see `Rule`.

    Args:
        candidates: who may survive.
        size: how many do.
    """
    safe = seated(size, protected(candidates))
    living = fittest_first(candidates)
    while len(living) > size:
        fitness = shared_fitness(candidates.scores[living], candidates.sharing)
        # From the back, so that among equals the one with the lower mean goes.
        doomed = [place for place in range(len(living))[::-1] if living[place] not in safe]
        living.pop(min(doomed, key=lambda place: fitness[place]))
    return sorted(living)
