"""Linear recipes: how a genome becomes weights.

A genome has one coefficient per (basis vector, block). A basis vector is a task vector, a founder
minus the origin; the origin is the base, or the founders' average where there is no base. So the
weights of block b are a weighted sum of the founders, `sum_f C[f, b] * founder_f`, whose weights
sum to one: a descendant of any depth is made in one pass over the founders.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lineage.records import Floats


@dataclass(frozen=True)
class Basis:
    """The axes of a genome.

    Attributes:
        founders: names of the founders.
        base: index of the base among them, or None.
    """

    founders: tuple[str, ...]
    base: int | None

    @property
    def vectors(self) -> tuple[int, ...]:
        """For each row of a genome, the index of the founder whose task vector it scales."""
        return tuple(i for i in range(len(self.founders)) if i != self.base)

    def weights(self, genome: Floats) -> Floats:
        """The founders' weights per block for a genome: shape (founders, blocks), columns sum to 1.

        Args:
            genome: shape (vectors, blocks).
        """
        weights = np.zeros((len(self.founders), genome.shape[1]))
        weights[list(self.vectors)] = genome
        rest = 1.0 - genome.sum(axis=0)
        if self.base is None:
            weights += rest / len(self.founders)
        else:
            weights[self.base] += rest
        return weights

    def genome_of_founder(self, founder: int, blocks: int) -> Floats:
        """The genome that makes a founder itself: 1 on its own task vector, 0 elsewhere."""
        genome = np.zeros((len(self.vectors), blocks))
        if founder != self.base:
            genome[self.vectors.index(founder)] = 1.0
        return genome


def recipe_json(
    basis: Basis, blocks: Sequence[str], genome: Floats, founder_hashes: Mapping[str, str]
) -> dict[str, Any]:
    """A recipe that somebody with the same founders can run: each founder's weight per block."""
    weights = basis.weights(genome)
    return {
        "method": "linear",
        "blocks": list(blocks),
        "founders": [
            {
                "name": name,
                "weights_sha256": founder_hashes[name],
                "weight_per_block": [round(float(w), 10) for w in weights[row]],
            }
            for row, name in enumerate(basis.founders)
        ],
    }
