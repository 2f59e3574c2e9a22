"""Ways to make a child's genome from its parents' genomes, one file each.

To add one: write a function `(rng, parents, weights) -> genome` and name it in `OPERATORS`.
"""

from population.operators import blend, ensemble, gate
from population.operators.operator import Operator

OPERATORS: dict[str, Operator] = {
    "blend": Operator(blend.make),
    "ensemble": Operator(ensemble.make, ensemble=True),
    "gate": Operator(gate.make),
    "soup": Operator(ensemble.make, ensemble=True, mutated=False),
}

__all__ = ["OPERATORS", "Operator"]
