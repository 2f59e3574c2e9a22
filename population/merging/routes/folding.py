"""Folding the scales of a route into the weights: how each tensor changes."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from population.errors import RecipeError
from population.merging.routes.path import Route
from population.models.architectures import Architecture, Norm


@dataclass(frozen=True)
class FoldedScale:
    """The change of a tensor: `scale * weights + shift`, to be applied in single precision or more.

    >>> FoldedScale(2.0, 1.0)(3.0)
    7.0

    Attributes:
        scale: factor.
        shift: summand.
    """

    scale: float = 1.0
    shift: float = 0.0

    def __call__(self, weights: Any) -> Any:
        """Change weights; no change gives back the very same."""
        return weights if self == IDENTITY else weights * self.scale + self.shift


IDENTITY = FoldedScale()
"""No change at all, not even a rounding."""


@dataclass(frozen=True)
class Change:
    """The change of the tensors whose name inside their layer matches a regular expression.

    Attributes:
        pattern: the regular expression.
        affine: the change.
        required: whether every layer must have such a tensor.
    """

    pattern: str
    affine: FoldedScale
    required: bool = True


@dataclass(frozen=True)
class LayerFold:
    """The changes in a layer of the routed model, or at its end.

    Attributes:
        stream: the residual stream as a multiple of the routed model's stream (`S_t`).
        changes: the changes of its tensors; all others stay as they are.
    """

    stream: float
    changes: tuple[Change, ...]

    def affine(self, suffix: str) -> FoldedScale:
        """The change of a tensor, by its name inside the layer (at the end: inside the model)."""
        for change in self.changes:
            if re.fullmatch(change.pattern, suffix):
                return change.affine
        return IDENTITY

    def missing(self, suffixes: Collection[str]) -> list[str]:
        """The patterns of the required changes that none of these tensors takes."""
        return [
            change.pattern
            for change in self.changes
            if change.required and not any(re.fullmatch(change.pattern, name) for name in suffixes)
        ]


@dataclass(frozen=True)
class Fold:
    """The changes of the weights that the scales of a route make.

    Attributes:
        layers: for each layer of the output.
        end: for the last norm.
    """

    layers: tuple[LayerFold, ...]
    end: LayerFold


def fold(route: Route, architecture: Architecture, config: Mapping[str, Any]) -> Fold:
    """Fold the scales of a route into the weights; `population.merging.routes` has the derivation.

    Args:
        route: the route.
        architecture: the architecture of all its models.
        config: the config of one of them.

    Raises:
        RecipeError: the architecture's layers cannot be moved, or scales (or negative scales) do
            not fold into its weights.
    """
    if reason := architecture.unroutable(architecture.settings(config)):
        raise RecipeError(f"the layers of this {architecture.name} cannot be moved: {reason}")
    streams = route.streams
    if not route.scaled:
        return Fold(tuple(LayerFold(1.0, ()) for _ in streams), LayerFold(1.0, ()))
    if architecture.unscalable is not None:
        raise RecipeError(
            f"{architecture.name} cannot take scales other than 1: {architecture.unscalable}"
        )
    norms = (*architecture.input_norms, architecture.final_norm)
    if min(streams) < 0 and any(norm is None or norm.kind == "bare" for norm in norms):
        raise RecipeError(
            f"{architecture.name} cannot take negative scales: its norms have no weights that "
            "could turn the sign"
        )
    layers = []
    for stream in streams:
        changes = [_negated(norm) for norm in architecture.input_norms] if stream < 0 else []
        if stream != 1:
            shrink = FoldedScale(1 / stream)
            changes += [Change(pattern, shrink) for pattern in architecture.writers]
            changes += [_divided(norm, stream) for norm in architecture.post_norms]
        layers.append(LayerFold(stream, tuple(changes)))
    final = architecture.final_norm
    turned = (_negated(final),) if final is not None and streams[-1] < 0 else ()
    return Fold(tuple(layers), LayerFold(streams[-1], turned))


def _negated(norm: Norm) -> Change:
    """Make a norm take -x for x: norm(-x) is -norm(x), and a bias comes after it."""
    turn = FoldedScale(-1.0, -2.0) if norm.kind == "rms1" else FoldedScale(-1.0)
    return Change(rf"{re.escape(norm.name)}\.weight", turn, required=not norm.optional)


def _divided(norm: Norm, stream: float) -> Change:
    """Divide what a norm gives, and so what a sub-layer that ends in it writes."""
    affine = (
        FoldedScale(1 / stream, 1 / stream - 1) if norm.kind == "rms1" else FoldedScale(1 / stream)
    )
    return Change(rf"{re.escape(norm.name)}\.(weight|bias)", affine, required=not norm.optional)
