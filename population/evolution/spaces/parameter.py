"""Merging in parameter space: a coefficient for each task vector in each block."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lineage.records import Floats
from population.evolution.spaces.initial_genomes import initial_merges
from population.evolution.spaces.space import InitialGenome, Integers, Space


@dataclass(frozen=True)
class ParameterSpace:
    """Founders merged by their coefficients.

    A genome has shape (vectors * blocks,): the coefficients of the first task vector in all blocks,
    then those of the second, and so on.

    Attributes:
        founders: how many there are.
        vectors: for each row of coefficients the founder whose task vector it scales.
        blocks: columns of coefficients.
        low: the smallest coefficient.
        high: the largest.
        levels: how blocks are taken together, from coarse to fine: for each level the group of
            each block, shape (blocks,). None: every block by itself from the start.
    """

    founders: int
    vectors: tuple[int, ...]
    blocks: int
    low: float
    high: float
    levels: tuple[Integers, ...] = ()

    @cached_property
    def space(self) -> Space:
        """Bounds of the genes; a block holds the coefficients of all vectors in it."""
        vectors, genes = len(self.vectors), len(self.vectors) * self.blocks
        return Space(
            low=np.full(genes, self.low),
            high=np.full(genes, self.high),
            block=np.tile(np.arange(self.blocks), vectors),
            step=np.ones(genes),
            integer=np.zeros(genes, dtype=bool),
            levels=tuple(
                (np.arange(vectors)[:, None] * (group.max() + 1) + group).ravel()
                for group in self.levels
            ),
        )

    def coefficients(self, genome: Floats) -> Floats:
        """The genome as a matrix, shape (vectors, blocks)."""
        return genome.reshape(len(self.vectors), self.blocks)

    def founder(self, number: int) -> Floats:
        """The genome that makes a founder itself, shape (genes,): 1 on its task vector, else 0."""
        own = np.array([vector == number for vector in self.vectors], dtype=np.float64)
        return np.repeat(own, self.blocks)

    def repaired(self, genomes: Floats) -> Floats:
        """The nearest genomes inside the bounds, shape (..., genes), of genomes of that shape."""
        return self.space.repaired(genomes)

    def initial_genomes(self, rng: np.random.Generator, size: int) -> list[InitialGenome]:
        """Standard merges and random mixtures, shape (genes,) each; see `initial_genomes`."""
        rows = len(self.vectors)
        merges = initial_merges(rng, rows, self.blocks, size, base=rows < self.founders)
        return [
            InitialGenome(
                merge.method,
                self.repaired(merge.genes.ravel()),
                tuple(self.vectors[row] for row in merge.sources),
            )
            for merge in merges
        ]
