"""Layers in a new order compute what the same layers do, copied module by module."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoConfig, AutoModelForCausalLM

from tests.merge_helpers import arrays_of, linear, merged, recipe_of, refused
from tests.model_zoo import STEPS, Zoo, answers, load, same_answers


def layers_of(model: Any) -> Any:
    return model.transformer.h if hasattr(model, "transformer") else model.model.layers


def stacked(folders: list[Path], path: list[tuple[int, int]], kind: str = "llama") -> Any:
    """Layers copied module by module into a model of as many layers."""
    models = [load(folder, kind) for folder in folders]
    config = AutoConfig.for_model(**models[0].config.to_dict() | {"num_hidden_layers": len(path)})
    model = AutoModelForCausalLM.from_config(config).eval()
    outer = {
        name: value
        for name, value in models[0].state_dict().items()
        if ".layers." not in name and ".h." not in name
    }
    model.load_state_dict(outer, strict=False)
    for layer, (number, source) in zip(layers_of(model), path, strict=True):
        layer.load_state_dict(layers_of(models[number])[source].state_dict())
    return model


def ranged(*ranges: tuple[str, int, int]) -> list[dict[str, Any]]:
    return [{"sources": [{"model": m, "layer_range": [start, stop]}]} for m, start, stop in ranges]


def test_a_frankenmerge_of_two_models(zoo: Zoo, tmp_path: Path) -> None:
    step = {
        "method": "passthrough",
        "slices": ranged(("a", 0, 3), ("b", 1, 4), ("a", 2, 4)),
    }
    sources = {"a": zoo("llama", "a"), "b": zoo("llama", "b")}
    merged(recipe_of(sources, step), tmp_path / "out")
    model = load(tmp_path / "out")
    assert model.config.num_hidden_layers == 8
    path = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (1, 3), (0, 2), (0, 3)]
    same_answers(model, stacked(list(sources.values()), path), 0)
    names = arrays_of(tmp_path / "out").keys()
    assert {name.split(".")[2] for name in names if ".layers." in name} == set("01234567")


def test_slices_may_merge_a_model_with_itself_further_up(zoo: Zoo, tmp_path: Path) -> None:
    weights = [("a", [0, 2], 0.25), ("a", [2, 4], 0.75)]
    sources = [
        {"model": m, "layer_range": layers, "parameters": {"weight": w}} for m, layers, w in weights
    ]
    step = {"method": "linear", "slices": [{"sources": sources}]}
    merged(recipe_of({"a": zoo("llama")}, step), tmp_path / "out")
    before, after = arrays_of(zoo("llama")), arrays_of(tmp_path / "out")
    for layer in range(2):
        part = "mlp.up_proj.weight"
        expected = (
            0.25 * before[f"model.layers.{layer}.{part}"]
            + 0.75 * before[f"model.layers.{layer + 2}.{part}"]
        )
        np.testing.assert_allclose(after[f"model.layers.{layer}.{part}"], expected, atol=1e-6)


def test_slices_that_cannot_be_are_named(zoo: Zoo, tmp_path: Path) -> None:
    def run(*slices: dict[str, Any]) -> None:
        step = {"method": "linear", "slices": list(slices), "parameters": {"weight": 1}}
        sources = {"a": zoo("llama"), "b": zoo("gpt2")}
        merged(recipe_of(sources, step), tmp_path / "out")

    refused(lambda: run(*ranged(("a", 2, 6))), "slice 0", "'a' has layers 0 to 3, no 4")
    refused(lambda: run(*ranged(("a", 0, 2), ("a", 3, 2))), "slice 1", "[3, 2] of 'a'")
    refused(lambda: run(*ranged(("a", 0, 2), ("a", -1, 2))), "slice 1", "[-1, 2] of 'a'")
    refused(lambda: run(*ranged(("a", 2, 2), ("a", 4, 4))), "take no layer at all")
    refused(lambda: run(*ranged(("a", 0, 2), ("b", 0, 2))), "gpt2", "llama")
    both = {"sources": ranged(("a", 0, 2))[0]["sources"] + ranged(("a", 1, 2))[0]["sources"]}
    refused(lambda: run(both), "slice 0", "same number of layers")


def route(path: list[tuple[int, int, float]], *models: str) -> dict[str, Any]:
    return {"method": "route", "models": list(models), "path": path}


def scaled(model: Any, scales: list[float]) -> Any:
    """Multiply what enters each layer."""
    for layer, scale in zip(layers_of(model), scales, strict=True):
        layer.register_forward_pre_hook(
            lambda _module, args, scale=scale: (args[0] * scale, *args[1:])
        )
    return model


PATH = [(0, 0, 1.5), (0, 1, 0.7), (1, 1, 1.0), (1, 2, -1.2), (0, 2, 0.9)]


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_route_with_scales_computes_as_if_they_were_there(
    kind: str, zoo: Zoo, tmp_path: Path
) -> None:
    folders = [zoo(kind, "a"), zoo(kind, "b")]
    recipe = recipe_of(dict(zip("ab", folders, strict=True)), route(PATH, "a", "b"))
    merged(recipe, tmp_path / "out")
    plain = stacked(folders, [(model, layer) for model, layer, _ in PATH], kind)
    unscaled = answers(plain)
    expected = scaled(plain, [scale for *_, scale in PATH])
    model = load(tmp_path / "out", kind)
    same_answers(model, expected, 1e-3)
    difference = (answers(model) - unscaled).abs().max()
    assert difference > 0.05 * unscaled.abs().max()


def test_merge_first_then_route(zoo: Zoo, tmp_path: Path) -> None:
    """The second step re-orders what the first has merged; as one recipe, and through files."""
    first = {"name": "calm", **STEPS["slerp"][0]}
    then = route(PATH, "calm", "c")
    merged(recipe_of(zoo.three("llama"), first, then), tmp_path / "out")
    merged(recipe_of(zoo.three("llama"), first), tmp_path / "calm")
    folders = [tmp_path / "calm", zoo("llama", "c")]
    expected = scaled(
        stacked(folders, [(m, layer) for m, layer, _ in PATH]), [scale for *_, scale in PATH]
    )
    same_answers(load(tmp_path / "out"), expected, 1e-3)
    # And the other way round: a merge of routes.
    after = linear({"deep": 0.5, "other": 0.5})
    deep = {"name": "deep", **route(PATH, "a", "b")}
    other = {"name": "other", **route(PATH, "b", "c")}
    merged(recipe_of(zoo.three("llama"), deep, other, after), tmp_path / "mixed")
    merged(recipe_of(zoo.three("llama"), deep), tmp_path / "deep")
    merged(recipe_of(zoo.three("llama"), other), tmp_path / "other")
    one, two, both = (arrays_of(tmp_path / name) for name in ("deep", "other", "mixed"))
    for name, found in both.items():
        np.testing.assert_allclose(found, (one[name] + two[name]) / 2, atol=1e-6)
