"""What the vectors of a search stand for: a network's weights, or coefficients of a merge."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from lineage.records import Floats
from population.evolution.spaces import SearchSpace, Space
from population.evolution.spaces.parameter import ParameterSpace
from population.weights.geometry import Geometry
from tests.benchmarks import mlp
from tests.benchmarks.mlp import Weights

GROUPS = 32
"""Groups of hidden units that merges take as one."""

LOW, HIGH = -1.0, 2.0
"""The box of coefficients that our breeder stays in."""

BOUND = 3.0
"""How far from 0 our breeder's weights may get."""

MUTATION = 0.01
"""What searches from scratch mutate by, as published."""


class Encoding(Protocol):
    """Makes weights of the vectors that a method searches."""

    founders: Floats
    """The founders as such vectors, shape (founders, genes)."""

    def weights(self, vectors: Floats) -> Weights:
        """Shape (vectors, weights)."""
        ...


class Plain:
    """A vector is the weights themselves."""

    def __init__(self, founders: Weights) -> None:
        self.founders = founders.astype(np.float64)

    def weights(self, vectors: Floats) -> Weights:
        """See `Encoding`."""
        return vectors.astype(np.float32)

    @cached_property
    def space(self) -> SearchSpace:
        """What our breeder breeds in."""
        return PlainSpace(self.founders)

    geometry = None


class Merged:
    """A vector holds a coefficient for each founder in each block, founder after founder."""

    def __init__(self, founders: Weights) -> None:
        self._sources = founders
        self._block = mlp.blocks(GROUPS)
        count, blocks = len(founders), int(self._block.max()) + 1
        self.space = ParameterSpace(count, tuple(range(count)), blocks, LOW, HIGH)
        self.founders = np.array([self.space.founder(number) for number in range(count)])

    def weights(self, vectors: Floats) -> Weights:
        """See `Encoding`."""
        coefficients = vectors.astype(np.float32).reshape(len(vectors), len(self._sources), -1)
        each = np.take(coefficients, self._block, axis=2)
        return np.asarray(np.einsum("vfw,fw->vw", each, self._sources))

    @cached_property
    def geometry(self) -> Geometry:
        """The founders' inner products in every block."""
        wide = self._sources.astype(np.float64)
        inside = [wide[:, self._block == block] for block in range(self.space.blocks)]
        return Geometry(np.array([part @ part.T for part in inside]))


@dataclass(frozen=True)
class PlainSpace:
    """The weights themselves as a `SearchSpace`; blocks are hidden units."""

    founders: Floats

    @cached_property
    def space(self) -> Space:
        """A genome as the breeder sees it."""
        unit = mlp.units()
        return Space(
            low=np.full(len(unit), -BOUND),
            high=np.full(len(unit), BOUND),
            block=unit,
            step=np.ones(len(unit)),
            integer=np.zeros(len(unit), dtype=np.bool_),
        )

    def founder(self, number: int) -> Floats:
        """A founder's weights."""
        return np.asarray(self.founders[number])

    def repaired(self, genomes: Floats) -> Floats:
        """The genomes nearby that are inside the bounds."""
        return np.clip(genomes, -BOUND, BOUND)

    def initial_genomes(
        self, rng: np.random.Generator, size: int
    ) -> list[tuple[str, Floats, tuple[int, ...]]]:
        """The founders in turn, with noise."""
        turns = [number % len(self.founders) for number in range(size)]
        return [
            ("noise", self.founders[turn] + MUTATION * rng.standard_normal(mlp.SIZE), (turn,))
            for turn in turns
        ]
