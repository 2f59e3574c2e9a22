"""Merges in which every element is a sum of some of the parents: TIES, DARE and their kin.

These methods drop elements of task vectors, by magnitude, by sign or by chance, and rescale what is
left: DARE (arXiv 2311.03099, section 3.2) adds what is kept, TIES (arXiv 2306.01708, section 3)
takes its mean. So every element of the merge lies on one of a few planes, one for each set of
parents whose element was kept: with two parents, those of none, the one, the other, and both. The
planes are found by assigning elements to the nearest one and fitting to that, in turns (Lloyd's
algorithm, with planes in the place of means). If they explain nearly all elements to within one
rounding, nothing is missing, however large the residual of one sum for all elements is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lineage.records import Floats
from population.models.checkpoints import Checkpoint
from population.tracing.products import (
    chunks,
    rounding_variance,
    row_slices,
    stored_dtype,
)

Sets = npt.NDArray[np.bool_]
"""Whose elements were kept, shape (planes or elements, parents)."""

MOST_PARENTS = 5
"""There are 2^parents planes."""

SAMPLED = 1 << 12
"""Elements of a tensor that are looked at."""

TELLING = (4.0, 100.0)
"""Rounding steps that a parent's difference from the base has in elements that are looked at.
Below, it tells nothing; beyond, a few elements of tiny weights would outweigh all others."""

ROUNDS = 12
"""Assignments to planes and fits of planes, in turns."""

KEPT = tuple(float(part) for part in np.geomspace(1.2, 0.1, 22))
"""Parts of the elements that may have been kept; more than all, where signs were elected."""

SCREENED, PROMISING = 1024, 4
"""Elements on which guesses are compared, and how many are followed up."""

EXPLAINED = 0.95
"""The part of the elements that planes explain where there is nothing else in a merge."""

STEPS_OFF = 0.75
"""An element is explained by a plane that it is so many rounding steps away from, at most."""


@dataclass(frozen=True)
class Elements:
    """Sampled elements of a tensor.

    Attributes:
        differences: of the parents from the base, shape (parents, elements).
        change: of the merge from the base, shape (elements,).
        step: between neighbouring numbers of the merge's dtype, shape (elements,).
    """

    differences: Floats
    change: Floats
    step: Floats


@dataclass(frozen=True)
class Planes:
    """What the elements of a tensor are made of.

    Attributes:
        explained: the part of the elements that lie on a plane.
        kept: the part of each parent's elements that were kept, shape (parents,).
        factors: what a kept element of each parent counts where no other is kept, shape (parents,).
    """

    explained: float
    kept: Floats
    factors: Floats


def sampled_elements(
    merge: Checkpoint,
    candidates: Sequence[Checkpoint],
    base: int,
    parents: Sequence[int],
    name: str,
) -> Elements:
    """Elements of a tensor in which all parents differ from the base, evenly spaced over its rows.

    Args:
        merge: the merge.
        candidates: its possible parents.
        base: index of the base among them.
        parents: indices of those that took part.
        name: of the tensor.
    """
    dtype, slices = stored_dtype(merge, name), row_slices(merge, name)
    each = -(-SAMPLED // len(slices))
    found = []
    for rows in slices:
        vectors, own = next(chunks(merge, candidates, base, name, rows))
        step = np.sqrt(12.0 * rounding_variance(own, dtype))
        differences, change = vectors[list(parents)], vectors[-1]
        sizes = np.abs(differences)
        telling = (sizes > TELLING[0] * step) & (sizes < TELLING[1] * step)
        chosen = np.flatnonzero(telling.all(axis=0))[:each]
        found.append((differences[:, chosen], change[chosen], step[chosen]))
    return Elements(
        np.concatenate([part[0] for part in found], axis=1),
        np.concatenate([part[1] for part in found]),
        np.concatenate([part[2] for part in found]),
    )


def fit_planes(elements: Elements, coefficients: Floats) -> Planes:
    """The planes on which most of the elements lie, over several guesses at what was kept.

    Args:
        elements: of one tensor.
        coefficients: of the parents in one sum for all elements, shape (parents,).
    """
    parents, scale = len(elements.differences), 1.0 / elements.step
    differences, change = elements.differences * scale, elements.change * scale
    sets = (np.arange(2**parents)[:, None] >> np.arange(parents) & 1).astype(bool)
    few = slice(0, SCREENED)

    def explained_by(guess: _Structure) -> float:
        return _lloyd(guess, differences[:, few], change[few], sets, 1)[1]

    promising = sorted(_guesses(coefficients), key=explained_by)[-PROMISING:]
    fitted = [_lloyd(guess, differences, change, sets, ROUNDS) for guess in promising]
    best, explained, nearest = max(fitted, key=lambda each: each[1])
    return Planes(
        explained, sets[nearest].mean(axis=0), best.planes(np.eye(parents, dtype=bool)).diagonal()
    )


def _guesses(coefficients: Floats) -> list[_Structure]:
    """What planes may be, from the coefficients of one sum for all elements.

    Sign election drops more of those with small weights, so their factors may be closer together,
    and the weights of a mean further apart, than coefficients are.
    """
    largest = float(np.abs(coefficients).max())
    parts = coefficients / largest
    bent = [np.sign(parts) * np.abs(parts) ** power for power in (1.0, 0.85, 0.7)]
    guesses: list[_Structure] = [_Sum(part * largest / kept) for part in bent for kept in KEPT]
    if (coefficients > 0).all():  # as the weights of a mean are
        guesses += [_Mean(parts**power, 1.0) for power in (0.0, 1.0, 1.5, 2.0)]
    return guesses


class _Structure(Protocol):
    """How the coefficients of a plane follow from the parents that were kept."""

    def planes(self, sets: Sets) -> Floats:
        """Coefficients of the parents, shape (planes, parents)."""
        ...

    def fitted(self, kept: Sets, differences: Floats, change: Floats) -> _Structure:
        """The same structure, fitted to elements of which it is known what was kept.

        Args:
            kept: shape (elements, parents).
            differences: shape (parents, elements).
            change: shape (elements,).
        """
        ...


@dataclass(frozen=True)
class _Sum:
    """What was kept is added up, as in DARE: each parent has one factor, shape (parents,)."""

    factors: Floats

    def planes(self, sets: Sets) -> Floats:
        return sets * self.factors

    def fitted(self, kept: Sets, differences: Floats, change: Floats) -> _Sum:
        return _Sum(np.asarray(np.linalg.lstsq(kept * differences.T, change, rcond=None)[0], float))


@dataclass(frozen=True)
class _Mean:
    """The mean of what was kept, by weights of shape (parents,), times a scale, as in TIES."""

    weights: Floats
    scale: float

    def planes(self, sets: Sets) -> Floats:
        weights = sets * self.weights
        return np.asarray(
            self.scale * weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
        )

    def fitted(self, kept: Sets, differences: Floats, change: Floats) -> _Mean:
        total = np.maximum(kept @ self.weights, 1e-9)
        means = (kept * differences.T) @ self.weights / total
        scale = float(means @ change / max(float(means @ means), 1e-9))
        # change * sum(weights kept) = scale * sum(weights * differences kept) is linear in weights.
        rows = kept * (change[:, None] - scale * differences.T) / total[:, None]
        weights = np.linalg.eigh(rows.T @ rows)[1][:, 0]
        weights = np.abs(weights / weights.sum()) if weights.sum() else self.weights
        return _Mean(weights, scale)


def _lloyd(
    structure: _Structure, differences: Floats, change: Floats, sets: Sets, rounds: int
) -> tuple[_Structure, float, npt.NDArray[np.int64]]:
    """Assign elements to planes and fit the structure to them, in turns.

    Args:
        structure: the first guess.
        differences: in rounding steps, shape (parents, elements).
        change: in rounding steps, shape (elements,).
        sets: which parents are in each plane, shape (planes, parents).
        rounds: how often.

    Returns:
        The structure, the part of the elements that it explains, and the plane of each element.
    """
    for turn in range(rounds + 1):
        distances = np.abs(change - structure.planes(sets) @ differences)
        # Of planes that explain an element equally well, the one of the fewest parents.
        ranked = np.maximum(distances, STEPS_OFF) + 1e-6 * sets.sum(axis=1, keepdims=True)
        nearest = ranked.argmin(axis=0)
        off = distances[nearest, np.arange(change.size)]
        if turn == rounds or not change.size:
            break
        # Elements far from every plane would pull all of them.
        near = (off <= np.maximum(np.quantile(off, 0.7), STEPS_OFF)) & (nearest > 0)
        if near.sum() > 4 * sets.shape[1]:
            structure = structure.fitted(sets[nearest[near]], differences[:, near], change[near])
    explained = float((off < STEPS_OFF).mean()) if change.size else 0.0
    return structure, explained, nearest
