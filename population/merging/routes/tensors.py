"""Where the tensors of a routed model come from, by their names."""

import re
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
    outside_head: int | None = None,
) -> dict[str, TensorSource]:
    """Where each tensor of the routed model comes from.

    Args:
        route: the route.
        architecture: the architecture of all its models.
        config: the config of one of them.
        names_per_model: the names of each source model's tensors.
        outside: the model that gives what belongs to no layer.
        outside_head: the model that gives the last norm and the head, if another one. The head of a
            model that ties it to its embeddings is those embeddings.

    Returns:
        By the name of the output tensor: model, tensor, change. Named as in model `outside`.

    Raises:
        RecipeError: see `fold`; a layer does not exist; or a tensor that has to take a scale is not
            there, so that the scale would be lost.
    """
    folded = fold(route, architecture, config)
    head = outside if outside_head is None else outside_head
    for model in (outside, head, *(step.model for step in route.steps)):
        if not 0 <= model < len(names_per_model):
            raise RecipeError(f"there is no model {model}, only {len(names_per_model)} models")
    layers: dict[int, _Layers] = {}
    for model in {outside, head} | {step.model for step in route.steps}:
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
    return sources | _outside(architecture, names_per_model, layers, (outside, head), folded.end)


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
    architecture: Architecture,
    names_per_model: Sequence[Collection[str]],
    layers: Mapping[int, _Layers],
    models: tuple[int, int],
    end: LayerFold,
) -> dict[str, TensorSource]:
    """Where what belongs to no layer comes from; the last norm and the head from their model."""
    first, last = models
    final = architecture.final_norm
    if final is None and first != last:
        raise RecipeError(
            f"it is not known which tensors are the last norm and the head of a "
            f"{architecture.name}; take them from the model that gives the embeddings"
        )
    sources: dict[str, TensorSource] = {}
    ends: list[str] = []
    for model in dict.fromkeys(models):
        base = layers[model].base
        for name in names_per_model[model]:
            if place_of(architecture, name) is not None:
                continue
            suffix = name.removeprefix(base)
            norm = final is not None and suffix in (f"{final.name}.weight", f"{final.name}.bias")
            is_last = norm or re.fullmatch(architecture.head, name) is not None
            if model != (last if is_last else first):
                continue
            output_name = layers[first].base + suffix if norm else name
            sources[output_name] = (model, name, end.affine(suffix) if norm else IDENTITY)
            ends += [suffix] if norm else []
    if missing := end.missing(ends):
        raise RecipeError(
            f"model {last} has no tensor like {missing[0]}, which has to take the sign"
        )
    if first != last and not any(re.fullmatch(architecture.head, name) for name in sources):
        tied = layers[last].base + architecture.embedding
        if tied not in names_per_model[last]:
            raise RecipeError(f"model {last} has neither a head nor {tied}")
        sources["lm_head.weight"] = (last, tied, IDENTITY)
    return sources
