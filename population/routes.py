"""Routes: a path through the layers of several models, with a scale at each step, as plain weights.

This is merging in data-flow space (arXiv 2403.13187, section 3.2), whose merged models needed code
of their own for the scales. Here the scales go into the weights. Let the stream be multiplied by
`s_t` before step t, and let `S_t = s_0 * ... * s_t`. Then the stream is `S_t * y_t` with

    y_(t+1) = y_t + f_t(norm(S_t * y_t)) / S_t,

and a norm forgets all of `S_t` but its sign. So `y` is the stream of a plain model in which what
step t writes is divided by `S_t`, and its norms are turned around where `S_t` is negative. The last
norm sees `S_T * y_T`, so only a sign is left at the end. This is exact but for the norms' epsilon,
which weighs `1 / S_t^2` times as much as before.

Nothing here reads a weight: a change is a map that the caller applies to tensors by their names.
"""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from lineage.records import Floats
from population.architectures import Architecture, Norm, place_of
from population.errors import RecipeError


@dataclass(frozen=True)
class Affine:
    """The change of a tensor: `scale * weights + shift`, to be applied in single precision or more.

    It works on whatever multiplies and adds like a number.
    """

    scale: float = 1.0
    shift: float = 0.0

    def __call__(self, weights: Any) -> Any:
        """Change weights; no change gives back the very same."""
        return weights if self == IDENTITY else weights * self.scale + self.shift

    def then(self, after: "Affine") -> "Affine":
        """This change and another one after it, as one."""
        return Affine(after.scale * self.scale, after.scale * self.shift + after.shift)


IDENTITY = Affine()
"""No change at all, not even a rounding."""


@dataclass(frozen=True)
class Step:
    """One step of a route.

    Attributes:
        model: which of the source models, by number.
        layer: which of its layers.
        scale: what the residual stream is multiplied by before it enters the layer.
    """

    model: int
    layer: int
    scale: float = 1.0


@dataclass(frozen=True)
class Route:
    """A path through the layers of one or more models.

    Raises:
        RecipeError: it has no step, or a step that cannot be.
    """

    steps: tuple[Step, ...]

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
            f"expected {len(row) * repeats} indicators, {repeats} times {len(row)} layers, got "
            f"{len(indicators)}"
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
    steps = (Step(*row[place], factor) for place, factor in zip(path, factors, strict=True))
    return Route(tuple(steps))


@dataclass(frozen=True)
class Change:
    """What happens to the tensors whose name inside their layer matches a regular expression.

    Attributes:
        pattern: the regular expression.
        affine: the change.
        required: whether a layer without such a tensor is not understood.
    """

    pattern: str
    affine: Affine
    required: bool = True


@dataclass(frozen=True)
class LayerFold:
    """A layer of the routed model, or its end.

    Attributes:
        stream: what the true stream is, as a multiple of the routed model's stream.
        changes: the changes of its tensors; all others stay as they are.
    """

    stream: float
    changes: tuple[Change, ...]

    def affine(self, suffix: str) -> Affine:
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
    """What the scales of a route do to the weights: per output layer, and to the last norm."""

    layers: tuple[LayerFold, ...]
    end: LayerFold


