"""What is found out about a merge: its parents, their coefficients, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["copy", "sum", "sum by slices", "sparse", "incomplete"]
"""What a checkpoint is: a candidate itself; a weighted sum of candidates, with coefficients for
each tensor, or for slices of them; a sum of which elements were dropped; or something that the
candidates do not explain."""


@dataclass(frozen=True)
class TracedParent:
    """A model that took part in a merge.

    Attributes:
        name: of the candidate.
        path: where it is.
        coefficient: its mean over tensors, weighted by what the candidate has of its own in each.
        error: the standard error of the mean.
        low: the least coefficient among tensors in which it is known.
        high: the largest one.
        kept: the part of its task vector's elements that were kept; None in sums.
        factor: what a kept element counts where no other parent's was kept; None in sums.
    """

    name: str
    path: str
    coefficient: float
    error: float
    low: float
    high: float
    kept: float | None = None
    factor: float | None = None


@dataclass(frozen=True)
class TracedTensor:
    """One tensor of a merge.

    Attributes:
        name: of the tensor.
        coefficients: of the parents and the base, by name; None where they cannot be known, as the
            models hardly differ there.
        errors: standard errors of these, by name; None where it cannot be known.
        excess: the squared residual as a multiple of what rounding leaves.
    """

    name: str
    coefficients: dict[str, float | None]
    errors: dict[str, float | None]
    excess: float


@dataclass(frozen=True)
class Trace:
    """Where a checkpoint came from.

    Attributes:
        kind: what it is.
        base: the candidate that the others' differences were taken from.
        base_coefficient: its coefficient: 1 less the others' in a merge that keeps the scale.
        parents: the other candidates that took part, the largest coefficient first.
        excess: the squared residual of all tensors as a multiple of what rounding leaves.
        explained: of merges with dropped elements, the part of the elements that is explained.
        missing_coefficient: where something took part that is not among the candidates: what
            coefficient a typical fine-tune would need to leave such a residual; else None.
        tensors: one by one.
        skipped: names of tensors that are no weights, or that not all have in the same shape.
        candidates: names of all candidates.
        equal: candidates left out, by name, and the candidate that each has the weights of.
    """

    kind: Kind
    base: str
    base_coefficient: float
    parents: tuple[TracedParent, ...]
    excess: float
    explained: float | None
    missing_coefficient: float | None
    tensors: tuple[TracedTensor, ...]
    skipped: tuple[str, ...]
    candidates: tuple[str, ...]
    equal: dict[str, str]

    @property
    def missing(self) -> bool:
        """Whether something took part that is not among the candidates."""
        return self.missing_coefficient is not None

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of tensors in which some coefficient cannot be known."""
        return tuple(each.name for each in self.tensors if None in each.coefficients.values())
