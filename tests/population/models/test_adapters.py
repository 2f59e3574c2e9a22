"""Adapters as sources of a merge are what peft's own merging makes of them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from population.errors import CheckpointError
from population.models.sources import open_source
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


def live(wrapped: Any) -> torch.Tensor:
    return answers(wrapped.eval())


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("tied", {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]}),
        ("tied", {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]}),
        ("tied", {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}),
        ("tied", {"target_modules": ["q_proj", "lm_head"]}),
        ("tied", {"target_modules": ["embed_tokens", "lm_head"]}),
        ("gpt2", {"target_modules": ["c_attn", "lm_head"]}),
        ("gpt2", {"target_modules": ["c_attn"], "modules_to_save": ["wte"]}),
        ("tied", {"target_modules": ["q_proj"], "trainable_token_indices": [3, 70, 5]}),
        ("llama", {"target_modules": ["q_proj"], "trainable_token_indices": {"lm_head": [9]}}),
        ("gpt2", {"target_modules": ["c_attn", "c_fc"], "lora_bias": True}),
        ("bert", {"target_modules": ["query"], "lora_bias": True, "use_rslora": True}),
        ("gpt2", {"target_modules": ["c_attn"], "bias": "lora_only"}),
        ("llama", {"target_modules": "all-linear", "modules_to_save": ["norm"]}),
    ],
)
def test_an_adapter_answers_as_it_was_trained(
    kind: str, settings: dict[str, Any], zoo: Zoo, tmp_path: Path
) -> None:
    """A head that is tied in the base may differ from the embeddings in the adapted model."""
    wrapped = adapter(zoo, kind, tmp_path / "lora", **settings)
    source = f"{zoo(kind)}+{tmp_path / 'lora'}"
    said: list[str] = []
    step = {"method": "passthrough", "models": ["tuned"]}
    merged(recipe_of({"tuned": source}, step), tmp_path / "out", say=said.append)
    made, expected = answers(load(tmp_path / "out", kind)), live(wrapped)
    assert (made - expected).abs().max() <= 1e-5 * expected.abs().max()
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    unties = any("a head of its own" in line for line in said)
    stored = "lm_head.weight" in arrays_of(tmp_path / "out")
    assert unties == (stored and kind != "llama")
    assert config.get("tie_word_embeddings", True) == (not stored)


def edited(zoo: Zoo, folder: Path, **changes: Any) -> Callable[[], Any]:
    adapter(zoo, "llama", folder, target_modules=["q_proj"])
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in config.items() if v != "absent"}))
    return lambda: open_source(f"{zoo('llama')}+{folder}")


def test_zero_scales_to_nothing(zoo: Zoo, tmp_path: Path) -> None:
    name = "model.layers.1.self_attn.q_proj.weight"
    base = open_source(str(zoo("llama"))).wide(name)
    plain = edited(zoo, tmp_path / "plain")().wide(name)
    assert np.abs(plain - base).max() > 0.01
    for number, changes in enumerate(
        ({"lora_alpha": 0}, {"alpha_pattern": {"q_proj": 0}}, {"alpha_pattern": {".*proj": 0.0}})
    ):
        found = edited(zoo, tmp_path / str(number), **changes)().wide(name)
        assert np.array_equal(found, base)
    other = edited(zoo, tmp_path / "other", alpha_pattern={"layers.0.self_attn.q_proj": 0})()
    np.testing.assert_array_equal(other.wide(name), plain)


def test_what_a_config_does_not_say_is_as_in_peft(zoo: Zoo, tmp_path: Path) -> None:
    """Its defaults are rank 8 and alpha 8; a rank that the factors do not have is no rank."""
    name = "model.layers.0.self_attn.q_proj.weight"
    base = open_source(str(zoo("llama"))).wide(name)
    twelve = edited(zoo, tmp_path / "twelve")().wide(name) - base
    eight = edited(zoo, tmp_path / "eight", lora_alpha="absent")().wide(name) - base
    np.testing.assert_allclose(eight, twelve * 8 / 12, rtol=1e-4, atol=1e-6)
    for number, (changes, said) in enumerate(
        (
            ({"r": "absent"}, "it says rank 8, the factors have 4"),
            ({"r": 0}, "it says rank 0, the factors have 4"),
            ({"r": None}, "gives no scale"),
            ({"lora_alpha": None}, "gives no scale"),
            ({"lora_alpha": "x"}, "gives no scale"),
            ({"lora_alpha": float("inf")}, "lora_alpha inf"),
            ({"rank_pattern": {"q_proj": 0}}, "it says rank 0"),
            ({"rank_pattern": {"(": 4}}, "gives no scale"),
            ({"rank_pattern": [4]}, "gives no scale"),
            ({"target_parameters": ["x"]}, "a LoRA with target_parameters"),
            ({"peft_type": "absent"}, "of type None"),
            ({"peft_type": "IA3"}, "of type IA3"),
        )
    ):
        refused(edited(zoo, tmp_path / str(number), **changes), f"'{number}'", said)


@pytest.mark.parametrize("prefix", ["", "module.base_model.model.", "_orig_mod."])
@pytest.mark.parametrize("infix", ["", ".default", ".my-task"])
def test_other_spellings_of_an_adapters_names(
    prefix: str, infix: str, zoo: Zoo, tmp_path: Path
) -> None:
    opening = edited(zoo, tmp_path / "lora")
    name = "model.layers.1.self_attn.q_proj.weight"
    before = opening().wide(name)
    file = tmp_path / "lora" / "adapter_model.safetensors"
    renamed = {
        prefix + key.removeprefix("base_model.model.").replace(".weight", f"{infix}.weight"): tensor
        for key, tensor in load_file(file).items()
    }
    save_file(renamed, file)
    np.testing.assert_array_equal(opening().wide(name), before)
    twice = {k.replace(f"{infix}.weight", ".other.weight"): t + 1 for k, t in renamed.items()}
    save_file(renamed | twice, file)
    refused(opening, "twice", "several adapters")


def test_an_adapter_on_a_base_that_is_spelled_otherwise(zoo: Zoo, tmp_path: Path) -> None:
    opening = edited(zoo, tmp_path / "lora", alpha_pattern={"^model.layers.1.*q_proj": 3})
    shutil.copytree(zoo("llama"), tmp_path / "bare")
    tensors = load_file(tmp_path / "bare" / "model.safetensors")
    bare = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    save_file(bare, tmp_path / "bare" / "model.safetensors", metadata={"format": "pt"})
    found = open_source(f"{tmp_path / 'bare'}+{tmp_path / 'lora'}")
    for layer in range(2):
        name = f"layers.{layer}.self_attn.q_proj.weight"
        np.testing.assert_array_equal(found.wide(name), opening().wide(f"model.{name}"))


def test_a_pickled_adapter_is_not_opened(zoo: Zoo, tmp_path: Path) -> None:
    opening = edited(zoo, tmp_path / "lora")
    file = tmp_path / "lora" / "adapter_model.safetensors"
    file.rename(file.with_suffix(".bin"))
    refused(opening, "no adapter_model.safetensors", "adapter_model.bin is a pickle")


def test_a_model_with_an_adapter_in_its_folder_is_ambiguous(zoo: Zoo, tmp_path: Path) -> None:
    """transformers applies it, if peft is installed."""
    both = tmp_path / "both"
    wrapped = adapter(zoo, "llama", both, target_modules=["q_proj"])
    shutil.copytree(zoo("llama"), both, dirs_exist_ok=True)
    loaded = answers(AutoModelForCausalLM.from_pretrained(both).eval())
    assert (loaded - live(wrapped)).abs().max() < 1e-5 * loaded.abs().max()
    refused(lambda: open_source(str(both)), "holds a model and an adapter", f"{both}+{both}")
    name = "model.layers.1.self_attn.q_proj.weight"
    expected = wrapped.merge_and_unload().state_dict()[name].numpy()
    np.testing.assert_allclose(open_source(f"{both}+{both}").wide(name), expected, atol=1e-6)
    (both / "adapter_model.safetensors").unlink()
    open_source(str(both))


@pytest.mark.parametrize("seed", range(20))
def test_no_adapter_config_is_a_traceback(seed: int, zoo: Zoo, tmp_path: Path) -> None:
    """Any value in place of any other: taken, or refused in a line."""
    draw = np.random.default_rng(seed)
    values: list[Any] = [None, True, 0, -1, 10**400, 0.5, "", "(", [], [None], {}, {"q_proj": []}]
    opening = edited(zoo, tmp_path / "lora")
    path = tmp_path / "lora" / "adapter_config.json"
    text = path.read_text()
    for _ in range(12):
        config = json.loads(text)
        for key in draw.choice(sorted(config), size=2):
            config[key] = values[draw.integers(len(values))]
        path.write_text(json.dumps(config))
        try:
            opening()
        except CheckpointError as error:
            assert "\n" not in str(error)  # noqa: PT017 - it need not be raised
