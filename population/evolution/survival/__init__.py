"""Survival rules: which models live on, one file each. The others become fossils.

To add one: write a function `(candidates, size) -> rows` and list it in `RULES`; the first sentence
of its docstring is its meaning in `colony init`. Every rule keeps three promises:

- No more than `size` survive, and no two of them have the same weights.
- The protected survive whatever they score, as far as there are places.
- The same candidates in another order give the same survivors. So nothing depends on how offspring
  were spread over machines.
"""

from population.evolution.survival.candidates import Candidates, Rule
from population.evolution.survival.dominated_novelty import novelty
from population.evolution.survival.elitism import elitism
from population.evolution.survival.m2n2 import m2n2
from population.evolution.survival.map_elites import map_elites
from population.evolution.survival.niches import niches, survivors

RULES: dict[str, Rule] = {
    "elitism": elitism,
    "m2n2": m2n2,
    "map_elites": map_elites,
    "niches": niches,
    "novelty": novelty,
}

__all__ = ["RULES", "Candidates", "Rule", "survivors"]
