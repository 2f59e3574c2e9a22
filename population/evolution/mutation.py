"""Mutation: noise on the genomes of recombined children."""

import numpy as np

from lineage.records import Floats
from population.evolution.spaces import Space
from population.evolution.structure import restructured


def mutate(
    genome: Floats, rng: np.random.Generator, space: Space, strength: tuple[float, float]
) -> Floats:
    """A genome with noise on every gene, shape (genes,); it need not be valid any more.

    Real genes get normal noise in units of `Space.step`. Its standard deviation is drawn for the
    whole genome, evenly on a logarithmic scale. Integer genes change by one, up or down, each with
    a probability of 2 / blocks. Genes of the structure change as `restructured` says.

    Args:
        genome: shape (genes,).
        rng: for this child alone.
        space: what genomes may be.
        strength: smallest and largest standard deviation of the noise.
    """
    if space.structure is not None:
        child = restructured(genome, rng, space)
        mixed = space.mixed
        child[mixed] = mutate(genome[mixed], rng, space.of_mixed, strength)
        return child
    least, most = np.log(strength)
    noise = np.exp(rng.uniform(least, most)) * rng.standard_normal(space.genes)
    flipped = rng.random(space.genes) < 2.0 / space.blocks
    flips = flipped * rng.choice((-1.0, 1.0), space.genes)
    return np.asarray(genome + np.where(space.integer, flips, noise * space.step))
