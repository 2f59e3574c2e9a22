"""Weighted sums of models: linear, task arithmetic, passthrough."""

import numpy as np

from population.errors import RecipeError
from population.merging.methods.method import (
    INT8_MASK,
    LAMBDA,
    NORMALIZE,
    WEIGHT,
    Combination,
    Floats,
    Parameter,
    Settings,
    Subspace,
)


class Linear(Combination):
    """The weighted average: `sum w_i x_i / sum w_i` (model soups, arXiv 2203.05482)."""

    name = "linear"
    source = "arXiv 2203.05482"
    base = "ignored"
    parameters = (WEIGHT, Parameter("normalize", NORMALIZE.meaning, default=True))

    def combine(self, span: Subspace, settings: Settings) -> Floats:
        """Coordinates of the weighted average: shape [units, basis].

        Raises:
            RecipeError: the weights sum to 0 and are to be normalised.
        """
        weight = settings["weight"]
        total = weight.sum(axis=1)
        normal = settings["normalize"].astype(bool)
        if np.any(normal & (total == 0)):
            raise RecipeError("linear: the weights sum to 0 and cannot be normalized")
        weight = weight / np.where(normal, total, 1.0)[:, None]
        return weighted_sum(weight, span.models)


class TaskArithmetic(Combination):
    """The base plus weighted task vectors (arXiv 2212.04089, section 4)."""

    name = "task_arithmetic"
    source = "arXiv 2212.04089"
    parameters = (
        WEIGHT,
        NORMALIZE,
        LAMBDA,
        Parameter("density", "accepted and without effect", default=1.0, per_model=True),
        Parameter("rescale", "accepted and without effect", default=False),
        INT8_MASK,
    )

    def combine(self, span: Subspace, settings: Settings) -> Floats:
        """Coordinates of the base plus weighted task vectors: shape [units, basis]."""
        assert span.base is not None
        weight = settings["weight"]
        total = weight.sum(axis=1)
        divide = settings["normalize"].astype(bool) & (np.abs(total) >= 1e-8)
        weight = weight * (settings["lambda"] / np.where(divide, total, 1.0))[:, None]
        return span.base + weighted_sum(weight, span.offsets())


class Passthrough(Combination):
    """One model as it is, or scaled."""

    name = "passthrough"
    source = "no merge at all"
    base = "ignored"
    counts = (1, 1)
    parameters = (Parameter("scale", "factor on the weights", default=1.0, per_model=True),)

    def combine(self, span: Subspace, settings: Settings) -> Floats:
        """Coordinates of the scaled model: shape [units, basis]."""
        return weighted_sum(settings["scale"], span.models)


def weighted_sum(weight: Floats, vectors: Floats) -> Floats:
    """Weighted sum of models, unit by unit.

    >>> weighted_sum(np.array([[0.5, 2.0]]), np.array([[[1.0, 0.0]], [[0.0, 1.0]]])).tolist()
    [[0.5, 2.0]]

    Args:
        weight: shape [units, models].
        vectors: shape [models, units, basis].

    Returns:
        Shape [units, basis].
    """
    total: Floats = np.einsum("um,mub->ub", weight, vectors)
    return total
