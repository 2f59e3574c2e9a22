"""Interpolation on the sphere: slerp, nuslerp, multislerp, the Karcher mean.

All of these are weighted sums whose weights depend on the angles between the models, so they work
on coordinates (see `population.merging.methods.method.Subspace`) and cost one pass for the Gram
matrix.
"""

import numpy as np
import numpy.typing as npt

from population.arc import arc_coefficients
from population.errors import RecipeError
from population.merging.methods.linear import weighted_sum
from population.merging.methods.method import (
    WEIGHT,
    Axis,
    Combination,
    Floats,
    Parameter,
    Settings,
    Subspace,
)

PARALLEL_COSINE = 0.9995
"""Above this cosine SLERP becomes linear interpolation (mergekit's threshold)."""

STRAIGHT_SQUARED_SINE = 5e-8
"""Up to this squared sine NuSLERP becomes linear; mergekit has 1e-16, but computes in fp32."""


class Slerp(Combination):
    """From the base (t = 0) to the other model (t = 1) along the great circle (Shoemake 1985)."""

    name = "slerp"
    source = "Shoemake 1985"
    counts = (1, 1)
    parameters = (Parameter("t", "0 is the base, 1 the other model"),)
    needs_gram = True

    def combine(self, span: Subspace, settings: Settings) -> Floats:
        """Coordinates of the merged model: shape [units, basis]."""
        assert span.base is not None
        near, far, t = span.base, span.models[0], settings["t"]
        lengths = _or_one(span.norm(near), 1e-8) * _or_one(span.norm(far), 1e-8)
        cosine = np.clip(span.dot(near, far) / lengths, -1.0, 1.0)
        straight = np.abs(cosine) > PARALLEL_COSINE
        return _interpolated(near, far, t, cosine, straight)


class NuSlerp(Combination):
    """SLERP between two models, of the tensors or of their rows or columns, or of task vectors.

    As in mergekit's `nuslerp`.
    """

    name = "nuslerp"
    source = "mergekit"
    base = "optional"
    counts = (2, 2)
    parameters = (
        WEIGHT,
        Parameter("nuslerp_flatten", "the tensor as one vector", default=True),
        Parameter("nuslerp_row_wise", "if not flattened, along the first dimension", default=False),
    )
    needs_gram = True

    def axis(self, settings: Settings) -> Axis:
        """The tensor if flattened, else each column or row."""
        if settings.one("nuslerp_flatten"):
            return "tensor"
        return "columns" if settings.one("nuslerp_row_wise") else "rows"

    def combine(self, span: Subspace, settings: Settings) -> Floats:
        """Coordinates of the merged model: shape [units, basis]."""
        weight = settings["weight"]
        total = weight.sum(axis=1)
        t = np.where(np.abs(total) < 1e-6, 0.5, weight[:, 1] / np.where(total == 0, 1.0, total))
        one, other = span.offsets()
        lengths = np.maximum(span.norm(one), 1e-7) * np.maximum(span.norm(other), 1e-7)
        cosine = np.clip(span.dot(one, other) / lengths, -1.0, 1.0)
        straight = 1 - cosine**2 <= STRAIGHT_SQUARED_SINE
        merged = _interpolated(one, other, t, cosine, straight)
        return merged if span.base is None else merged + span.base


