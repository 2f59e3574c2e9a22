"""Lines: how the gradient steps of a generation are shared among them.

A line begins with what parents that the arena picked recombine to, or with a merge of generation 0,
and lasts for as long as its newest model is taken further. While the best line climbs, all steps
are its own. Where it stalls, a whole brood is born, of which every child founds a new line.
Whichever becomes the best of the living by more than a little is raised next.

In the terms of quality-diversity search the best line is an improvement emitter that starts anew
from recombined elites when it stalls (CMA-ME: Fontaine et al. 2020, arXiv 1912.02400, section 4.2),
and its steps are those of the gradient (PGA-MAP-Elites: Nilsson and Cully 2021).
"""

from population.config import Search
from population.evolution.population_state import BreedingState


def is_climbing(search: Search, state: BreedingState) -> bool:
    """Whether the best line rose by more than `[search] climb` in the last generation."""
    return search.climb is not None and state.gain > search.climb


def brood_of(search: Search, state: BreedingState) -> int:
    """How many children the next generation has.

    Args:
        search: with the size of a whole brood.
        state: the population that breeds.
    """
    if is_climbing(search, state) and not state.matings:
        return 1
    return min(search.brood, len(state.members.offspring))
