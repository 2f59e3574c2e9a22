"""Which models a checkpoint was merged from, and with which coefficients.

First as one weighted sum (`fit`), tensor by tensor and, where that leaves more than rounding, slice
by slice. Then, since methods that drop elements leave more, as planes (`masks`). What neither
explains is a model that is missing among the candidates, or some training afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lineage.records import Floats
from population.errors import CheckpointError
from population.models.canonical_form import with_equal_tensors
from population.models.checkpoints import Checkpoint
from population.tracing.fit import Fit, least_squares
from population.tracing.masks import EXPLAINED, MOST_PARENTS, Planes, fit_planes, sampled_elements
from population.tracing.parents import (
    COMPLETE,
    COMPLETE_BY_SLICES,
    LEAST_COEFFICIENT,
    STANDARD_ERRORS,
    WELL_KNOWN,
    Shares,
    mistaken_for,
    shares_of,
    standing_out,
)
from population.tracing.products import Products, TensorProducts, tensor_products
from population.tracing.results import Kind, Trace, TracedParent, TracedTensor

Chosen = npt.NDArray[np.bool_]
"""A subset of the candidates, shape (candidates,)."""

LOOKED_AT = 4
"""Tensors, the largest ones evenly over the depth of the model, in which dropped elements are
looked for."""


@dataclass(frozen=True)
class SparseParents:
    """Parents whose kept elements explain a merge.

    Attributes:
        rows: their indices among the candidates.
        planes: of some tensors, in which parents have the order of `rows`.
    """

    rows: tuple[int, ...]
    planes: tuple[Planes, ...]

    @property
    def explained(self) -> float:
        """The part of the elements that is explained."""
        return float(np.mean([each.explained for each in self.planes]))


def trace(
    merge: Checkpoint,
    candidates: Sequence[Checkpoint],
    base: int | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, label: None,
    threads: int = 1,
) -> Trace:
    """Find the parents of a checkpoint among candidates.

    Args:
        merge: the checkpoint.
        candidates: its possible parents, of its architecture.
        base: index of the model that the others were fine-tuned from; by default the candidate
            that is closest to all others.
        progress: called with (done, total, label); may raise to stop.
        threads: tensors at a time.

    Raises:
        CheckpointError: there are no candidates, or none of the merge's architecture.
    """
    if not candidates:
        raise CheckpointError("there is no model that could be a parent; name some")
    merge, *opened = with_equal_tensors([merge, *candidates])
    names = _common_tensors(merge, opened)
    read = tensor_products(
        merge, opened, 0, names, lambda done, total: progress(done, total, "tensors"), threads
    )
    distances = _distances(read.whole)
    first_equal = [int(np.flatnonzero(row == 0.0)[0]) for row in distances]
    different = sorted(set(first_equal))
    equal = {opened[n].name: opened[m].name for n, m in enumerate(first_equal) if n != m}
    if base is None:
        base = int(np.argmin(distances.sum(axis=1)))
    base = different.index(first_equal[base])
    opened = [opened[row] for row in different]
    tensors = read.only(different).from_reference(0, base)
    found = _explanation(merge, opened, base, tensors, progress)
    fit = least_squares(tensors.whole, base, found.among)
    shares = shares_of(least_squares(found.units, base, found.among))
    rows = [int(row) for row in np.argsort(-np.abs(shares.mean)) if found.parents[row]]
    base_part = float(shares.mean[base])
    if abs(base_part) < LEAST_COEFFICIENT + STANDARD_ERRORS * float(shares.error[base]):
        base_part = 0.0
    parts = [float(shares.mean[row]) for row in rows] + [base_part] * (base_part != 0.0)
    copied = found.kind == "sum" and len(parts) == 1 and abs(parts[0] - 1) < LEAST_COEFFICIENT
    return Trace(
        kind="copy" if copied else found.kind,
        base=opened[base].name,
        base_coefficient=base_part,
        parents=tuple(_parent(opened[row], row, shares, fit, found.sparse) for row in rows),
        excess=found.shares.excess,
        explained=found.sparse.explained if found.sparse else None,
        missing_coefficient=found.shares.missing if found.kind == "incomplete" else None,
        tensors=_tensors(names, fit, {row: opened[row].name for row in (*rows, base)}),
        skipped=tuple(sorted(merge.tensors.keys() - set(names))),
        candidates=tuple(each.name for each in opened),
        equal=equal,
    )


@dataclass(frozen=True)
class _Explanation:
    """What a merge is made of.

    Attributes:
        kind: of merge.
        parents: which candidates but the base took part, shape (candidates,).
        among: the candidates to fit it by, shape (candidates,). Where something is missing these
            are all, as those who are no parents take up some of what it is mistaken for.
        units: the elements that have coefficients of their own.
        shares: the coefficients of all candidates.
        sparse: the parents of which elements were dropped.
    """

    kind: Kind
    parents: Chosen
    among: Chosen
    units: Products
    shares: Shares
    sparse: SparseParents | None = None


def _explanation(
    merge: Checkpoint,
    candidates: Sequence[Checkpoint],
    base: int,
    tensors: TensorProducts,
    progress: Callable[[int, int, str], None],
) -> _Explanation:
    """The plainest of the explanations that leave no more than rounding."""
    whole, slices = tensors.whole, tensors.slices
    shares = shares_of(least_squares(whole, base))
    not_base = np.arange(len(candidates)) != base
    if shares.excess <= COMPLETE:
        parents = standing_out(shares) & not_base
        return _Explanation("sum", parents, parents, whole, shares)
    by_slice = shares_of(least_squares(slices, base))
    if by_slice.excess <= COMPLETE_BY_SLICES:
        parents = standing_out(by_slice) & not_base
        return _Explanation("sum by slices", parents, parents, slices, by_slice)
    names = tensors.names
    if sparse := _sparse_parents(merge, candidates, base, shares, names, progress):
        parents = np.isin(np.arange(len(candidates)), sparse.rows)
        return _Explanation("sparse", parents, parents, whole, shares, sparse)
    parents = standing_out(shares, mistaken_for(whole, base)) & not_base
    return _Explanation("incomplete", parents, np.ones_like(parents), whole, shares)


def _common_tensors(merge: Checkpoint, candidates: Sequence[Checkpoint]) -> list[str]:
    """Tensors of weights that all models have in the same shape."""
    names = [
        name
        for name, header in merge.tensors.items()
        if header.dtype.floating
        and header.parameters
        and all(
            name in each.tensors
            and each.tensors[name].shape == header.shape
            and each.tensors[name].dtype.floating
            for each in candidates
        )
    ]
    if not names:
        raise CheckpointError(
            f"{merge.name!r} has no tensor in common with all candidates; parents have the "
            "architecture of their merge"
        )
    return sorted(names)


def _distances(products: Products) -> Floats:
    """Distances between the weights of candidates, shape (candidates, candidates).

    Args:
        products: whose reference is the first candidate.
    """
    differences = products.gram.sum(axis=0)[:-1, :-1]
    differences[0], differences[:, 0] = 0.0, 0.0  # the reference does not differ from itself
    lengths = np.diag(differences)
    squares = lengths[:, None] + lengths[None, :] - 2.0 * differences
    # Of equal candidates nothing is left but what sums are rounded by.
    squares[squares <= 1e-12 * lengths.max(initial=0.0)] = 0.0
    return np.asarray(np.sqrt(squares))


def _sparse_parents(
    merge: Checkpoint,
    candidates: Sequence[Checkpoint],
    base: int,
    shares: Shares,
    names: Sequence[str],
    progress: Callable[[int, int, str], None],
) -> SparseParents | None:
    """The fewest parents whose kept elements explain nearly all of a merge; None if none do."""
    bar = np.maximum(LEAST_COEFFICIENT, STANDARD_ERRORS * shares.error)
    ranked = [int(row) for row in np.argsort(-shares.strength) if shares.strength[row] > bar[row]]
    ranked = [row for row in ranked if row != base][:MOST_PARENTS]
    largest = max(merge.tensors[name].parameters for name in names)
    large = [name for name in names if 4 * merge.tensors[name].parameters >= largest]
    large = large[:: -(-len(large) // LOOKED_AT)]
    for count in range(1, len(ranked) + 1):
        progress(count, len(ranked), "dropped elements")
        rows = tuple(ranked[:count])
        planes = tuple(
            fit_planes(
                sampled_elements(merge, candidates, base, rows, name), shares.mean[list(rows)]
            )
            for name in large
        )
        found = SparseParents(rows, planes)
        if found.explained >= EXPLAINED:
            return found
    return None


def _parent(
    candidate: Checkpoint, row: int, shares: Shares, fit: Fit, sparse: SparseParents | None
) -> TracedParent:
    known = fit.coefficients[fit.errors[:, row] < WELL_KNOWN, row]
    mean, kept, factor = float(shares.mean[row]), None, None
    if sparse:
        place = sparse.rows.index(row)
        kept = float(np.mean([each.kept[place] for each in sparse.planes]))
        factor = float(np.median([each.factors[place] for each in sparse.planes]))
    return TracedParent(
        name=candidate.name,
        path=candidate.reference,
        coefficient=mean,
        error=float(shares.error[row]),
        low=float(known.min(initial=mean)),
        high=float(known.max(initial=mean)),
        kept=kept,
        factor=factor,
    )


def _tensors(names: Sequence[str], fit: Fit, labels: dict[int, str]) -> tuple[TracedTensor, ...]:
    """The coefficients of each tensor, of the candidates with labels."""
    known = fit.errors < WELL_KNOWN

    def values(numbers: Floats, tensor: int) -> dict[str, float | None]:
        return {
            label: float(numbers[tensor, row]) if known[tensor, row] else None
            for row, label in labels.items()
        }

    return tuple(
        TracedTensor(
            name, values(fit.coefficients, tensor), values(fit.errors, tensor), float(excess)
        )
        for tensor, (name, excess) in enumerate(zip(names, fit.excess, strict=True))
    )