def fold(route: Route, architecture: Architecture, config: Mapping[str, Any]) -> Fold:
    """Fold the scales of a route into the weights.

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
        changes = [_turned(norm) for norm in architecture.input_norms] if stream < 0 else []
        if stream != 1:
            shrink = Affine(1 / stream)
            changes += [Change(pattern, shrink) for pattern in architecture.writers]
            changes += [_shrunk(norm, stream) for norm in architecture.post_norms]
        layers.append(LayerFold(stream, tuple(changes)))
    final = architecture.final_norm
    turned = (_turned(final),) if final is not None and streams[-1] < 0 else ()
    return Fold(tuple(layers), LayerFold(streams[-1], turned))


def _turned(norm: Norm) -> Change:
    """Make a norm take -x for x: norm(-x) is -norm(x), and a bias comes after it."""
    turn = Affine(-1.0, -2.0) if norm.kind == "rms1" else Affine(-1.0)
    return Change(rf"{re.escape(norm.name)}\.weight", turn, required=not norm.optional)


def _shrunk(norm: Norm, stream: float) -> Change:
    """Divide what a norm gives, and so what a sub-layer that ends in it writes."""
    affine = Affine(1 / stream, 1 / stream - 1) if norm.kind == "rms1" else Affine(1 / stream)
    return Change(rf"{re.escape(norm.name)}\.(weight|bias)", affine, required=not norm.optional)


# What may differ between configs of models whose layers go together: it is no matter of the layers.
_INCIDENTAL = re.compile(
    r"_.*|architectures|transformers_version|(torch_)?dtype|use_cache|vocab_size|"
    r".*_token_id|tie_word_embeddings|initializer_range|.*dropout|.*_pdrop|pretraining_tp|"
    r"id2label|label2id|problem_type|task_specific_params|summary_.*|cache_implementation|"
    r"output_.*|router_aux_loss_coef|router_jitter_noise|unsloth_.*"
)
_LENGTHS = ("max_position_embeddings", "n_positions", "n_ctx")
_ROPE = ("rope_parameters", "rope_scaling", "rope_theta", "rotary_emb_base", "rotary_pct",
         "partial_rotary_factor", "rope_local_base_freq")  # fmt: skip


def route_config(
    route: Route,
    architecture: Architecture,
    configs: Sequence[Mapping[str, Any]],
    outside: int = 0,
    outside_head: int | None = None,
) -> dict[str, Any]:
    """The config of the plain checkpoint that a route makes.

    Args:
        route: the route.
        architecture: the architecture of all its models.
        configs: the config of each source model.
        outside: the model that gives the embeddings and, by its config, all that no layer has.
        outside_head: the model that gives the last norm and the head, if another one.

    Raises:
        RecipeError: a step does not exist, the layers cannot be moved, or two models differ in
            something that one config cannot say for both.
    """
    head = outside if outside_head is None else outside_head
    for model in (outside, head):
        if not 0 <= model < len(configs):
            raise RecipeError(f"there is no model {model}, only {len(configs)} models")
    used = sorted(
        {outside, head} | {step.model for step in route.steps if step.model < len(configs)}
    )
    first = configs[outside]
    for model in used:
        if configs[model].get("model_type") != first.get("model_type"):
            raise RecipeError(
                f"model {model} is a {configs[model].get('model_type')}, model {outside} a "
                f"{first.get('model_type')}; a route needs models of one architecture"
            )
    counts = [architecture.layers(config) if i in used else 0 for i, config in enumerate(configs)]
    route.check_layers(counts)
    for model in used:
        _check_alike(architecture, configs, outside, model)
    fold(route, architecture, first)  # says what cannot be

    lists = {
        model: architecture.layer_lists(architecture.settings(configs[model]), counts[model])
        for model in used
    }
    routed = dict(architecture.settings(first))
    for key in sorted({key for found in lists.values() for key in found}):
        if lacking := [model for model in used if key not in lists[model]]:
            raise RecipeError(f"model {lacking[0]} has no {key} in its config, but others have")
        values = [lists[step.model][key][step.layer] for step in route.steps]
        indexed = key in architecture.index_keys
        routed[key] = [i for i, value in enumerate(values) if value] if indexed else values
    for key in architecture.derived_from:
        routed.pop(key, None)
    routed |= {key: value for key, value in architecture.resets if key in routed}
    routed |= {key: len(route.steps) for key in architecture.counts if key in routed}
    result = routed if architecture.section is None else {**first, architecture.section: routed}
    if head != outside:
        sizes = [architecture.settings(configs[i]).get("vocab_size") for i in (outside, head)]
        if sizes[0] != sizes[1]:
            raise RecipeError(
                f"model {outside} gives the embeddings of {sizes[0]} tokens, model {head} a head "
                f"for {sizes[1]}; give both the same model"
            )
        for part in (result, routed):
            part["tie_word_embeddings"] = False
    return result


def _check_alike(
    architecture: Architecture, configs: Sequence[Mapping[str, Any]], one: int, other: int
) -> None:
    """Make sure that one config can describe the layers of two models."""
    mine, theirs = (_telling(architecture, configs[model]) for model in (one, other))
    order = ("hidden_size", "n_embd")
    for key in sorted(mine.keys() | theirs.keys(), key=lambda key: (key not in order, key)):
        here, there = mine.get(key), theirs.get(key)
        if here != there and (here or there):
            raise RecipeError(
                f"models {one} and {other} differ in {key}: {here} and {there}; one config cannot "
                "say both"
            )


def _telling(architecture: Architecture, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a config says about its layers, in one form whichever version wrote it."""
    settings = architecture.settings(config)
    rope = settings.get("rope_parameters") or settings.get("rope_scaling") or {}
    rope = {"rope_type": rope.get("type", "default"), **rope} if not _nested(rope) else dict(rope)
    rope.pop("type", None)
    if not _nested(rope):
        theta = settings.get("rope_theta") or settings.get("rotary_emb_base")
        rope.setdefault("rope_theta", theta or architecture.rope[0])
        part = settings.get("partial_rotary_factor") or settings.get("rotary_pct")
        rope.setdefault("partial_rotary_factor", part or architecture.rope[1])
        rope.setdefault("rope_local_base_freq", settings.get("rope_local_base_freq"))
    placed = {*architecture.counts, *architecture.derived_from, *_ROPE}
    placed |= {key for key, _ in architecture.resets}
    placed |= set(architecture.layer_lists(settings, architecture.layers(config)))
    plain = not _nested(rope) and rope["rope_type"] == "default"
    if plain:
        placed |= set(_LENGTHS)  # elsewhere, the rotation of positions may depend on them
    if settings.get("use_sliding_window") is False:
        placed.add("sliding_window")
    told = {
        key: value
        for key, value in settings.items()
        if key not in placed and not _INCIDENTAL.fullmatch(key)
    }
    heads, hidden = settings.get("num_attention_heads"), settings.get("hidden_size")
    if heads and hidden and "hidden_size" in told:
        told["head_dim"] = told.get("head_dim") or hidden // heads
        told["num_key_value_heads"] = told.get("num_key_value_heads") or heads
    return told | {"the rotation of positions": rope}


