"""Routes: a path through layers with scales is a plain model that computes the same."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch.overrides import TorchFunctionMode
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from population.architectures import architecture_of, layer_of
from population.errors import RecipeError
from population.routes import (
    IDENTITY,
    Affine,
    Route,
    Step,
    fold,
    from_indicators,
    route_config,
    routed_name,
    sources_of,
)

SIZES: dict[str, Any] = {
    "vocab_size": 31,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
HEADS = {"head_dim": 6}
MOE = {
    "moe_intermediate_size": 12,
    "num_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
}
PARTIAL = {"num_attention_heads": 3, "num_key_value_heads": 3}  # heads that rotate in part
WINDOW = {"sliding_window": 3}  # shorter than the test's sequences, so that it shows
MIXED = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
KINDS: dict[str, dict[str, Any]] = {
    "llama": {"attention_bias": True, "mlp_bias": True},
    "mistral": WINDOW,
    "qwen2": WINDOW | {"use_sliding_window": True, "max_window_layers": 2},
    "qwen3": HEADS,
    "gemma": HEADS,
    "gemma2": HEADS | WINDOW | {"query_pre_attn_scalar": 6},
    "gemma3_text": HEADS | WINDOW | MIXED | {"query_pre_attn_scalar": 6},
    "gpt2": {
        "n_embd": 24,
        "n_layer": 3,
        "n_head": 4,
        "n_positions": 32,
        "vocab_size": 31,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
    "phi": PARTIAL,
    "phi3": {},
    "gpt_neox": PARTIAL,
    "gpt_neox in sequence": PARTIAL | {"use_parallel_residual": False},
    "starcoder2": {},
    "stablelm": PARTIAL,
    "stablelm in parallel": PARTIAL | {"use_parallel_residual": True},
    "granite": {"residual_multiplier": 0.6, "embedding_multiplier": 2.0, "logits_scaling": 3.0},
    "cohere": {},
    "cohere2": WINDOW | MIXED,
    "smollm3": WINDOW | {"use_sliding_window": True, "no_rope_layer_interval": 2},
}
EAGER = {"attn_implementation": "eager", "experts_implementation": "eager"}
EPSILONS = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon")
# Two models, a layer twice in a row, one skipped, backwards, scales up, down and below zero.
ROUTE = Route(
    (
        Step(0, 0, 1.7),
        Step(0, 1, 0.4),
        Step(0, 1, -1.3),
        Step(1, 2, 0.9),
        Step(1, 0, 2.2),
    )
)
UPRIGHT = Route((Step(0, 0, 1.7), Step(1, 1, 0.4), Step(1, 1, 1.3)))


class Doubled(TorchFunctionMode):
    """Keeps in double what the modelling code casts to single: norms, softmax and rotations."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        def up(value: Any) -> Any:
            return torch.float64 if value is torch.float32 else value

        if func is torch.Tensor.float:
            func = torch.Tensor.double
        kwargs = {key: up(value) for key, value in (kwargs or {}).items()}
        return func(*(up(value) for value in args), **kwargs)


def config_of(kind: str, sharp: bool = True, **changes: Any) -> Any:
    """A tiny config; sharp: without the epsilon in which a scaled stream differs."""
    family = kind.partition(" ")[0]
    sizes = {} if family == "gpt2" else SIZES
    config = AutoConfig.for_model(family, **sizes | KINDS.get(kind, {}) | changes)
    for key in EPSILONS:
        if sharp and hasattr(config, key):
            setattr(config, key, 1e-14)
    return config


def tiny(config: Any, seed: int) -> PreTrainedModel:
    """A random model whose layers matter: strong weights, norms away from 1, large embeddings."""
    model = AutoModelForCausalLM.from_config(config, **EAGER).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            if parameter.dim() == 1:
                parameter.add_(0.3 * noise)
            elif any(part in name for part in ("embed", "wte", "wpe")):
                parameter.copy_(2 * noise)
            else:
                parameter.copy_(noise * 1.5 / math.sqrt(SIZES["hidden_size"]))
    return model


def layers_of(model: PreTrainedModel) -> Any:
    body = model.base_model
    return body.h if hasattr(body, "h") else body.layers


