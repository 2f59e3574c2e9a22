"""Genomes of the first population: standard merges that people try by hand, and random mixtures.

An evolver that recombines differences must be given differences. Started around the average it
never leaves it, so the first population holds the founders' pairwise blends, plain task arithmetic
at several scales, and random mixtures.
"""

from itertools import combinations

import numpy as np

from lineage.records import Parent, parent_roles
from population.evolution.spaces.space import InitialGenome

SCALES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
"""Coefficients of task arithmetic that are tried."""
SCATTER = 0.1
"""Noise on random mixtures per block, so that the blocks of a founder can part ways."""


def initial_merges(
    rng: np.random.Generator, vectors: int, blocks: int, size: int, *, base: bool
) -> list[InitialGenome]:
    """At least `size` genomes of coefficients for the first population.

    Args:
        rng: for this use alone.
        vectors: task vectors of the basis.
        blocks: columns of a genome.
        size: how many are needed.
        base: whether there is one; without, every scale of task arithmetic makes the average.

    Returns:
        Genes of shape (vectors, blocks); sources are rows of task vectors.
    """
    ones = np.ones((vectors, blocks))
    all_vectors = tuple(range(vectors))
    merges: list[InitialGenome] = []
    if vectors > 1:
        if base:
            merges += [InitialGenome("arithmetic", scale * ones, all_vectors) for scale in SCALES]
        merges.append(InitialGenome("average", ones / vectors, all_vectors))
    pairs = list(combinations(range(vectors), 2))
    rng.shuffle(pairs)
    for pair in pairs[:size]:
        genome = np.zeros((vectors, blocks))
        genome[list(pair)] = 0.5
        merges.append(InitialGenome("pair", genome, pair))
    while len(merges) < 2 * size:
        scale = rng.choice(SCALES) * 2.0
        mixture = scale * rng.random((vectors, 1)) + SCATTER * rng.standard_normal(ones.shape)
        merges.append(InitialGenome("mixture", mixture, all_vectors))
    return merges


def equal_parents(ids: tuple[int, ...]) -> tuple[Parent, ...]:
    """Parents with equal shares: of a pair a first and a mate, of more an ensemble."""
    roles = parent_roles(len(ids))
    return tuple(Parent(i, 1.0 / len(ids), role) for i, role in zip(ids, roles, strict=True))
