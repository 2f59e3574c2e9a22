"""The first population: what people would try by hand, and chance.

A breeder that recombines differences must be given differences. Started around the average it
never leaves it, so the first population holds the founders' pairwise blends, plain task arithmetic
at several scales, and random mixtures.
"""

from itertools import combinations

import numpy as np

from lineage.records import Floats, Parent

SCALES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
SCATTER = 0.1
"""Noise on random mixtures per block, so that the blocks of a founder can part ways."""


def first_genomes(
    rng: np.random.Generator, vectors: int, blocks: int, size: int, *, base: bool
) -> list[tuple[str, Floats, tuple[int, ...]]]:
    """At least `size` genomes for the first population.

    Args:
        rng: for this use alone.
        vectors: task vectors of the basis.
        blocks: columns of a genome.
        size: how many are needed.
        base: whether there is one; without, every scale of task arithmetic makes the average.

    Returns:
        For each: how it was made, the genome (vectors, blocks), and which vectors it mixes.
    """
    ones = np.ones((vectors, blocks))
    everyone = tuple(range(vectors))
    made: list[tuple[str, Floats, tuple[int, ...]]] = []
    if vectors > 1:
        if base:
            made += [("arithmetic", scale * ones, everyone) for scale in SCALES]
        made.append(("average", ones / vectors, everyone))
    pairs = list(combinations(range(vectors), 2))
    rng.shuffle(pairs)
    for pair in pairs[:size]:
        genome = np.zeros((vectors, blocks))
        genome[list(pair)] = 0.5
        made.append(("pair", genome, pair))
    while len(made) < 2 * size:
        scale = rng.choice(SCALES) * 2.0
        mixture = scale * rng.random((vectors, 1)) + SCATTER * rng.standard_normal(ones.shape)
        made.append(("mixture", mixture, everyone))
    return made


def equal_parents(ids: tuple[int, ...]) -> tuple[Parent, ...]:
    """Parents with equal shares: of a pair a first and a mate, of more an ensemble."""
    roles = ("first", "mate") if len(ids) == 2 else ("ensemble",) * len(ids)
    return tuple(Parent(i, 1.0 / len(ids), role) for i, role in zip(ids, roles, strict=True))