def logits(model: PreTrainedModel) -> torch.Tensor:
    tokens = torch.tensor([[3, 9, 4, 27, 11, 5, 30, 8], [7, 7, 1, 16, 22, 13, 2, 19]])
    with torch.no_grad(), Doubled():
        found: torch.Tensor = model(tokens, use_cache=False).logits
    assert found.dtype == torch.float64
    return found


@contextmanager
def scaled(model: PreTrainedModel, route: Route) -> Iterator[None]:
    """Multiply what enters each layer by its step's scale."""

    def multiply(scale: float) -> Any:
        return lambda _module, args: (args[0] * scale, *args[1:])

    handles = [
        layer.register_forward_pre_hook(multiply(step.scale))
        for layer, step in zip(layers_of(model), route.steps, strict=True)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def empty(config: Mapping[str, Any]) -> PreTrainedModel:
    made = AutoConfig.for_model(**config)
    model = AutoModelForCausalLM.from_config(made, **EAGER).double().eval()
    assert len(layers_of(model)) == made.num_hidden_layers
    return model


def copied(models: Sequence[PreTrainedModel], route: Route, config: Any) -> PreTrainedModel:
    """The routed layers one after the other, copied module by module and not scaled."""
    model = empty(config)
    outer = {
        name: value
        for name, value in models[0].state_dict().items()
        if not any(part in name for part in (".layers.", ".h."))
    }
    model.load_state_dict(outer, strict=False)
    for layer, step in zip(layers_of(model), route.steps, strict=True):
        layer.load_state_dict(layers_of(models[step.model])[step.layer].state_dict())
    return model


def folded(
    models: Sequence[PreTrainedModel], route: Route, config: Any, **outside: int
) -> PreTrainedModel:
    """The plain model that a route makes."""
    model = empty(config)
    states = [source.state_dict() for source in models]
    architecture = architecture_of(models[0].config.to_dict())
    assert architecture is not None
    sources = sources_of(route, architecture, models[0].config.to_dict(), states, **outside)
    state = {name: change(states[i][source]) for name, (i, source, change) in sources.items()}
    model.load_state_dict(state, strict=True)
    return model


def pair(kind: str, sharp: bool = True, **changes: Any) -> list[PreTrainedModel]:
    config = config_of(kind, sharp, **changes)
    return [tiny(config, 1), tiny(config, 2)]


def routed(models: Sequence[PreTrainedModel], route: Route, **outside: int) -> dict[str, Any]:
    configs = [model.config.to_dict() for model in models]
    architecture = architecture_of(configs[0])
    assert architecture is not None
    return route_config(route, architecture, configs, **outside)


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("kind", KINDS)
def test_a_folded_model_computes_what_the_scaled_path_computes(kind: str) -> None:
    models = pair(kind)
    config = routed(models, ROUTE)
    reference = copied(models, ROUTE, config)
    with scaled(reference, ROUTE):
        expected = logits(reference)
    assert error(logits(folded(models, ROUTE, config)), expected) < 1e-12
    # Without the scales it is another model, and so it is without their sizes or their signs.
    assert error(logits(reference), expected) > 0.1
    for change in (abs, lambda scale: math.copysign(1.0, scale)):
        other = Route(tuple(Step(s.model, s.layer, change(s.scale)) for s in ROUTE.steps))
        assert error(logits(folded(models, other, config)), expected) > 0.05


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt2"])
def test_the_usual_epsilon_shows_little(kind: str) -> None:
    models = pair(kind, sharp=False)
    config = routed(models, ROUTE)
    reference = copied(models, ROUTE, config)
    with scaled(reference, ROUTE):
        expected = logits(reference)
    assert error(logits(folded(models, ROUTE, config)), expected) < 1e-5


def test_olmo_takes_positive_scales_only() -> None:
    models = pair("olmo")
    config = routed(models, UPRIGHT)
    reference = copied(models, UPRIGHT, config)
    with scaled(reference, UPRIGHT):
        expected = logits(reference)
    # Its epsilon of 1e-5 is no setting.
    assert error(logits(folded(models, UPRIGHT, config)), expected) < 1e-4
    assert error(logits(reference), expected) > 0.05
    with pytest.raises(RecipeError, match="olmo cannot take negative scales: its norms have no"):
        folded(models, ROUTE, config)


@pytest.mark.parametrize("kind", ["mixtral", "qwen2_moe", "qwen3_moe"])
def test_experts_fold_by_the_names_on_disk(kind: str, tmp_path: Path) -> None:
    changes = MOE | ({"mlp_only_layers": [1]} if kind.startswith("qwen") else {})
    models = pair(kind, **changes)
    states = []
    for number, model in enumerate(models):
        model.save_pretrained(tmp_path / str(number))
        states.append(load_file(tmp_path / str(number) / "model.safetensors"))
    assert any(".experts.3." in name for name in states[0])
    config = routed(models, ROUTE)
    if kind.startswith("qwen"):
        assert config["mlp_only_layers"] == [1, 2]
    reference = copied(models, ROUTE, config)
    with scaled(reference, ROUTE):
        expected = logits(reference)

    # By the names in memory, where transformers fuses the experts ...
    assert error(logits(folded(models, ROUTE, config)), expected) < 1e-12
    # ... and by those on disk.
    architecture = architecture_of(config)
    assert architecture is not None
    sources = sources_of(ROUTE, architecture, config, states)
    # A layer that is taken twice lies in the file twice.
    merged = {
        name: change(states[i][source]).clone() for name, (i, source, change) in sources.items()
    }
    save_file(merged, tmp_path / "model.safetensors", metadata={"format": "pt"})
    AutoConfig.for_model(**config).save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float64, **EAGER)
    # The rotation's frequencies were made in single precision there.
    assert error(logits(loaded), expected) < 1e-5


