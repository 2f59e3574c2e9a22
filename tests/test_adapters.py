"""Adapters as sources of a merge are what peft's own merging makes of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from population.sources import open_source
from tests.merge_helpers import arrays_of, give_tokenizer, merged, recipe_of, refused
from tests.model_zoo import SMALL, Zoo, answers, load, same_answers

LORAS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("llama", {"target_modules": ["q_proj", "down_proj"]}),
    "rslora": ("llama", {"target_modules": ["v_proj"], "use_rslora": True}),
    "patterns": (
        "llama",
        {
            "target_modules": ["q_proj", "up_proj", "o_proj"],
            "rank_pattern": {r"layers\.1\..*q_proj": 2, "up_proj": 6},
            "alpha_pattern": {"up_proj": 3, "model.layers.0.self_attn.q_proj": 40},
        },
    ),
    "modules to save": ("llama", {"target_modules": ["k_proj"], "modules_to_save": ["lm_head"]}),
    "embeddings": ("llama", {"target_modules": ["embed_tokens", "q_proj"]}),
    "tied embeddings": ("tied", {"target_modules": ["embed_tokens"]}),
    "biases": ("gpt2", {"target_modules": ["c_attn"], "bias": "all"}),
    "gpt2": ("gpt2", {"target_modules": ["c_attn", "c_fc", "c_proj"], "fan_in_fan_out": True}),
    "gpt2 by default": ("gpt2", {"target_modules": ["attn.c_proj", "wte"]}),
    "bert": ("bert", {"target_modules": ["query", "value"]}),
}


def adapter(zoo: Zoo, kind: str, into: Path, **settings: Any) -> Any:
    """Train nothing: an adapter of random factors. Gives the wrapped model."""
    torch.manual_seed(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        wrapped = get_peft_model(
            load(zoo(kind), kind), LoraConfig(**{"r": 4, "lora_alpha": 12} | settings)
        )
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.3)
            assert "lora_magnitude" not in name or settings.get("use_dora")
    wrapped.save_pretrained(into)
    return wrapped


@pytest.mark.parametrize("kind", LORAS)
def test_an_adapter_is_merged_as_peft_does(kind: str, zoo: Zoo, tmp_path: Path) -> None:
    family, settings = LORAS[kind]
    wrapped = adapter(zoo, family, tmp_path / "lora", **settings)
    source = f"{zoo(family)}+{tmp_path / 'lora'}"
    step = {"method": "passthrough", "models": ["tuned"]}
    merged(recipe_of({"tuned": source}, step), tmp_path / "out")
    expected = wrapped.merge_and_unload().eval()
    state = expected.state_dict()
    for name, array in arrays_of(tmp_path / "out").items():
        np.testing.assert_allclose(array, state[name].numpy(), rtol=1e-6, atol=1e-6)
    same_answers(load(tmp_path / "out", family), expected, 1e-5)
    assert (answers(expected) - answers(load(zoo(family), family))).abs().max() > 0.01


def test_peft_is_not_believed_where_the_shapes_tell(zoo: Zoo, tmp_path: Path) -> None:
    """It keeps one `fan_in_fan_out` for all modules, which says what the last of them was."""
    wrapped = adapter(zoo, "gpt2", tmp_path / "lora", target_modules=["c_attn"])
    path = tmp_path / "lora" / "adapter_config.json"
    config = json.loads(path.read_text())
    assert config["fan_in_fan_out"]
    path.write_text(json.dumps(config | {"fan_in_fan_out": False}))
    opened = open_source(f"{zoo('gpt2')}+{tmp_path / 'lora'}")
    name = "transformer.h.1.attn.c_attn.weight"
    expected = wrapped.merge_and_unload().state_dict()[name].numpy()
    np.testing.assert_allclose(opened.wide(name), expected, rtol=1e-6, atol=1e-6)


def test_adapters_merge_like_any_model(zoo: Zoo, tmp_path: Path) -> None:
    """TIES over two adapters is TIES over what peft makes of them."""
    sources: dict[str, str | Path] = {"base": zoo("llama")}
    plain: dict[str, str | Path] = {"base": zoo("llama")}
    for name, module in (("one", "q_proj"), ("two", "gate_proj")):
        wrapped = adapter(zoo, "llama", tmp_path / name, target_modules=[module, "o_proj"])
        wrapped.merge_and_unload().save_pretrained(tmp_path / f"{name} merged")
        give_tokenizer(tmp_path / f"{name} merged")
        sources[name] = f"{zoo('llama')}+{tmp_path / name}"
        plain[name] = tmp_path / f"{name} merged"
    step = {
        "method": "ties",
        "base": "base",
        "models": ["one", "two"],
        "parameters": {"weight": 0.5, "density": 0.4},
    }
    merged(recipe_of(sources, step), tmp_path / "out")
    merged(recipe_of(plain, step), tmp_path / "expected")
    found, expected = arrays_of(tmp_path / "out"), arrays_of(tmp_path / "expected")
    for name, array in found.items():
        # Elements at the edge of the kept share may fall to either side.
        differs = ~np.isclose(array, expected[name], rtol=1e-5, atol=1e-6)
        assert differs.mean() <= 0.01


def test_adapters_that_are_no_plain_lora_are_refused(zoo: Zoo, tmp_path: Path) -> None:
    def opening(name: str, base: Path | None = None) -> Callable[[], object]:
        return lambda: open_source(f"{base or zoo('llama')}+{tmp_path / name}")

    adapter(zoo, "llama", tmp_path / "dora", target_modules=["q_proj"], use_dora=True)
    refused(opening("dora"), "'dora' is a DoRA", "only plain LoRA")
    adapter(zoo, "llama", tmp_path / "pissa", target_modules=["q_proj"], init_lora_weights="pissa")
    refused(opening("pissa"), "'pissa'", "changes its base", "init_lora_weights: pissa")
    adapter(zoo, "gpt2", tmp_path / "other", target_modules=["c_attn"])
    refused(opening("other"), "c_attn.weight", "the model that the adapter was trained on?")
    adapter(zoo, "llama", tmp_path / "fits", target_modules=["q_proj"])
    wider = SMALL | {"hidden_size": 32}
    AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **wider)).save_pretrained(
        tmp_path / "wide"
    )
    refused(opening("fits", tmp_path / "wide"), "does not make [32, 32]", "'wide'")
    opening("fits")()

    refused(lambda: open_source(str(tmp_path / "fits")), "is a LoRA adapter; write BASE+")
    refused(opening("none"), "no model at")
    (tmp_path / "fits" / "adapter_model.safetensors").unlink()
    refused(opening("fits"), "no adapter_model.safetensors")
    (tmp_path / "fits" / "adapter_config.json").write_text("[1]")
    refused(opening("fits"), "'fits'")
    (tmp_path / "fits" / "adapter_config.json").write_text("{")
    refused(opening("fits"), "adapter_config.json")
