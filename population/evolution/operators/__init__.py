"""Recombination operators: a child's genome from its parents' genomes, one file each.

To add one: write a function `(mating) -> genome` and list it in `OPERATORS`; campaigns that are
started from then on use it by default. Configurations and archives say "gate" for block crossover
and "singular" for SVD mutation. The evolution strategy, which makes most children, follows a
gradient and is no recombination: see `population.evolution.evolution_strategy`.
"""

from population.evolution.operators import (
    blend,
    block_crossover,
    ensemble,
    iso_line,
    slerp,
    soup,
    split_point,
    svd_mutation,
)
from population.evolution.operators.operator import Operator, Recombination

OPERATORS: dict[str, Operator] = {
    "blend": Operator(blend.make),
    "ensemble": Operator(ensemble.make, ensemble=True, mutated=False),
    "gate": Operator(block_crossover.make),
    "iso_line": Operator(iso_line.make, mutated=False),
    "singular": Operator(svd_mutation.make, mutated=False, geometric=True),
    "slerp": Operator(slerp.make, geometric=True),
    "soup": Operator(soup.make, ensemble=True, mutated=False),
    "split_point": Operator(split_point.make, geometric=True),
}

__all__ = ["OPERATORS", "Operator", "Recombination"]