def _nested(rope: Mapping[str, Any]) -> bool:
    """Whether it says how to rotate positions for each type of layer by itself."""
    return any(isinstance(value, Mapping) for value in rope.values())


def routed_name(architecture: Architecture, out_layer: int, tensor: str) -> str:
    """The name that a layer's tensor gets at its place in the routed model.

    Raises:
        RecipeError: the tensor lies in no layer.
    """
    place = place_of(architecture, tensor)
    if place is None:
        raise RecipeError(f"{tensor} lies in no layer of a {architecture.name}")
    return f"{place.base}{place.stack}.{out_layer}.{place.suffix}"


Source = tuple[int, str, Affine]
"""Where a tensor comes from: the model's number, the tensor's name there, and its change."""


def sources_of(
    route: Route,
    architecture: Architecture,
    config: Mapping[str, Any],
    names_per_model: Sequence[Collection[str]],
    outside: int = 0,
    outside_head: int | None = None,
) -> dict[str, Source]:
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

    sources: dict[str, Source] = {}
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
            found = " and ".join(sorted(starts)) or "none"
            raise RecipeError(f"model {model}: expected one stack of layers, found {found}")
        start, base = starts.popitem()
        return cls(base, start, tensors)


def _outside(
    architecture: Architecture,
    names_per_model: Sequence[Collection[str]],
    layers: Mapping[int, _Layers],
    models: tuple[int, int],
    end: LayerFold,
) -> dict[str, Source]:
    """Where what belongs to no layer comes from; the last norm and the head from their model."""
    first, last = models
    final = architecture.final_norm
    if final is None and first != last:
        raise RecipeError(
            f"it is not known which tensors are the last norm and the head of a "
            f"{architecture.name}; take them from the model that gives the embeddings"
        )
    sources: dict[str, Source] = {}
    ends: list[str] = []
    for model in dict.fromkeys(models):
        base = layers[model].base
        for name in names_per_model[model]:
            if place_of(architecture, name) is not None:
                continue
            suffix = name.removeprefix(base)
            norm = final is not None and suffix in (f"{final.name}.weight", f"{final.name}.bias")
            last_part = norm or re.fullmatch(architecture.head, name) is not None
            if model != (last if last_part else first):
                continue
            out = layers[first].base + suffix if norm else name
            sources[out] = (model, name, end.affine(suffix) if norm else IDENTITY)
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