@pytest.mark.parametrize("kind", ["olmo2", "olmo3"])
def test_without_norms_before_its_layers_a_model_takes_no_scales(kind: str) -> None:
    models = pair(kind)
    route = Route((Step(0, 2), Step(1, 0), Step(1, 0)))
    config = routed(models, route)
    expected = logits(copied(models, route, config))
    assert torch.equal(logits(folded(models, route, config)), expected)
    with pytest.raises(RecipeError, match=f"{kind} cannot take scales .* no norms before"):
        routed(models, ROUTE)


def test_an_unscaled_route_of_one_model_is_that_model() -> None:
    models = pair("qwen2")
    route = Route(tuple(Step(0, layer) for layer in range(3)))
    config = routed(models, route)
    assert config["layer_types"] == models[0].config.layer_types
    assert torch.equal(logits(folded(models, route, config)), logits(models[0]))


@pytest.mark.parametrize(("kind", "tied"), [("llama", False), ("llama", True), ("gpt2", True)])
def test_the_head_may_come_from_another_model(kind: str, tied: bool) -> None:
    models = pair(kind, tie_word_embeddings=tied)
    config = routed(models, ROUTE, outside_head=1)
    assert config["tie_word_embeddings"] is False
    reference = copied(models, ROUTE, config)
    heads = [model.get_output_embeddings() for model in (reference, models[1])]
    norms = [getattr(model.base_model, "ln_f" if kind == "gpt2" else "norm")
             for model in (reference, models[1])]  # fmt: skip
    for ours, theirs in (heads, norms):
        ours.load_state_dict(theirs.state_dict())
    with scaled(reference, ROUTE):
        expected = logits(reference)
    assert error(logits(folded(models, ROUTE, config, outside_head=1)), expected) < 1e-12

    # A tied model has no head on disk.
    names = [[name for name in model.state_dict() if "lm_head" not in name] for model in models]
    architecture = architecture_of(config)
    assert architecture is not None
    sources = sources_of(ROUTE, architecture, config, names, outside_head=1)
    embedding = "transformer.wte.weight" if kind == "gpt2" else "model.embed_tokens.weight"
    assert sources["lm_head.weight"] == (1, embedding, IDENTITY)
    assert sources[embedding] == (0, embedding, IDENTITY)


def test_layer_types_follow_their_layers() -> None:
    models = pair("gemma3_text")
    config = routed(models, Route((Step(0, 1), Step(1, 1), Step(0, 0), Step(1, 2))))
    full, sliding = "full_attention", "sliding_attention"
    assert config["layer_types"] == [full, full, sliding, sliding]
    assert config["num_hidden_layers"] == 4
    assert "_sliding_window_pattern" not in config


