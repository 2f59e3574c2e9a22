"""Where the tensors of a routed model come from, by their names."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from population.errors import RecipeError
from population.merging.routes.folding import IDENTITY, FoldedScale, LayerFold, fold
from population.merging.routes.path import Route
from population.models.architectures import Architecture, place_of

TensorSource = tuple[int, str, FoldedScale]
"""Where a tensor comes from: the model's number, the tensor's name there, and its change."""


def sources_of(
    route: Route,
    architecture: Architecture,
    config: Mapping[str, Any],
    names_per_model: Sequence[Collection[str]],
    outside: int = 0,
) -> dict[str, TensorSource]:
    """Where each tensor of the routed model comes from.

    Args:
        route: the route.
        architecture: the architecture of all its models.
        config: the config of one of them.
        names_per_model: the names of each source model's tensors.
        outside: the model that gives what belongs to no layer.

    Returns:
        By the name of the output tensor: model, tensor, change. Named as in model `outside`.

    Raises:
        RecipeError: see `fold`; a layer does not exist; or a tensor that has to take a scale is not
            there, so that the scale would be lost.
    """
    folded = fold(route, architecture, config)
    for model in (outside, *(step.model for step in route.steps)):
        if not 0 <= model < len(names_per_model):
            raise RecipeError(f"there is no model {model}, only {len(names_per_model)} models")
    layers: dict[int, _Layers] = {}
    for model in {outside} | {step.model for step in route.steps}:
        layers[model] = _Layers.of(architecture, names_per_model[model], model)

    sources: dict[str, TensorSource] = {}
    start = layers[outside].start
    for number, (step, change) in enumerate(zip(route.steps, folded.layers, strict=True)):
        tensors = layers[step.model].tensors.get(step.layer)
        if tensors is None:
            raise RecipeError(f"step {number}: model {step.model} has no layer {step.layer}")
        if missing := change.missing(tensors):
            raise RecipeError(
                f"step {number}: layer {step.layer} of model {step.model} has no tensor like "
                f"{missing[0]}, which has to take the scale"
            )
        for suffix, name in tensors.items():
            sources[f"{start}.{number}.{suffix}"] = (step.model, name, change.affine(suffix))
    names, base = names_per_model[outside], layers[outside].base
    changes, lacking = _outside(architecture, names, base, folded.end)
    if lacking:
        raise RecipeError(
            f"model {outside} has no tensor like {lacking[0]}, which has to take the sign"
        )
    return sources | {name: (outside, name, change) for name, change in changes.items()}


@dataclass(frozen=True)
class _Layers:
    """A model's tensors by layer and suffix, and what its names start with."""

    base: str
    start: str
    tensors: Mapping[int, Mapping[str, str]]

    @classmethod
    def of(cls, architecture: Architecture, names: Collection[str], model: int) -> "_Layers":
        starts: dict[str, str] = {}
        tensors: dict[int, dict[str, str]] = {}
        for name in names:
            if place := place_of(architecture, name):
                starts[place.base + place.stack] = place.base
                tensors.setdefault(place.layer, {})[place.suffix] = name
        if len(starts) != 1:
            stacks = " and ".join(sorted(starts)) or "none"
            raise RecipeError(f"model {model}: expected one stack of layers, found {stacks}")
        start, base = starts.popitem()
        return cls(base, start, tensors)


def _outside(
    architecture: Architecture, names: Collection[str], base: str, end: LayerFold
) -> tuple[dict[str, FoldedScale], list[str]]:
    """The change of each tensor that belongs to no layer; what should take a change and is missing.

    Only the last norm is changed: it takes the sign of the stream.
    """
    final = architecture.final_norm
    changes: dict[str, FoldedScale] = {}
    ends: list[str] = []
    for name in names:
        if place_of(architecture, name) is not None:
            continue
        suffix = name.removeprefix(base)
        norm = final is not None and suffix in (f"{final.name}.weight", f"{final.name}.bias")
        changes[name] = end.affine(suffix) if norm else IDENTITY
        ends += [suffix] if norm else []
    return changes, end.missing(ends)
