"""Configs are compared as transformers reads them, not by how they are spelled."""

import json
from typing import Any

import pytest
from transformers import AutoConfig

from population.models.config_comparison import (
    config_differences,
    known_to_transformers,
)
from tests.merge_helpers import LLAMA

NEW: dict[str, Any] = json.loads(AutoConfig.for_model(**LLAMA).to_json_string(use_diff=False))


def without(config: dict[str, Any], *keys: str, **more: Any) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in keys} | more


SAME: dict[str, dict[str, Any]] = {
    "as transformers 4 wrote it": without(
        NEW,
        "rope_parameters",
        "dtype",
        "head_dim",
        "mlp_bias",
        "attention_bias",
        rope_theta=10000.0,
        rope_scaling=None,
        torch_dtype="bfloat16",
        transformers_version="4.36.2",
    ),
    "an integer": without(NEW, "rope_parameters", rope_theta=10000),
    "only what is no default": dict(LLAMA),
    "null is the default": NEW | {"rope_scaling": None, "head_dim": None},
    "from training": NEW
    | {"attention_dropout": 0.1, "initializer_range": 0.01, "use_cache": False},
    "what nobody reads": NEW | {"is_llama_config": True, "my_note": "x", "architectures": ["X"]},
    "remote code and packing": NEW | {"auto_map": {}, "quantization_config": {"bits": 4}},
}
OTHER: dict[str, tuple[dict[str, Any], str]] = {
    "theta": (without(NEW, "rope_parameters", rope_theta=5e5), "rope_parameters.rope_theta"),
    "scaling": (
        NEW | {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}},
        "rope_parameters.",
    ),
    "heads": (without(NEW, "num_key_value_heads"), "num_key_value_heads"),  # absent: all 4
    "tied": (NEW | {"tie_word_embeddings": True}, "tie_word_embeddings"),
    "layers": (NEW | {"num_hidden_layers": 2, "hidden_act": "gelu"}, "num_hidden_layers"),
    "family": (NEW | {"model_type": "mistral"}, "model_type"),
    "0": (NEW | {"rms_norm_eps": 0}, "rms_norm_eps"),
}


@pytest.mark.parametrize("kind", SAME)
def test_spellings_of_one_architecture(kind: str) -> None:
    assert config_differences(NEW, SAME[kind]) == ()
    assert config_differences(SAME[kind], NEW) == ()


@pytest.mark.parametrize("kind", OTHER)
def test_real_differences_are_named_from_either_side(kind: str) -> None:
    other, key = OTHER[kind]
    here, there = config_differences(NEW, other), config_differences(other, NEW)
    assert here[0].key.startswith(key)
    assert [(d.key, d.first, d.second) for d in here] == [(d.key, d.second, d.first) for d in there]


def test_nested_configs_are_compared_too() -> None:
    one = AutoConfig.for_model("llava").to_dict()
    one = json.loads(json.dumps(one, default=str))
    assert config_differences(one, without(one, "projector_hidden_act")) == ()
    text = dict(one["text_config"]) | {"hidden_size": 128}
    assert config_differences(one, one | {"text_config": text})[0].key.startswith("text_config.")


def test_an_unknown_architecture_is_compared_by_its_keys() -> None:
    old = {"model_type": "mine", "num_attention_heads": 4, "rope_theta": 1e4, "torch_dtype": "x"}
    new = {
        "model_type": "mine",
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000},
        "sliding_window": None,
    }
    assert config_differences(old, new) == ()
    assert [d.key for d in config_differences(old, new | {"width": 3})] == ["width"]
    broken = NEW | {"num_attention_heads": "four"}
    assert [d.key for d in config_differences(NEW, broken)] == ["num_attention_heads"]


def test_what_transformers_knows() -> None:
    assert known_to_transformers("llama")
    assert known_to_transformers("gemma3_text")
    assert not known_to_transformers("evil")
    assert not known_to_transformers(None)
