"""Who lives on. Everyone else becomes a fossil: its recipe stays, and it may be revived.

Rules, one file each. To add one: write a function `(candidates, size) -> rows` and name it in
`RULES`. Every rule keeps its promises:

- No more than `size` survive, and no two of them have the same weights.
- The protected survive whatever they score, as far as there are places.
- The same candidates in another order give the same survivors. So nothing hangs on how a brood was
  spread over machines.
"""

from population.breeding.survival.candidates import Candidates, Rule
from population.breeding.survival.dominated_novelty import novelty
from population.breeding.survival.elitism import elitism
from population.breeding.survival.map_elites import map_elites
from population.breeding.survival.niches import niches, survivors
from population.breeding.survival.replacement import m2n2

RULES: dict[str, Rule] = {
    "elitism": elitism,
    "m2n2": m2n2,
    "map_elites": map_elites,
    "niches": niches,
    "novelty": novelty,
}

__all__ = ["RULES", "Candidates", "Rule", "survivors"]