def test_layer_types_are_derived_as_transformers_derives_them() -> None:
    for kind, key in [
        ("qwen2", "layer_types"),
        ("qwen2_moe", "layer_types"),
        ("gemma2", "layer_types"),
        ("gemma3_text", "layer_types"),
        ("cohere2", "layer_types"),
        ("olmo3", "layer_types"),
        ("smollm3", "layer_types"),
        ("smollm3", "no_rope_layers"),
    ]:
        settings = {"model_type": kind, "num_hidden_layers": 9, "sliding_window": 3}
        settings |= {"use_sliding_window": True, "max_window_layers": 4, "hidden_size": 8}
        architecture = architecture_of(settings)
        assert architecture is not None
        expected = getattr(AutoConfig.for_model(**settings), key)
        assert len(set(expected)) == 2
        assert list(architecture.layer_lists(settings, 9)[key]) == expected


def test_what_a_layer_list_was_derived_from_does_not_contradict_it() -> None:
    models = pair("qwen2")
    config = routed(models, Route((Step(0, 2), Step(0, 0))))
    assert config["layer_types"] == ["sliding_attention", "full_attention"]
    assert "max_window_layers" not in config
    config = routed(pair("smollm3"), Route((Step(0, 1), Step(0, 0))))
    assert config["no_rope_layers"] == [0, 1]
    assert "no_rope_layer_interval" not in config


def test_old_and_new_ways_to_write_a_rotation_are_the_same() -> None:
    old = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 8, "rope_theta": 10000.0}
    new = {"model_type": "llama", "num_hidden_layers": 3, "hidden_size": 8, "vocab_size": 9}
    new |= {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}
    architecture = architecture_of(old)
    assert architecture is not None
    route = Route((Step(0, 1), Step(1, 2)))
    assert route_config(route, architecture, [old, new])["num_hidden_layers"] == 2
    other = new | {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}
    with pytest.raises(RecipeError, match="models 0 and 1 differ in the rotation of positions"):
        route_config(route, architecture, [old, other])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 48}, "models 0 and 1 differ in hidden_size: 24 and 48"),
        ({"rms_norm_eps": 1e-3}, "models 0 and 1 differ in rms_norm_eps"),
        ({"num_hidden_layers": 2}, "step 3: model 1 has 2 layers and no layer 2"),
        ({"model_type": "qwen2"}, "model 1 is a qwen2, model 0 a llama"),
    ],
)
def test_models_that_do_not_go_together_are_refused(change: dict[str, Any], message: str) -> None:
    one = config_of("llama").to_dict()
    architecture = architecture_of(one)
    assert architecture is not None
    with pytest.raises(RecipeError, match=message):
        route_config(ROUTE, architecture, [one, one | change])


def test_another_vocabulary_matters_only_to_the_head() -> None:
    one = config_of("llama").to_dict()
    other = one | {"vocab_size": 99}
    architecture = architecture_of(one)
    assert architecture is not None
    assert route_config(ROUTE, architecture, [one, other])["vocab_size"] == 31
    assert route_config(ROUTE, architecture, [one, other], outside=1)["vocab_size"] == 99
    with pytest.raises(RecipeError, match="embeddings of 31 tokens, model 1 a head for 99"):
        route_config(ROUTE, architecture, [one, other], outside_head=1)


def test_a_scale_that_would_be_lost_is_refused() -> None:
    config = config_of("llama").to_dict()
    architecture = architecture_of(config)
    assert architecture is not None
    parts = ("input_layernorm", "post_attention_layernorm", "mlp.down_proj")
    names = [f"model.layers.{i}.{part}.weight" for i in range(3) for part in parts]
    with pytest.raises(RecipeError, match=r"layer 0 of model 0 has no tensor like .*o_proj"):
        sources_of(ROUTE, architecture, config, [names, names])
    names += [f"model.layers.{i}.self_attn.o_proj.weight" for i in range(3)]
    with pytest.raises(RecipeError, match=r"model 0 has no tensor like norm.*take the sign"):
        sources_of(ROUTE, architecture, config, [names, names])
    with pytest.raises(RecipeError, match="model 1 has no layer 7"):
        sources_of(Route((Step(1, 7),)), architecture, config, [names, names])


