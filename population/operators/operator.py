"""What every operator is."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lineage.records import Floats


class Make(Protocol):
    """A recombination."""

    def __call__(self, rng: np.random.Generator, parents: Floats, weights: Floats) -> Floats:
        """Make a genome of shape (vectors, blocks).

        Args:
            rng: for this child alone.
            parents: shape (parents, vectors, blocks); the first parent is row 0.
            weights: the parents' shares in the child, summing to 1.
        """
        ...


@dataclass(frozen=True)
class Operator:
    """A way of making children.

    Attributes:
        make: the recombination.
        mutated: whether its children are mutated afterwards.
        ensemble: its parents are the best of the last brood and weigh by rank; otherwise the arena
            picks the first and attraction its mate.
    """

    make: Make
    mutated: bool = True
    ensemble: bool = False
