"""Baselines: the standard merges of the same founders, as genomes to compare with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lineage.records import Floats
from population.weights.genomes import Basis

SCALES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5)
"""The sweep of task arithmetic."""


@dataclass(frozen=True)
class Baseline:
    """A standard merge.

    Attributes:
        name: of the merge.
        genome: shape [vectors, blocks].
        detail: how it was chosen.
    """

    name: str
    genome: Floats
    detail: str


def baselines(
    basis: Basis,
    blocks: int,
    founders_on_selection: Sequence[float],
    on_selection: Callable[[list[Floats]], list[float]],
) -> list[Baseline]:
    """The uniform average, the best task arithmetic of a sweep, and a greedy soup.

    Args:
        basis: the meaning of a genome's rows.
        blocks: columns of a genome.
        founders_on_selection: each founder's score on the selection split.
        on_selection: scores genomes of shape [vectors, blocks] on the selection split.
    """
    return [
        uniform(basis, blocks),
        task_arithmetic(basis, blocks, on_selection),
        greedy_soup(basis, blocks, founders_on_selection, on_selection),
    ]


def baselines_of(
    some: Sequence[int],
    basis: Basis,
    blocks: int,
    founders_on_selection: Sequence[float],
    on_selection: Callable[[list[Floats]], list[float]],
) -> list[Baseline]:
    """The standard merges of some of the founders, see `baselines`.

    Args:
        some: rows of the founders, the base among them if there is one.
        basis: the meaning of a genome's rows, for all founders.
        blocks: columns of a genome.
        founders_on_selection: each founder's score on the selection split.
        on_selection: scores genomes over all founders on the selection split.
    """
    base = None if basis.base is None else list(some).index(basis.base)
    own = Basis(tuple(basis.founders[row] for row in some), base)
    rows = [list(basis.vectors).index(some[vector]) for vector in own.vectors]

    def widened(genome: Floats) -> Floats:
        wide = np.zeros((len(basis.vectors), blocks))
        wide[rows] = genome
        return wide

    found = baselines(
        own,
        blocks,
        [founders_on_selection[row] for row in some],
        lambda genomes: on_selection([widened(genome) for genome in genomes]),
    )
    return [replace(merge, genome=widened(merge.genome)) for merge in found]


def uniform(basis: Basis, blocks: int) -> Baseline:
    """The plain average of all founders but the base.

    >>> uniform(Basis(("base", "a", "b"), base=0), blocks=1).genome.tolist()
    [[0.5], [0.5]]
    """
    vectors = len(basis.vectors)
    return Baseline("uniform", np.full((vectors, blocks), 1.0 / vectors), f"{vectors} founders")


def task_arithmetic(
    basis: Basis, blocks: int, on_selection: Callable[[list[Floats]], list[float]]
) -> Baseline:
    """Base plus the scaled sum of all task vectors, the scale chosen on the selection split.

    Ilharco et al. 2023 (arXiv 2212.04089), section 4. Without a base the task vectors sum to zero
    and every scale makes the average.

    Args:
        basis: the meaning of a genome's rows.
        blocks: columns of a genome.
        on_selection: scores genomes of shape [vectors, blocks] on the selection split.
    """
    if basis.base is None:
        plain = uniform(basis, blocks)
        return Baseline("task_arithmetic", plain.genome, "no base, so it is the average")
    ones = np.ones((len(basis.vectors), blocks))
    scores = on_selection([scale * ones for scale in SCALES])
    scale = SCALES[int(np.argmax(scores))]
    return Baseline("task_arithmetic", scale * ones, f"scale {scale:g}")


def greedy_soup(
    basis: Basis,
    blocks: int,
    founders_on_selection: Sequence[float],
    on_selection: Callable[[list[Floats]], list[float]],
) -> Baseline:
    """Founders are added to an average, best first, for as long as the selection split improves.

    Wortsman et al. 2022 (arXiv 2203.05482), recipe 1.

    Args:
        basis: the meaning of a genome's rows.
        blocks: columns of a genome.
        founders_on_selection: each founder's score on the selection split.
        on_selection: scores genomes of shape [vectors, blocks] on the selection split.
    """
    order = sorted(range(len(basis.founders)), key=lambda f: (-founders_on_selection[f], f))
    soup, best = [order[0]], founders_on_selection[order[0]]
    for founder in order[1:]:
        (score,) = on_selection([_average(basis, blocks, [*soup, founder])])
        if score > best:
            soup, best = [*soup, founder], score
    names = ", ".join(basis.founders[founder] for founder in soup)
    return Baseline("greedy_soup", _average(basis, blocks, soup), names)


def _average(basis: Basis, blocks: int, founders: Sequence[int]) -> Floats:
    genomes = [basis.genome_of_founder(founder, blocks) for founder in founders]
    return np.asarray(np.mean(genomes, axis=0))
