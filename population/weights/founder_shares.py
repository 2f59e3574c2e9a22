"""Founder shares by what weights hold: how much of all that is added to the base is whose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lineage.records import Floats

BlockSize = Literal["length", "parameters"]
"""How a task vector is measured in a block: by its length, or by the parameters of the block."""


@dataclass(frozen=True)
class FounderShares:
    """The founders' parts in a model's weights.

    Attributes:
        shares: by name of the founder, the largest first; they sum to 1, or are all 0 in a model
            that is the base. The base has none: it is what others are added to.
        measure: what coefficients were multiplied with.
    """

    shares: Mapping[str, float]
    measure: BlockSize

    @property
    def effective(self) -> float:
        """The effective number of founders: how many with equal parts would be as diverse.

        0 where nothing is added to the base.

        >>> FounderShares({"a": 0.5, "b": 0.5, "c": 0.0}, "length").effective
        2.0
        """
        return effective_number(np.array(list(self.shares.values())))

    def as_json(self) -> dict[str, Any]:
        """The dictionary that `--json` prints."""
        return {
            "shares": dict(self.shares),
            "effective": self.effective,
            "measure": self.measure,
        }


def effective_number(shares: Floats) -> float:
    """How many equal shares would be as diverse; 0 where all are 0.

    The exponential of their entropy (Hill 1973, Ecology 54: 427-432, order 1).

    Args:
        shares: shape [founders], summing to 1.
    """
    held = shares[shares > 0.0]
    return float(np.exp(-(held * np.log(held)).sum())) if held.size else 0.0


def founder_shares(
    names: Sequence[str], coefficients: Floats, sizes: Floats, measure: BlockSize
) -> FounderShares:
    """The parts of task vectors in a model, by the names of their founders.

    >>> founder_shares(("a", "b"), np.array([[1.0], [-3.0]]), np.ones(1), "parameters").shares
    {'b': 0.75, 'a': 0.25}

    Args:
        names: of the founders with a task vector.
        coefficients: shape [vectors, blocks].
        sizes: see `vector_shares`.
        measure: what these are.
    """
    shares = dict(zip(names, vector_shares(coefficients, sizes).tolist(), strict=True))
    return FounderShares(dict(sorted(shares.items(), key=lambda one: (-one[1], one[0]))), measure)


def vector_shares(coefficients: Floats, sizes: Floats) -> Floats:
    """Each task vector's part in all that is added to the base: shape [vectors], sums to 1.

    The sum over blocks of its absolute coefficients, each times the size of what it scales.

    >>> vector_shares(np.array([[1.0, 0.0], [0.0, -3.0]]), np.array([1.0, 1.0])).tolist()
    [0.25, 0.75]

    Args:
        coefficients: shape [vectors, blocks].
        sizes: parameters of the blocks, shape [blocks], or lengths of the task vectors in them,
            shape [vectors, blocks].
    """
    mass = (np.abs(coefficients) * sizes).sum(axis=1)
    total = mass.sum()
    return np.asarray(mass / total if total > 0.0 else mass)