def test_names_follow_the_model_that_gives_the_embeddings() -> None:
    config = {"model_type": "gpt2", "n_layer": 1, "n_embd": 8}
    architecture = architecture_of(config)
    assert architecture is not None
    long = ["transformer.wte.weight", "transformer.h.0.ln_1.weight", "transformer.ln_f.weight"]
    short = ["wte.weight", "h.0.ln_1.weight", "h.0.attn.bias", "ln_f.weight"]
    route = Route((Step(1, 0), Step(0, 0)))
    sources = sources_of(route, architecture, config, [long, short], outside_head=1)
    assert sources == {
        "transformer.wte.weight": (0, "transformer.wte.weight", IDENTITY),
        "transformer.h.0.ln_1.weight": (1, "h.0.ln_1.weight", IDENTITY),
        "transformer.h.0.attn.bias": (1, "h.0.attn.bias", IDENTITY),
        "transformer.h.1.ln_1.weight": (0, "transformer.h.0.ln_1.weight", IDENTITY),
        "transformer.ln_f.weight": (1, "ln_f.weight", IDENTITY),
        "lm_head.weight": (1, "wte.weight", IDENTITY),
    }
    assert routed_name(architecture, 5, "h.0.attn.c_attn.bias") == "h.5.attn.c_attn.bias"
    assert layer_of(architecture, "transformer.h.11.mlp.c_fc.weight") == 11
    assert layer_of(architecture, "transformer.wte.weight") is None


def test_gemma3_keeps_its_eyes() -> None:
    text = {"model_type": "gemma3_text", "num_hidden_layers": 2, "hidden_size": 8}
    config = {"model_type": "gemma3", "text_config": text, "vision_config": {"hidden_size": 4}}
    architecture = architecture_of(config)
    assert architecture is not None
    layer = "language_model.model.layers.1"
    norms = ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
             "post_feedforward_layernorm")  # fmt: skip
    eye = "vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight"
    names = [eye, "language_model.model.norm.weight", *(f"{layer}.{norm}.weight" for norm in norms)]
    route = Route((Step(0, 1, 2.0), Step(0, 1, -1.0)))
    sources = sources_of(route, architecture, config, [names])
    assert sources[eye] == (0, eye, IDENTITY)
    assert layer_of(architecture, eye) is None
    start = "language_model.model.layers"
    assert sources[f"{start}.0.input_layernorm.weight"][2] == IDENTITY
    assert sources[f"{start}.1.input_layernorm.weight"][2] == Affine(-1, -2)
    assert sources[f"{start}.0.post_attention_layernorm.weight"][2] == Affine(0.5, -0.5)
    assert sources[f"{start}.1.post_feedforward_layernorm.weight"][2] == Affine(-0.5, -1.5)
    assert sources["language_model.model.norm.weight"][2] == Affine(-1, -2)
    made = route_config(route, architecture, [config])
    assert made["vision_config"] == config["vision_config"]
    assert made["text_config"]["num_hidden_layers"] == 2
    assert made["text_config"]["layer_types"] == ["sliding_attention"] * 2


def test_an_unknown_architecture_takes_paths_but_no_scales() -> None:
    config = {"model_type": "newcomer", "n_layers": 3, "block_kinds": ["a", "b", "c"]}
    architecture = architecture_of(config)
    assert architecture is not None
    assert layer_of(architecture, "body.blocks.2.mlp.experts.7.up.weight") == 2
    made = route_config(Route((Step(0, 2), Step(0, 0))), architecture, [config])
    assert made == {"model_type": "newcomer", "n_layers": 2, "block_kinds": ["c", "a"]}
    with pytest.raises(RecipeError, match="newcomer cannot take scales other than 1: it is not"):
        fold(Route((Step(0, 2, 0.5),)), architecture, config)
    with pytest.raises(RecipeError, match="every_so_many in its config may make a layer depend"):
        route_config(Route((Step(0, 2),)), architecture, [config | {"every_so_many": 4}])
    with pytest.raises(RecipeError, match=r"expected one stack of layers, found a\.h and b\.h"):
        sources_of(Route((Step(0, 0),)), architecture, config, [["a.h.0.w", "b.h.0.w"]])


def test_what_cannot_be_understood_has_no_architecture() -> None:
    assert architecture_of({}) is None
    assert architecture_of({"model_type": "llama"}) is None
    assert (
        architecture_of({"model_type": "t5", "num_layers": 2, "is_encoder_decoder": True}) is None
    )
    seeing = {"model_type": "new", "num_hidden_layers": 2, "vision_config": {"num_layers": 1}}
    assert architecture_of(seeing) is None


