"""The config of a routed model, if one config can describe all of its sources."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from population.errors import RecipeError
from population.merging.routes.folding import fold
from population.merging.routes.path import Route
from population.models.architectures import Architecture

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
        outside: index of the model that gives the embeddings and all settings that no layer has.
        outside_head: index of the model that gives the last norm and the head, if another one.

    Raises:
        RecipeError: a step does not exist, the layers cannot be moved, or two models differ in
            a setting that one config cannot state for both.
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

    layer_lists = {
        model: architecture.layer_lists(architecture.settings(configs[model]), counts[model])
        for model in used
    }
    routed = dict(architecture.settings(first))
    for key in sorted({key for lists in layer_lists.values() for key in lists}):
        if without := [model for model in used if key not in layer_lists[model]]:
            raise RecipeError(f"model {without[0]} has no {key} in its config, but others have")
        values = [layer_lists[step.model][key][step.layer] for step in route.steps]
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
    first, second = (_layer_settings(architecture, configs[model]) for model in (one, other))
    sizes = ("hidden_size", "n_embd")
    for key in sorted(first.keys() | second.keys(), key=lambda key: (key not in sizes, key)):
        here, there = first.get(key), second.get(key)
        if here != there and (here or there):
            raise RecipeError(
                f"models {one} and {other} differ in {key}: {here} and {there}; one config cannot "
                "say both"
            )


def _layer_settings(architecture: Architecture, config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a config that concern its layers, normalised across versions."""
    settings = architecture.settings(config)
    rope = settings.get("rope_parameters") or settings.get("rope_scaling") or {}
    rope = {"rope_type": rope.get("type", "default"), **rope} if not _nested(rope) else dict(rope)
    rope.pop("type", None)
    if not _nested(rope):
        theta = _stated(settings, "rope_theta", "rotary_emb_base", architecture.rope[0])
        rope.setdefault("rope_theta", theta)
        part = _stated(settings, "partial_rotary_factor", "rotary_pct", architecture.rope[1])
        rope.setdefault("partial_rotary_factor", part)
        rope.setdefault("rope_local_base_freq", settings.get("rope_local_base_freq"))
    not_compared = {*architecture.counts, *architecture.derived_from, *_ROPE}
    not_compared |= {key for key, _ in architecture.resets}
    not_compared |= set(architecture.layer_lists(settings, architecture.layers(config)))
    plain_rope = not _nested(rope) and rope["rope_type"] == "default"
    if plain_rope:
        not_compared |= set(_LENGTHS)  # elsewhere, the rotation of positions may depend on them
    if settings.get("use_sliding_window") is False:
        not_compared.add("sliding_window")
    layer_settings = {
        key: value
        for key, value in settings.items()
        if key not in not_compared and not _INCIDENTAL.fullmatch(key)
    }
    heads, hidden = settings.get("num_attention_heads"), settings.get("hidden_size")
    if heads and hidden and "hidden_size" in layer_settings:
        layer_settings["head_dim"] = layer_settings.get("head_dim") or hidden // heads
        layer_settings["num_key_value_heads"] = layer_settings.get("num_key_value_heads") or heads
    return layer_settings | {"the rotation of positions": rope}


def _stated(settings: Mapping[str, Any], key: str, old: str, default: float) -> Any:
    """A setting by its name or an older one; 0 is a value, null is none."""
    values = (settings.get(key), settings.get(old), default)
    return next(value for value in values if value is not None)


def _nested(rope: Mapping[str, Any]) -> bool:
    """Whether RoPE settings are given for each layer type."""
    return any(isinstance(value, Mapping) for value in rope.values())
