"""Which candidates are parents, judged by what a model that is missing would be mistaken for.

Fine-tunes of one base resemble each other. So where a parent is missing, some of what it brought is
credited to candidates that had no part in the merge. How much can be known: each candidate,
explained by the others, shows what such mistakes look like here. A candidate is a parent if its
coefficient stands out of them, and of the standard error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lineage.records import Floats
from population.tracing.fit import Fit, excess_of, least_squares
from population.tracing.products import Products

LEAST_COEFFICIENT = 0.01
"""A root mean square below it is no part of a merge that anybody would have asked for."""

STANDARD_ERRORS = 5.0
"""A coefficient stands out if it is as many of its standard errors."""

MISTAKES, STEADY_MISTAKES = 3.0, 1.5
"""A coefficient stands out if it is as many times what a missing model is mistaken for. Mistakes
differ from tensor to tensor, so one that is steady may be smaller."""

STEADY = 0.14
"""A coefficient is steady if its standard deviation over tensors is this part of its mean."""

COMPLETE = 2.0
"""A squared residual of so many roundings is still rounding, as of a sum in half precision."""

COMPLETE_BY_SLICES = 1.3
"""The same where slices have coefficients of their own, which explain a little of anything."""

WELL_KNOWN = 0.05
"""A standard error above it leaves a coefficient unknown."""


@dataclass(frozen=True)
class Shares:
    """Coefficients over all tensors.

    Attributes:
        mean: weighted by what each candidate has of its own in a tensor, shape (candidates,).
        strength: the same of their squares, and the root of it, shape (candidates,).
        error: the standard error of the mean, shape (candidates,).
        missing: the coefficient that a typical model which is not among the candidates would have
            to have to leave these residuals.
        excess: the residual of all tensors as a multiple of what rounding leaves.
    """

    mean: Floats
    strength: Floats
    error: Floats
    missing: float
    excess: float


def shares_of(fit: Fit) -> Shares:
    """Put the fits of all units together."""
    total = fit.own.sum(axis=0)
    weights = fit.own / np.where(total > 0, total, 1.0)
    mean = (weights * fit.coefficients).sum(axis=0)
    strength = np.sqrt((weights * np.square(fit.coefficients)).sum(axis=0))
    with np.errstate(divide="ignore"):
        error = 1.0 / np.sqrt((1.0 / np.square(fit.errors)).sum(axis=0))
    residual, rounding = fit.residual.sum(), fit.rounding.sum()
    typical = float(np.median(total[total > 0])) if (total > 0).any() else np.inf
    missing = float(np.sqrt(max(0.0, residual - rounding) / typical))
    return Shares(mean, strength, error, missing, float(excess_of(residual, rounding)))


def mistaken_for(products: Products, reference: int) -> Floats:
    """How much of a model would be credited to each candidate if that model were missing.

    Each candidate but the reference is taken away in turn and explained by the others.

    Args:
        products: of all tensors.
        reference: index of the candidate that the others were compared with.

    Returns:
        The root mean square coefficient of each candidate, shape (candidates,).
    """
    count = products.gram.shape[-1] - 1
    squares, turns = np.zeros(count), np.zeros(count)
    for missing in range(count):
        if missing != reference:
            among = np.arange(count) != missing
            fit = least_squares(products.with_merge(missing), reference, among)
            squares += np.square(shares_of(fit).strength) * among
            turns += among
    return np.asarray(np.sqrt(squares / np.maximum(turns, 1)))


def standing_out(shares: Shares, mistakes: Floats | None = None) -> npt.NDArray[np.bool_]:
    """Which candidates are parents, shape (candidates,).

    Args:
        shares: their coefficients over all tensors.
        mistakes: see `mistaken_for`; None where nothing is missing.
    """
    bar = np.maximum(LEAST_COEFFICIENT, STANDARD_ERRORS * shares.error)
    if mistakes is not None:
        spread = np.sqrt(np.maximum(np.square(shares.strength) - np.square(shares.mean), 0.0))
        steady = spread < STEADY * np.abs(shares.mean)
        factor = np.where(steady, STEADY_MISTAKES, MISTAKES)
        bar = np.maximum(bar, factor * shares.missing * mistakes)
    out: npt.NDArray[np.bool_] = shares.strength > bar
    return out
