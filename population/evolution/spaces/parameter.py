"""Merging in parameter space: a coefficient for each task vector in each block."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lineage.records import Floats
from population.evolution.spaces.first import first_genomes
from population.evolution.spaces.flow import First
from population.evolution.spaces.space import Integers, Space


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
        """A genome as the breeder sees it: a block holds the coefficients of all vectors in it."""
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
        """The genome that is a founder itself: 1 on its own task vector, 0 elsewhere."""
        own = np.array([vector == number for vector in self.vectors], dtype=np.float64)
        return np.repeat(own, self.blocks)

    def repaired(self, genomes: Floats) -> Floats:
        """The genomes nearby that are inside the bounds."""
        return self.space.repaired(genomes)

    def first(self, rng: np.random.Generator, size: int) -> list[First]:
        """What people try by hand, and chance; see `population.evolution.spaces.first`."""
        rows = len(self.vectors)
        made = first_genomes(rng, rows, self.blocks, size, base=rows < self.founders)
        return [
            (how, self.repaired(genome.ravel()), tuple(self.vectors[row] for row in mixed))
            for how, genome, mixed in made
        ]
