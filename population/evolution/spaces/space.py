"""A genome as the breeder sees it: a row of genes with bounds, kinds and blocks."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lineage.records import Floats

Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Space:
    """What a genome may be. All arrays have shape (genes,).

    Attributes:
        low: the smallest value of each gene.
        high: the largest.
        block: the block that each gene belongs to, numbered from 0; crossover takes blocks whole.
        step: the natural length of a small change of each gene, which mutation is measured in.
        integer: whether a gene takes whole numbers only.
        levels: how finely the emitter cuts a genome, from coarse to fine: for each level the group
            of each gene, numbered from 0; genes of a group step together. None: gene by gene.
    """

    low: Floats
    high: Floats
    block: Integers
    step: Floats
    integer: Booleans
    levels: tuple[Integers, ...] = ()

    def together(self, level: int) -> Integers:
        """The group of each gene at a level; beyond the finest, the finest."""
        if not self.levels:
            return np.arange(self.genes)
        return self.levels[min(level, len(self.levels) - 1)]

    @property
    def genes(self) -> int:
        """The length of a genome."""
        return len(self.low)

    @property
    def blocks(self) -> int:
        """How many blocks a genome has."""
        return int(self.block.max()) + 1

    def repaired(self, genomes: Floats) -> Floats:
        """The nearest genomes that may be: inside the bounds, whole where they must be."""
        inside = np.clip(genomes, self.low, self.high)
        return np.where(self.integer, np.rint(inside), inside)

    def pygad_space(self) -> tuple[Any, Any]:
        """The same as pygad's `gene_space` and `gene_type`."""
        kinds = set(zip(self.low.tolist(), self.high.tolist(), self.integer.tolist(), strict=True))
        if len(kinds) == 1 and not self.integer.any():
            return {"low": self.low[0], "high": self.high[0]}, float
        space = [
            [*range(int(low), int(high) + 1)] if whole else {"low": low, "high": high}
            for low, high, whole in zip(self.low, self.high, self.integer, strict=True)
        ]
        return space, [int if whole else float for whole in self.integer]


class SearchSpace(Protocol):
    """What a campaign breeds in: a `Space`, and what its genomes mean."""

    @property
    def space(self) -> Space:
        """A genome as the breeder sees it."""
        ...

    def founder(self, number: int) -> Floats:
        """The genome that is a founder itself, shape (genes,)."""
        ...

    def repaired(self, genomes: Floats) -> Floats:
        """The valid genomes nearby, shape (..., genes)."""
        ...

    def first(
        self, rng: np.random.Generator, size: int
    ) -> list[tuple[str, Floats, tuple[int, ...]]]:
        """Genomes to start from: how each was made, its genes, and which founders it mixes."""
        ...
