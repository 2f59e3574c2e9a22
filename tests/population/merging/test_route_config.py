"""The config of a routed model follows its layers; models that no config fits are refused."""

from typing import Any

import pytest
from transformers import AutoConfig

from population.errors import RecipeError
from population.merging.routes import (
    IDENTITY,
    FoldedScale,
    Route,
    RouteStep,
    fold,
    route_config,
    sources_of,
)
from population.models.architectures import architecture_of, layer_of
from tests.route_models import ROUTE, config_of, pair, routed


def test_layer_types_follow_their_layers() -> None:
    models = pair("gemma3_text")
    config = routed(
        models, Route((RouteStep(0, 1), RouteStep(1, 1), RouteStep(0, 0), RouteStep(1, 2)))
    )
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
    config = routed(models, Route((RouteStep(0, 2), RouteStep(0, 0))))
    assert config["layer_types"] == ["sliding_attention", "full_attention"]
    assert "max_window_layers" not in config
    config = routed(pair("smollm3"), Route((RouteStep(0, 1), RouteStep(0, 0))))
    assert config["no_rope_layers"] == [0, 1]
    assert "no_rope_layer_interval" not in config


def test_old_and_new_ways_to_write_a_rotation_are_the_same() -> None:
    old = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 8, "rope_theta": 10000.0}
    new = {"model_type": "llama", "num_hidden_layers": 3, "hidden_size": 8, "vocab_size": 9}
    new |= {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}
    architecture = architecture_of(old)
    assert architecture is not None
    route = Route((RouteStep(0, 1), RouteStep(1, 2)))
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
    tied = one | {"tie_word_embeddings": True}
    assert route_config(ROUTE, architecture, [tied, tied])["tie_word_embeddings"]
    two_ends = route_config(ROUTE, architecture, [tied, tied], outside_head=1)
    assert not two_ends["tie_word_embeddings"]
    with pytest.raises(RecipeError, match="embeddings of 31 tokens, model 1 a head for 99"):
        route_config(ROUTE, architecture, [one, other], outside_head=1)


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
    route = Route((RouteStep(0, 1, 2.0), RouteStep(0, 1, -1.0)))
    sources = sources_of(route, architecture, config, [names])
    assert sources[eye] == (0, eye, IDENTITY)
    assert layer_of(architecture, eye) is None
    start = "language_model.model.layers"
    assert sources[f"{start}.0.input_layernorm.weight"][2] == IDENTITY
    assert sources[f"{start}.1.input_layernorm.weight"][2] == FoldedScale(-1, -2)
    assert sources[f"{start}.0.post_attention_layernorm.weight"][2] == FoldedScale(0.5, -0.5)
    assert sources[f"{start}.1.post_feedforward_layernorm.weight"][2] == FoldedScale(-0.5, -1.5)
    assert sources["language_model.model.norm.weight"][2] == FoldedScale(-1, -2)
    made = route_config(route, architecture, [config])
    assert made["vision_config"] == config["vision_config"]
    assert made["text_config"]["num_hidden_layers"] == 2
    assert made["text_config"]["layer_types"] == ["sliding_attention"] * 2


def test_an_unknown_architecture_takes_paths_but_no_scales() -> None:
    config = {"model_type": "newcomer", "n_layers": 3, "block_kinds": ["a", "b", "c"]}
    architecture = architecture_of(config)
    assert architecture is not None
    assert layer_of(architecture, "body.blocks.2.mlp.experts.7.up.weight") == 2
    made = route_config(Route((RouteStep(0, 2), RouteStep(0, 0))), architecture, [config])
    assert made == {"model_type": "newcomer", "n_layers": 2, "block_kinds": ["c", "a"]}
    with pytest.raises(RecipeError, match="newcomer cannot take scales other than 1: it is not"):
        fold(Route((RouteStep(0, 2, 0.5),)), architecture, config)
    with pytest.raises(RecipeError, match="every_so_many in its config may make a layer depend"):
        route_config(Route((RouteStep(0, 2),)), architecture, [config | {"every_so_many": 4}])
    with pytest.raises(RecipeError, match=r"expected one stack of layers, found a\.h and b\.h"):
        sources_of(Route((RouteStep(0, 0),)), architecture, config, [["a.h.0.w", "b.h.0.w"]])


def test_what_cannot_be_understood_has_no_architecture() -> None:
    assert architecture_of({}) is None
    assert architecture_of({"model_type": "llama"}) is None
    assert (
        architecture_of({"model_type": "t5", "num_layers": 2, "is_encoder_decoder": True}) is None
    )
    seeing = {"model_type": "new", "num_hidden_layers": 2, "vision_config": {"num_layers": 1}}
    assert architecture_of(seeing) is None
