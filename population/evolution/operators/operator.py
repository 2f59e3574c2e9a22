"""The interface of recombination operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lineage.records import Floats

if TYPE_CHECKING:  # a configuration knows the operators, and spaces are made from a configuration
    from population.evolution.spaces import Space
    from population.weights.geometry import Geometry


@dataclass(frozen=True)
class Recombination:
    """The parents of one child, and all else that an operator may use.

    Attributes:
        rng: for this child alone.
        parents: shape (parents, genes); the first parent is row 0.
        weights: shape (parents,): the parents' shares in the child, summing to 1.
        space: what genomes may be.
        geometry: lengths and angles of what genomes make, or None where there are none.
    """

    rng: np.random.Generator
    parents: Floats
    weights: Floats
    space: Space
    geometry: Geometry | None = None

    def per_block(self, values: Floats) -> Floats:
        """Values of shape (blocks,), repeated for each gene of the block, shape (genes,)."""
        return np.asarray(values[self.space.block])


class Make(Protocol):
    """A recombination."""

    def __call__(self, mating: Recombination, /) -> Floats:
        """Make a genome of shape (genes,); it need not be valid yet."""
        ...


@dataclass(frozen=True)
class Operator:
    """A way of making children.

    Attributes:
        make: the recombination.
        mutated: whether its children are mutated afterwards.
        ensemble: its parents are the best of the living and weigh by rank; otherwise the arena
            picks the first and attraction its mate.
        geometric: whether it needs a geometry: only coefficients have one, a path has not.
    """

    make: Make
    mutated: bool = True
    ensemble: bool = False
    geometric: bool = False
