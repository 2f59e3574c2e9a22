"""The structure of genomes: handed on block by block, and changed a little now and then.

What a merge method is made of (its name, densities, a seed) cannot be averaged with another's. So a
child has it, in each block, from one of its parents, while operators recombine the other genes as
they do where there is no structure.
"""

from dataclasses import replace

import numpy as np

from lineage.records import Floats
from population.evolution.operators import Operator, Recombination
from population.evolution.spaces import Space

CHANGES = 1.0
"""Names that mutation changes in a child, on average, and as many grades."""


def recombined(operator: Operator, mating: Recombination) -> Floats:
    """The child that an operator makes, shape (genes,), with the structure of its parents.

    Args:
        operator: recombines all genes that are no structure.
        mating: the parents, of all genes.
    """
    space = mating.space
    if space.structure is None:
        return operator.make(mating)
    child, structural = np.empty(space.genes), space.structure.genes
    parts = replace(mating, parents=mating.parents[:, space.mixed], space=space.of_mixed)
    child[space.mixed] = operator.make(parts)
    blocks, block_of_gene = np.unique(space.block[structural], return_inverse=True)
    giver = mating.rng.choice(len(mating.parents), len(blocks), p=mating.weights)
    child[structural] = mating.parents[giver[block_of_gene], structural]
    return child


def restructured(genome: Floats, rng: np.random.Generator, space: Space) -> Floats:
    """A genome with some genes of its structure changed, shape (genes,).

    Names are drawn anew; grades go to a neighbour. On average one name changes, and one grade.

    Args:
        genome: shape (genes,).
        rng: for this child alone.
        space: what genomes may be; with a structure.
    """
    structure, changed = space.structure, genome.copy()
    assert structure is not None
    grades = int(structure.ordered.sum())
    names = len(structure.genes) - grades
    chance = np.where(structure.ordered, CHANGES / max(grades, 1), CHANGES / max(names, 1))
    for place in np.flatnonzero(rng.random(len(chance)) < chance):
        values, gene = structure.values[place], structure.genes[place]
        if structure.ordered[place]:
            step = int(rng.choice((-1, 1)))
            now = int(np.argmin(np.abs(np.array(values) - genome[gene])))
            changed[gene] = values[min(max(now + step, 0), len(values) - 1)]
        else:
            changed[gene] = rng.choice(values)
    return changed