class MultiSlerp(Combination):
    """Barycentric interpolation in the tangent space at the models' weighted mean direction.

    As in mergekit's `multislerp`.
    """

    name = "multislerp"
    source = "goddard.blog, multislerp"
    base = "optional"
    parameters = (
        WEIGHT,
        Parameter("normalize_weights", "divide the weights by their sum", default=True),
        Parameter("eps", "guards divisions", default=1e-8, low=0),
    )
    needs_gram = True

    def combine(self, span: Subspace, settings: Settings) -> Floats:
        """Coordinates of the merged model: shape [units, basis].

        Raises:
            RecipeError: the weights sum to 0, or the weighted directions cancel out.
        """
        models, weight, eps = span.offsets(), settings["weight"], settings["eps"]
        if len(models) == 1:
            return np.asarray(span.models[0])
        total = weight.sum(axis=1)
        normal = settings["normalize_weights"].astype(bool)
        if np.any(normal & (total == 0)):
            raise RecipeError("multislerp: the weights sum to 0 and cannot be normalized")
        weight = weight / np.where(normal, total, 1.0)[:, None]
        norms = np.array([span.norm(model) for model in models])
        directions = models / (norms + eps)[:, :, None]
        mean = weighted_sum(weight, directions)
        length = span.norm(mean)
        opposed = length < eps
        moved = (norms > 0).any(axis=0)
        if np.any(opposed & moved) and len(models) != 2:
            raise RecipeError(
                "multislerp: the weighted directions cancel out, so they have no mean direction; "
                "use other weights"
            )
        mean = mean / _or_one(length, 0.0)[:, None]
        tangents = directions - np.array([span.dot(d, mean) for d in directions])[:, :, None] * mean
        tangent = weighted_sum(weight, tangents)
        angle = span.norm(tangent) + eps
        merged = mean * np.cos(angle)[:, None] + tangent * (np.sin(angle) / angle)[:, None]
        merged = merged * (norms.T * weight).sum(axis=1)[:, None]
        merged = np.where(opposed[:, None], weighted_sum(weight, models), merged)
        return merged if span.base is None else merged + span.base


class Karcher(Combination):
    """The Riemannian centre of the models' directions, by fixed-point iteration (equal weights)."""

    name = "karcher"
    source = "arXiv 2603.04972"
    base = "ignored"
    parameters = (
        Parameter("max_iter", "iterations at most", default=10, low=0),
        Parameter("tol", "an angle that counts as none", default=1e-5, low=0),
    )
    needs_gram = True

    def combine(self, span: Subspace, settings: Settings) -> Floats:
        """Coordinates of the merged model: shape [units, basis]."""
        models, tol = span.models, settings["tol"]
        if len(models) == 1:
            return np.asarray(models[0])
        norms = np.array([span.norm(model) for model in models])
        nonzero = norms > tol
        weight = (nonzero / np.maximum(nonzero.sum(axis=0), 1)).T
        directions = np.where(
            nonzero[:, :, None], models / np.where(norms > 0, norms, 1.0)[:, :, None], 0.0
        )
        mean = weighted_sum(weight, directions)
        length = span.norm(mean)
        first = directions[np.argmax(nonzero, axis=0), np.arange(nonzero.shape[1])]
        mean = np.where((length < tol)[:, None], first, mean / _or_one(length, 0.0)[:, None])
        moving = nonzero.any(axis=0)
        for _ in range(int(settings["max_iter"].max())):
            tangent = np.zeros_like(mean)
            for model, direction in enumerate(directions):
                cosine = np.clip(span.dot(mean, direction), -1.0, 1.0)
                angle = np.arccos(cosine)
                far = nonzero[model] & (angle >= tol)
                pull = weight[:, model] * angle / np.where(far, np.sin(angle), 1.0)
                step = (direction - cosine[:, None] * mean) * pull[:, None]
                tangent += np.where(far[:, None], step, 0.0)
            length = span.norm(tangent)
            moving &= length >= tol
            if not moving.any():
                break
            moved = np.cos(length)[:, None] * mean + np.sin(length)[:, None] * (
                tangent / _or_one(length, 0.0)[:, None]
            )
            moved /= _or_one(span.norm(moved), 0.0)[:, None]
            mean = np.where(moving[:, None], moved, mean)
        return np.asarray(mean * norms.mean(axis=0)[:, None])


def _interpolated(
    near: Floats,
    far: Floats,
    t: Floats,
    cosine: Floats,
    straight: npt.NDArray[np.bool_],
) -> Floats:
    """SLERP of [units, basis] by cosine and t of shape [units] (Shoemake 1985)."""
    angle = np.arccos(np.where(straight, 0.0, cosine))
    first, second = arc_coefficients(angle, t, straight)
    return first[:, None] * near + second[:, None] * far


def _or_one(length: Floats, least: float) -> Floats:
    return np.where(length > least, length, 1.0)
