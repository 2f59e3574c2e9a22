"""Least squares: the coefficients with which a merge is a sum of its candidates.

A merge of models is, tensor by tensor, one weighted sum of them (linear merges, task arithmetic,
soups, and merges of such merges). The weights that come closest follow from inner products alone.
What no sum explains is the residual: of the size of one rounding, if all parents are there.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lineage.records import Floats
from population.tracing.products import Products

UNTOLD = 1e-6
"""The part of a candidate in directions that cannot be told, from which on it is unknown."""

SINGULAR = 1e-9
"""Directions in which candidates differ by less than this, beside others, cannot be told apart."""


@dataclass(frozen=True)
class Fit:
    """Coefficients of candidates, for each unit.

    Attributes:
        coefficients: shape (units, candidates); in a merge that keeps the scale of weights, those
            of a unit sum to 1.
        errors: their standard errors, shape (units, candidates); infinite where the candidates'
            weights do not tell, as where two of them are equal.
        own: the squared norm of what each candidate has and no sum of the others, shape (units,
            candidates).
        residual: squared, summed: what the candidates do not explain, shape (units,).
        rounding: squared, summed: what rounding once would leave, shape (units,).
    """

    coefficients: Floats
    errors: Floats
    own: Floats
    residual: Floats
    rounding: Floats

    @property
    def excess(self) -> Floats:
        """The residual as a multiple of what rounding leaves, shape (units,).

        About 1 where nothing is missing.
        """
        return excess_of(self.residual, self.rounding)


def excess_of(residual: Floats, rounding: Floats) -> Floats:
    """A residual as a multiple of what rounding leaves, any shape; infinite if that is nothing.

    >>> excess_of(np.array([3.0, 0.0]), np.array([2.0, 0.0]))
    array([1.5, 0. ])
    """
    few = np.where(residual > 0, np.inf, 0.0)
    return np.asarray(np.divide(residual, rounding, out=few, where=rounding > 0))


def least_squares(
    products: Products, reference: int, among: npt.NDArray[np.bool_] | None = None
) -> Fit:
    """Fit a merge by a weighted sum of candidates, unit by unit.

    Args:
        products: of the merge and all candidates.
        reference: index of the candidate that the others were compared with.
        among: which candidates may take part, shape (candidates,); all by default. Those that may
            not have a coefficient of 0. The reference always takes part.
    """
    units, count = len(products.gram), products.gram.shape[-1] - 1
    use = np.ones(count, bool) if among is None else among.copy()
    use[reference] = True
    rows = np.flatnonzero(use)
    own_row = int(np.flatnonzero(rows == reference)[0])
    inner, target = products.gram[:, rows][:, :, rows], products.gram[:, rows, -1]

    lengths = np.sqrt(np.maximum(np.diagonal(inner, axis1=1, axis2=2), 0.0))
    scale = np.where(lengths > 0, lengths, 1.0)
    values, vectors = np.linalg.eigh(inner / (scale[:, :, None] * scale[:, None, :]))
    told = values > SINGULAR
    weights = np.divide(1.0, values, out=np.zeros_like(values), where=told)
    inverse = (vectors * weights[:, None, :]) @ vectors.swapaxes(1, 2)
    inverse /= scale[:, :, None] * scale[:, None, :]
    solution = np.einsum("uij,uj->ui", inverse, target)
    explained = 2.0 * target - np.einsum("uij,uj->ui", inner, solution)
    residual = products.gram[:, -1, -1] - np.einsum("ui,ui->u", solution, explained)
    residual = np.maximum(residual, 0.0)

    # The reference has what the others leave: its own regressor is the scale of all weights.
    signs = np.where(rows == reference, 1.0, -1.0)
    spread = np.diagonal(inverse, axis1=1, axis2=2).copy()
    spread[:, own_row] = np.einsum("i,uij,j->u", signs, inverse, signs)
    # What has a part in a direction that cannot be told is itself unknown.
    untold = np.square(vectors * ~told[:, None, :]).sum(axis=2) > UNTOLD
    untold[:, own_row] = untold.any(axis=1)
    # Not less than rounding leaves, which a fit of few elements may come below by chance.
    degrees = np.maximum(1.0, products.elements - len(rows))
    variance = np.maximum(residual, products.rounding) / degrees

    coefficients, own = np.zeros((2, units, count))
    errors = np.zeros((units, count))
    coefficients[:, rows] = solution
    coefficients[:, reference] = 1.0 + solution @ signs
    errors[:, rows] = np.where(untold, np.inf, np.sqrt(np.maximum(spread, 0.0) * variance[:, None]))
    own[:, rows] = np.divide(1.0, spread, out=np.zeros_like(spread), where=~untold & (spread > 0))
    return Fit(coefficients, errors, own, residual, products.rounding)
