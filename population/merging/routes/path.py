"""Paths through the layers of models, with a scale at each step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lineage.records import Floats
from population.errors import RecipeError


@dataclass(frozen=True)
class RouteStep:
    """One step of a route.

    Attributes:
        model: index of the source model.
        layer: index of its layer.
        scale: factor on the residual stream before it enters the layer.
    """

    model: int
    layer: int
    scale: float = 1.0


@dataclass(frozen=True)
class Route:
    """A path through the layers of one or more models.

    >>> Route((RouteStep(0, 0), RouteStep(1, 0, 0.5), RouteStep(0, 1, 2.0))).streams
    (1.0, 0.5, 1.0)

    Raises:
        RecipeError: it has no step, a negative index, or scales that weights cannot hold.
    """

    steps: tuple[RouteStep, ...]

    def __post_init__(self) -> None:
        if not self.steps:
            raise RecipeError("a route needs one step at least")
        stream = 1.0
        for number, step in enumerate(self.steps):
            if step.model < 0 or step.layer < 0:
                raise RecipeError(
                    f"step {number}: models and layers are numbered from 0, got model "
                    f"{step.model}, layer {step.layer}"
                )
            if not math.isfinite(step.scale) or step.scale == 0:
                raise RecipeError(
                    f"step {number}: expected a finite scale other than 0, got {step.scale}"
                )
            stream *= step.scale
            # A float32 weight has to hold the quotient.
            if not 1e-30 < abs(stream) < 1e30:
                raise RecipeError(
                    f"step {number}: the scales up to here multiply to {stream}, which weights "
                    "cannot hold; keep scales nearer to 1"
                )

    @property
    def streams(self) -> tuple[float, ...]:
        """For each step the product of the scales so far."""
        return tuple(np.cumprod([step.scale for step in self.steps]).tolist())

    @property
    def scaled(self) -> bool:
        """Whether any scale differs from 1."""
        return any(step.scale != 1 for step in self.steps)

    def check_layers(self, layers: Sequence[int]) -> None:
        """Make sure that every step exists.

        Args:
            layers: the number of layers of each model.

        Raises:
            RecipeError: names the first step whose model or layer does not exist.
        """
        for number, step in enumerate(self.steps):
            if step.model >= len(layers):
                raise RecipeError(
                    f"step {number}: there is no model {step.model}, only {len(layers)} models"
                )
            if step.layer >= layers[step.model]:
                raise RecipeError(
                    f"step {number}: model {step.model} has {layers[step.model]} layers and no "
                    f"layer {step.layer}"
                )


def from_indicators(
    indicators: Sequence[int],
    layers: Sequence[int],
    repeats: int = 1,
    *,
    scales: Sequence[float] | None = None,
    matrix: Sequence[Sequence[float]] | Floats | None = None,
) -> Route:
    """A route in the form that the paper searches.

    All layers of all models stand in a row, model after model, and the row is repeated; of these
    slots the route takes those whose indicator is 1.

    Args:
        indicators: 0 or 1 for each slot, `sum(layers) * repeats` of them.
        layers: the number of layers of each model.
        repeats: how often the row is repeated.
        scales: a scale for each slot (those of slots left out do not matter), or for each slot
            that is taken.
        matrix: instead of `scales`, the paper's W: `matrix[i][j]` scales what layer j gets from
            layer i, both numbered along the row. The first layer gets the embeddings as they are.

    Raises:
        RecipeError: the lengths do not fit, an indicator is neither 0 nor 1, or the route is none.
    """
    row = [(model, layer) for model, count in enumerate(layers) for layer in range(count)]
    if len(indicators) != len(row) * repeats:
        raise RecipeError(
            f"expected {len(row) * repeats} indicators, {repeats} times {len(row)} layers, "
            f"got {len(indicators)}"
        )
    if wrong := [value for value in indicators if value not in (0, 1)]:
        raise RecipeError(f"expected indicators of 0 or 1, got {wrong[0]}")
    slots = [slot for slot, taken in enumerate(indicators) if taken]
    path = [slot % len(row) for slot in slots]
    if scales is not None and matrix is not None:
        raise RecipeError("give a route scales or a matrix of scales, not both")
    factors = [1.0] * len(slots)
    if scales is not None:
        if len(scales) not in (len(indicators), len(slots)):
            raise RecipeError(
                f"expected a scale for each of {len(indicators)} slots or of {len(slots)} steps, "
                f"got {len(scales)}"
            )
        per_slot = len(scales) == len(indicators)
        factors = [float(scales[slot if per_slot else step]) for step, slot in enumerate(slots)]
    if matrix is not None:
        weights = np.asarray(matrix, dtype=float)
        if weights.shape != (len(row), len(row)):
            raise RecipeError(
                f"expected a matrix of {len(row)} x {len(row)} scales, got {weights.shape}"
            )
        factors[1:] = [float(weights[i, j]) for i, j in pairwise(path)]
    steps = (
        RouteStep(*row[position], factor) for position, factor in zip(path, factors, strict=True)
    )
    return Route(tuple(steps))