def test_layers_that_depend_on_their_number_are_refused() -> None:
    config = {"model_type": "gpt2", "n_layer": 2, "scale_attn_by_inverse_layer_idx": True}
    architecture = architecture_of(config)
    assert architecture is not None
    with pytest.raises(RecipeError, match="gpt2 cannot be moved: its attention is divided by"):
        fold(Route((Step(0, 1),)), architecture, config)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((), "a route needs one step"),
        ((Step(0, 0), Step(0, 1, 0.0)), "step 1: expected a finite scale other than 0, got 0.0"),
        ((Step(0, 0, math.nan),), "step 0: expected a finite scale"),
        ((Step(0, -1),), "step 0: models and layers are numbered from 0"),
        ((Step(0, 0, 1e-20),) * 2, "step 1: the scales up to here multiply to"),
    ],
)
def test_a_route_that_cannot_be_is_refused(steps: tuple[Step, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Route(steps)


def test_a_route_from_indicators() -> None:
    # Two models of 2 and 1 layers, the row of 3 repeated twice.
    indicators = [1, 0, 1, 0, 1, 1]
    path = [(0, 0), (1, 0), (0, 1), (1, 0)]

    def steps(*scales: float) -> tuple[Step, ...]:
        return tuple(Step(*place, scale) for place, scale in zip(path, scales, strict=True))

    assert from_indicators(indicators, [2, 1], 2).steps == steps(1, 1, 1, 1)
    per_slot = from_indicators(indicators, [2, 1], 2, scales=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert per_slot.steps == steps(0.1, 0.3, 0.5, 0.6)
    per_step = from_indicators(indicators, [2, 1], 2, scales=[2, 3, 4, 5])
    assert per_step.steps == steps(2, 3, 4, 5)
    matrix = np.arange(1.0, 10.0).reshape(3, 3)
    by_matrix = from_indicators(np.array(indicators).tolist(), [2, 1], 2, matrix=matrix)
    # Embeddings into layer 0; 0 into 2; 2 into 1; 1 into 2.
    assert by_matrix.steps == steps(1, matrix[0, 2], matrix[2, 1], matrix[1, 2])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"indicators": [1, 1]}, "expected 3 indicators, 1 times 3 layers, got 2"),
        ({"indicators": [1, 2, 0]}, "expected indicators of 0 or 1, got 2"),
        ({"indicators": [0, 0, 0]}, "a route needs one step"),
        ({"indicators": [1, 1, 0], "scales": [1.0]}, "3 slots or of 2 steps, got 1"),
        ({"indicators": [1, 1, 0], "matrix": [[1.0]]}, "a matrix of 3 x 3 scales"),
        ({"indicators": [1, 1, 0], "matrix": [[1.0]], "scales": [1.0]}, "not both"),
        ({"indicators": [1, 0, 0], "scales": [0.0]}, "step 0: expected a finite scale"),
    ],
)
def test_indicators_that_do_not_fit_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        from_indicators(layers=[2, 1], **given)


numbers = st.floats(-8, 8)
affines = st.builds(Affine, numbers, numbers)


@given(affines, affines, affines, numbers)
def test_changes_compose(first: Affine, second: Affine, third: Affine, weight: float) -> None:
    assert math.isclose(first.then(second)(weight), second(first(weight)), abs_tol=1e-9)
    left, right = first.then(second).then(third), first.then(second.then(third))
    assert math.isclose(left(weight), right(weight), abs_tol=1e-9)
    assert first.then(IDENTITY) == first == IDENTITY.then(first)


@given(st.lists(st.floats(0.1, 10) | st.floats(-10, -0.1), min_size=1, max_size=6), numbers)
def test_what_scales_do_to_a_gemma_norm_is_what_they_do_to_a_plain_one(
    scales: list[float], weight: float
) -> None:
    route = Route(tuple(Step(0, 0, scale) for scale in scales))
    config = {"model_type": "gemma2", "num_hidden_layers": 1}
    architecture = architecture_of(config)
    assert architecture is not None
    done = fold(route, architecture, config)
    for layer, stream in zip(done.layers, route.streams, strict=True):
        reading = layer.affine("pre_feedforward_layernorm.weight")(weight)
        assert math.isclose(1 + reading, math.copysign(1, stream) * (1 + weight), abs_tol=1e-9)
        writing = layer.affine("post_attention_layernorm.weight")(weight)
        assert math.isclose(stream * (1 + writing), 1 + weight, rel_tol=1e-9, abs_tol=1e-9)
        assert layer.affine("mlp.down_proj.weight") is IDENTITY
