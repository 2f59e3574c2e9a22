"""What a genome may be: genes with bounds, step lengths, kinds and blocks."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from lineage.records import Floats

Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Structure:
    """Genes that are handed on as they are, block by block, and never mixed.

    Attributes:
        genes: their places in a genome, shape (structural,).
        values: what each may be, in ascending order.
        ordered: shape (structural,): whether values beside each other mean nearly the same;
            otherwise they are names.
    """

    genes: Integers
    values: tuple[tuple[float, ...], ...]
    ordered: Booleans


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
        structure: the genes that are inherited and never mixed, if there are any; their blocks come
            after those of the others.
    """

    low: Floats
    high: Floats
    block: Integers
    step: Floats
    integer: Booleans
    levels: tuple[Integers, ...] = ()
    structure: Structure | None = None

    @cached_property
    def mixed(self) -> Integers:
        """The places of the genes that operators recombine: all but the structure."""
        every = np.arange(self.genes)
        return every if self.structure is None else np.setdiff1d(every, self.structure.genes)

    @cached_property
    def of_mixed(self) -> "Space":
        """What the genes that operators recombine may be."""
        if self.structure is None:
            return self
        kept = self.mixed
        return replace(
            self,
            low=self.low[kept],
            high=self.high[kept],
            block=self.block[kept],
            step=self.step[kept],
            integer=self.integer[kept],
            levels=(),
            structure=None,
        )

    def groups_at(self, level: int) -> Integers:
        """The group of each gene at a level, shape (genes,); beyond the finest, the finest."""
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
        """The nearest valid genomes: inside the bounds, integer where they must be.

        Args:
            genomes: shape (..., genes).

        Returns:
            Shape (..., genes).
        """
        inside = np.clip(genomes, self.low, self.high)
        return np.where(self.integer, np.rint(inside), inside)

    def pygad_space(self) -> tuple[Any, Any]:
        """The same as pygad's `gene_space` and `gene_type`."""
        kinds = set(zip(self.low.tolist(), self.high.tolist(), self.integer.tolist(), strict=True))
        if len(kinds) == 1 and not self.integer.any():
            return {"low": self.low[0], "high": self.high[0]}, float
        space = [
            [*range(int(low), int(high) + 1)] if integer else {"low": low, "high": high}
            for low, high, integer in zip(self.low, self.high, self.integer, strict=True)
        ]
        return space, [int if integer else float for integer in self.integer]


class InitialGenome(NamedTuple):
    """A genome of the first population.

    Attributes:
        method: how it was made.
        genes: shape (genes,), or that in rows.
        sources: numbers of the founders (or task vectors) that it mixes.
    """

    method: str
    genes: Floats
    sources: tuple[int, ...]


class SearchSpace(Protocol):
    """What a campaign searches: a `Space`, and what its genomes mean."""

    @property
    def space(self) -> Space:
        """Bounds and kinds of the genes."""
        ...

    def founder(self, number: int) -> Floats:
        """The genome that makes founder `number` itself, shape (genes,)."""
        ...

    def repaired(self, genomes: Floats) -> Floats:
        """The nearest valid genomes, shape (..., genes), of genomes of that shape."""
        ...

    def initial_genomes(self, rng: np.random.Generator, size: int) -> list[InitialGenome]:
        """At least `size` genomes, shape (genes,), for the first population."""
        ...
