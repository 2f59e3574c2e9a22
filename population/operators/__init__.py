"""Ways to make a child's genome from its parents' genomes, one file each.

To add one: write a function `(rng, parents, weights) -> genome` and name it in `OPERATORS`.
"""

from population.operators import blend, ensemble, gate, soup
from population.operators.operator import Operator

OPERATORS: dict[str, Operator] = {
    "blend": Operator(parents=2, make=blend.make),
    "ensemble": Operator(parents=8, make=ensemble.make),
    "gate": Operator(parents=2, make=gate.make),
    "soup": Operator(parents=8, make=soup.make, mutated=False, elitist=True),
}

__all__ = ["OPERATORS", "Operator"]
