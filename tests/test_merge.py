"""Merges from end to end: what is written loads in transformers and computes what was asked for.

References are plain torch formulas over state dicts, other models' layers copied module by module,
and peft's own merging.
"""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from peft import LoraConfig, get_peft_model
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer as Library
from tokenizers import models as token_models
from tokenizers import pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
)

from population.merging.chat_templates import NAMED
from population.merging.recipe import Recipe, read_recipe
from population.sources import open_source
from tests.merge_helpers import (
    LAYERS,
    TOKENS,
    arrays_of,
    give_tokenizer,
    linear,
    merged,
    recipe_of,
    refused,
    write_llama,
)

SMALL = {
    "vocab_size": TOKENS,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
GPT2 = {"vocab_size": TOKENS, "n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 64}
BERT = {key: value for key, value in SMALL.items() if key != "num_key_value_heads"}
VIT = BERT | {"image_size": 8, "patch_size": 4, "num_channels": 1}
KINDS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "llama": ("llama", AutoModelForCausalLM, SMALL | {"tie_word_embeddings": False}),
    "tied": ("llama", AutoModelForCausalLM, SMALL | {"tie_word_embeddings": True}),
    "gpt2": ("gpt2", AutoModelForCausalLM, GPT2),
    "bert": ("bert", AutoModelForMaskedLM, BERT),
    "vit": ("vit", AutoModel, VIT),
}
ABC = ("a", "b", "c")


class Zoo:
    """Three random models of each kind, saved once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, kind: str, name: str = "a") -> Path:
        folder = self._folder / kind / name
        if not folder.exists():
            family, loader, settings = KINDS[kind]
            torch.manual_seed(ABC.index(name))
            model = loader.from_config(AutoConfig.for_model(family, **settings))
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.normal_(std=0.4)
            model.save_pretrained(folder)
            if kind != "vit":
                give_tokenizer(folder)
        return folder

    def three(self, kind: str) -> dict[str, Path]:
        return {name: self(kind, name) for name in ABC}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return Zoo(tmp_path_factory.mktemp("zoo"))


def load(folder: Path, kind: str = "llama", dtype: Any = torch.float32) -> Any:
    return KINDS[kind][1].from_pretrained(folder, dtype=dtype).eval()


def answers(model: Any) -> torch.Tensor:
    """What a model says to some input."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        if model.config.model_type == "vit":
            found = model(torch.randn(2, 1, 8, 8, generator=generator)).last_hidden_state
        else:
            found = model(torch.randint(0, 70, (2, 9), generator=generator)).logits
    assert found.isfinite().all()
    result: torch.Tensor = found
    return result


def same_answers(one: Any, other: Any, tolerance: float = 1e-5) -> None:
    mine, theirs = answers(one), answers(other)
    assert mine.shape == theirs.shape
    assert (mine - theirs).abs().max() <= tolerance * theirs.abs().max()


Formula = Callable[..., torch.Tensor]


def slerp(one: torch.Tensor, other: torch.Tensor, t: float) -> torch.Tensor:
    """Spherical interpolation of two tensors as vectors."""
    cosine = (one * other).sum() / (one.norm() * other.norm())
    if cosine > 1 - 1e-9:
        return (1 - t) * one + t * other
    angle = torch.acos(cosine)
    return (torch.sin((1 - t) * angle) * one + torch.sin(t * angle) * other) / torch.sin(angle)


STEPS: dict[str, tuple[dict[str, Any], Formula]] = {
    "linear": (
        linear({"a": 0.5, "b": 0.3, "c": 0.4}, parameters={"normalize": True}),
        lambda a, b, c: (0.5 * a + 0.3 * b + 0.4 * c) / 1.2,
    ),
    "task arithmetic": (
        {
            "method": "task_arithmetic",
            "base": "a",
            "models": [
                {"model": "b", "parameters": {"weight": 0.6}},
                {"model": "c", "parameters": {"weight": -0.2}},
            ],
        },
        lambda a, b, c: a + 0.6 * (b - a) - 0.2 * (c - a),
    ),
    "slerp": (
        {"method": "slerp", "base": "a", "models": ["b"], "parameters": {"t": 0.3}},
        lambda a, b, _: slerp(a, b, 0.3),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", STEPS)
def test_what_is_written_computes_what_the_formula_says(
    kind: str, method: str, zoo: Zoo, tmp_path: Path
) -> None:
    step, formula = STEPS[method]
    merged(recipe_of(zoo.three(kind), step), tmp_path / "out")
    states = [load(zoo(kind, name), kind).double().state_dict() for name in ABC]
    reference = load(zoo(kind, "c"), kind)
    reference.load_state_dict({key: formula(*(s[key] for s in states)) for key in states[0]})
    same_answers(load(tmp_path / "out", kind), reference)
    found = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"config.json", "model.safetensors", "README.md", "recipe.json"} <= found
    if kind != "vit":
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
        assert (
            tokenizer("12+3").input_ids
            == AutoTokenizer.from_pretrained(zoo(kind))("12+3").input_ids
        )


def test_a_result_is_the_same_whatever_files_it_lies_in(zoo: Zoo, tmp_path: Path) -> None:
    recipe = recipe_of(zoo.three("llama"), STEPS["slerp"][0])
    whole = merged(recipe, tmp_path / "whole")
    parts = merged(recipe, tmp_path / "parts", shard=5000)
    single = merged(recipe, tmp_path / "single.safetensors")
    assert parts.weights_sha256 == whole.weights_sha256 == single.weights_sha256
    files = list((tmp_path / "parts").glob("model-*-of-*.safetensors"))
    assert len(files) > 5
    same_answers(load(tmp_path / "parts"), load(tmp_path / "whole"), 0)
    # And so is what is made of them.
    again = [
        merged(recipe_of({"a": tmp_path / f, "b": zoo("llama", "b")}, linear({"a": 0.5, "b": 0.5})),
               tmp_path / f"from {f}").weights_sha256
        for f in ("whole", "parts")
    ]  # fmt: skip
    assert again[0] == again[1]
    index = json.loads((tmp_path / "parts" / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == {file.name for file in files}
    assert index["metadata"]["total_size"] == whole.needs.disk


@pytest.mark.parametrize("out", [None, "float32", "float16", "bfloat16"])
def test_dtypes_may_be_mixed(out: str | None, zoo: Zoo, tmp_path: Path) -> None:
    dtypes = {"a": torch.float32, "b": torch.float16, "c": torch.bfloat16}
    sources = {}
    for name, dtype in dtypes.items():
        load(zoo("llama", name), dtype=dtype).save_pretrained(tmp_path / name)
        give_tokenizer(tmp_path / name)
        sources[name] = tmp_path / name
    step, formula = STEPS["linear"]
    output = {} if out is None else {"dtype": out}
    said: list[str] = []
    merged(recipe_of(sources, step, **output), tmp_path / "out", say=said.append)
    assert any("different dtypes: bfloat16, float16, float32" in line for line in said)
    wanted = getattr(torch, out or "float32")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    assert model.dtype == wanted
    states = [load(sources[name], dtype=torch.float64).state_dict() for name in ABC]
    for name, found in model.state_dict().items():
        expected = formula(*(state[name] for state in states)).to(wanted)
        step_of_dtype = torch.finfo(wanted).eps
        assert found.dtype == wanted
        close = torch.isclose(found.double(), expected.double(), rtol=step_of_dtype, atol=1e-7)
        assert close.all()


def test_one_model_alone_is_copied_bit_by_bit(zoo: Zoo, tmp_path: Path) -> None:
    source = open_source(str(zoo("gpt2")))
    step = {"method": "passthrough", "models": ["a"]}
    assert merged(recipe_of({"a": source.path}, step), tmp_path / "x").weights_sha256 == (
        source.sha256()
    )
    # A model that weighs nothing, and a model merged with itself, change no bit.
    nothing = {"a": source.path, "b": zoo("gpt2", "b")}
    for number, weights in enumerate(({"a": 1.0, "b": 0.0}, {"a": 0.3, "again": 0.7})):
        found = recipe_of(nothing | {"again": source.path}, linear(weights))
        assert merged(found, tmp_path / str(number)).weights_sha256 == source.sha256()


# Layers in a new order.


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
    refused(lambda: run(*ranged(("a", 0, 2), ("a", 2, 2))), "slice 1", "number of layers")
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


# Steps upon steps.


def chain(count: int, step: Callable[[str, int], dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps of which each takes the one before."""
    last = "a"
    steps = []
    for number in range(count):
        steps.append({"name": f"n{number}", **step(last, number)})
        last = f"n{number}"
    return steps


def numbers(folder: Path, names: str = "abc") -> dict[str, Path]:
    """Models of numbers, with a counter among them."""
    made = {}
    for seed, name in enumerate(names):
        write_llama(folder / name, seed=seed, layers=2)
        weights = load_file(folder / name / "model.safetensors")
        weights["model.steps"] = np.array([seed, 7], np.int64)
        save_file(weights, folder / name / "model.safetensors", metadata={"format": "pt"})
        made[name] = folder / name
    return made


def test_a_thousand_linear_steps_are_one(tmp_path: Path) -> None:
    share = 0.998
    steps = chain(
        1000,
        lambda last, n: linear({last: share, "b" if n % 2 else "c": 1 - share}),
    )
    sources = numbers(tmp_path / "in")
    merged(recipe_of(sources, *steps), tmp_path / "out")
    weights = {"a": share**1000, "b": 0.0, "c": 0.0}
    for n in range(1000):
        weights["b" if n % 2 else "c"] += (1 - share) * share ** (999 - n)
    found = arrays_of(tmp_path / "out")
    arrays = {name: arrays_of(folder) for name, folder in sources.items()}
    for tensor, value in found.items():
        if tensor == "model.steps":
            assert value.tolist() == [0, 7]  # the first model's, copied
            continue
        expected = sum(weights[name] * arrays[name][tensor].astype(float) for name in "abc")
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


def test_a_thousand_slerp_steps_are_replayed_as_they_were(tmp_path: Path) -> None:
    steps = chain(
        1000,
        lambda last, n: {
            "method": "slerp",
            "base": last,
            "models": ["b" if n % 3 else "c"],
            "parameters": {"t": 0.002 + 0.001 * (n % 5)},
        },
    )
    sources = numbers(tmp_path / "in")
    merged(recipe_of(sources, *steps), tmp_path / "out")
    found = arrays_of(tmp_path / "out")
    arrays = {
        name: {tensor: torch.from_numpy(array).double() for tensor, array in arrays_of(p).items()}
        for name, p in sources.items()
    }
    for tensor in ("model.layers.1.mlp.down_proj.weight", "model.norm.weight", "lm_head.weight"):
        state = arrays["a"][tensor]
        for n in range(1000):
            other = arrays["b" if n % 3 else "c"][tensor]
            state = slerp(state, other, 0.002 + 0.001 * (n % 5))
        np.testing.assert_allclose(found[tensor], state.numpy(), rtol=1e-4, atol=1e-5)


def test_shared_ancestors_are_made_once(tmp_path: Path) -> None:
    """Both children of a generation are parents of both of the next: 2^40 paths, 80 steps."""
    steps: list[dict[str, Any]] = []
    pair = ("a", "b")
    for n in range(40):
        steps.append({"name": f"x{n}", **linear({pair[0]: 0.75, pair[1]: 0.25})})
        steps.append(
            {
                "name": f"y{n}",
                "method": "slerp",
                "base": pair[0],
                "models": [pair[1]],
                "parameters": {"t": 0.6},
            }
        )
        pair = (f"x{n}", f"y{n}")
    sources = numbers(tmp_path / "in", "ab")
    merged(recipe_of(sources, *steps), tmp_path / "out")
    arrays = [arrays_of(folder) for folder in sources.values()]
    found = arrays_of(tmp_path / "out")
    for tensor in ("model.layers.0.mlp.up_proj.weight", "model.norm.weight"):
        one, other = (torch.from_numpy(array[tensor]).double() for array in arrays)
        for _ in range(40):
            one, other = 0.75 * one + 0.25 * other, slerp(one, other, 0.6)
        np.testing.assert_allclose(found[tensor], other.numpy(), rtol=1e-4, atol=1e-5)


STREAMED = [
    {"name": "mean", **linear({"a": 0.4, "b": 0.6})},
    {
        "name": "thin",
        "method": "dare_linear",
        "base": "a",
        "models": ["mean", "c"],
        "parameters": {"weight": 0.5, "density": 0.6},
        "seed": 3,
    },
    {
        "name": "ranked",  # draws while it is read, so it must be read once, in order
        "method": "della_linear",
        "base": "a",
        "models": ["thin", "b"],
        "parameters": {"weight": 0.5, "density": 0.6, "epsilon": 0.2, "rescale": False},
        "seed": 4,
    },
    {
        "name": "last",
        "method": "ties",
        "base": "a",
        "models": ["ranked", "mean"],
        "parameters": {"weight": [0.3, 0.9], "density": 0.5},
    },
]


def one_by_one(
    sources: Mapping[str, Path], steps: list[dict[str, Any]], folder: Path
) -> dict[str, Path]:
    """Run steps through files, each over what the ones before have written."""
    known = dict(sources)
    for step in steps:
        merged(recipe_of(known, step), folder / step["name"])
        known[step["name"]] = folder / step["name"]
    return known


def test_steps_of_any_kind_nest_as_if_each_had_been_written(tmp_path: Path) -> None:
    sources = numbers(tmp_path / "in")
    merged(recipe_of(sources, *STREAMED), tmp_path / "out")
    apart = one_by_one(sources, STREAMED, tmp_path / "apart")
    assert load_file(apart["last"] / "model.safetensors").keys() == arrays_of(apart["a"]).keys()
    found, expected = arrays_of(tmp_path / "out"), arrays_of(apart["last"])
    thin = arrays_of(apart["thin"])
    assert any((thin[name] == arrays_of(apart["a"])[name]).any() for name in thin)
    for name, array in found.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("granularity", ["half", "group"])
def test_blocks_nest_too(granularity: str, tmp_path: Path) -> None:
    """A step per block over a step per block, of combinations that need angles."""
    from population.blocks import layout_of  # noqa: PLC0415
    from tests.merge_helpers import LLAMA, llama_shapes  # noqa: PLC0415

    sources = numbers(tmp_path / "in")
    shapes = llama_shapes(2) | {"model.steps": (2,)}
    layout = layout_of(shapes, LLAMA, granularity, 2)  # type: ignore[arg-type]
    names = [block.name for block in layout.blocks]

    def values(seed: int) -> dict[str, Any]:
        draw = np.random.default_rng(seed)
        return {"blocks": {name: float(draw.uniform(0.1, 0.9)) for name in names}}

    cut = {"granularity": granularity, "groups": 2}
    steps = [
        {"name": "one", **linear({"a": values(0), "b": values(1)}, blocks=cut)},
        {
            "name": "two",
            "method": "slerp",
            "base": "one",
            "models": ["c"],
            "parameters": {"t": values(2)},
            "blocks": cut,
        },
    ]
    merged(recipe_of(sources, *steps), tmp_path / "out")
    arrays = {name: arrays_of(path) for name, path in sources.items()}
    found = arrays_of(tmp_path / "out")
    v = [values(seed)["blocks"] for seed in range(3)]
    for tensor, segments in layout.segments.items():
        for segment in segments:
            block = names[segment.block]
            a, b, c, out = (
                torch.from_numpy(
                    x[tensor].take(range(segment.start, segment.stop), axis=segment.dim)
                ).double()
                for x in (arrays["a"], arrays["b"], arrays["c"], found)
            )
            if tensor != "model.steps":
                expected = slerp(v[0][block] * a + v[1][block] * b, c, v[2][block])
                torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "step",
    [
        {"method": "ties", "base": "a", "parameters": {"weight": 1, "density": 0.9}},
        {"method": "route", "path": [(0, 0, 1), (1, 1, 1)]},
    ],
)
def test_too_many_steps_that_are_no_sums_are_refused(step: dict[str, Any], tmp_path: Path) -> None:
    def run(count: int, into: str) -> None:
        steps = chain(count, lambda last, _: step | {"models": [last, "b"]})
        merged(recipe_of(sources, *steps), tmp_path / into)

    sources = {name: write_llama(tmp_path / name, seed=n, layers=2) for n, name in enumerate("ab")}
    run(60, "out")
    assert np.isfinite(arrays_of(tmp_path / "out")["lm_head.weight"]).all()
    refused(lambda: run(1200, "no"), "step 'n200'", "lie upon each other")


def test_shared_ancestors_may_be_cut_within_tensors(tmp_path: Path) -> None:
    sources = {name: write_llama(tmp_path / name, n, layers=2) for n, name in enumerate("ab")}
    blocks = [
        f"layer {n} {part} {k}" for n in (0, 1) for part in ("heads", "units") for k in (0, 1)
    ]
    values = dict.fromkeys([*blocks, "layer 0 rest", "layer 1 rest", "outside"], 0.25)
    values["layer 1 units 1"] = 0.0
    steps: list[dict[str, Any]] = []
    pair = ("a", "b")
    for n in range(40):
        for name, one, other in ((f"x{n}", *pair), (f"y{n}", *pair[::-1])):
            rest = {block: 1 - value for block, value in values.items()}
            step = linear(
                {one: {"blocks": rest}, other: {"blocks": values}},
                blocks={"granularity": "group", "groups": 2},
            )
            steps.append({"name": name} | step)
        pair = (f"x{n}", f"y{n}")
    merged(recipe_of(sources, *steps), tmp_path / "out")
    found = arrays_of(tmp_path / "out")
    # The pair converges to its mean, but for a block in which each stays what it was.
    np.testing.assert_allclose(found["model.norm.weight"], 0.5, atol=1e-6)
    up = found["model.layers.1.mlp.up_proj.weight"]
    np.testing.assert_allclose(up[:6], 0.5, atol=1e-6)
    np.testing.assert_allclose(up[6:], 1.0, atol=1e-6)


# Hashes, and the recipe that lies beside.


def test_hashes_that_a_recipe_states_are_checked(zoo: Zoo, tmp_path: Path) -> None:
    sources = zoo.three("llama")
    step = STEPS["linear"][0]
    sha = merged(recipe_of(sources, step), tmp_path / "out").weights_sha256
    assert open_source(str(tmp_path / "out")).sha256() == sha
    merged(recipe_of(sources, step, weights_sha256=sha), tmp_path / "again")
    wrong = recipe_of(sources, step, weights_sha256="0" * 64)
    refused(lambda: merged(wrong, tmp_path / "no"), "promises weights 000000000000", sha[:12])
    assert not (tmp_path / "no").exists()

    def pinned(name: str, pin: str) -> Recipe:
        recipe = recipe_of(sources, step)
        source = recipe.sources[name].model_copy(update={"weights_sha256": pin})
        return recipe.model_copy(update={"sources": {**recipe.sources, name: source}})

    right = open_source(str(sources["b"])).sha256()
    merged(pinned("b", right), tmp_path / "right")
    refused(lambda: merged(pinned("b", sha), tmp_path / "no"), "'b' at", right[:12], sha[:12])
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("pin", [False, True])
def test_the_recipe_beside_a_result_makes_it_again(
    pin: bool, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        shutil.copytree(zoo("llama", name), tmp_path / "models" / name)
    recipe = recipe_of({"a": "models/a", "b": "models/b"}, STEPS["slerp"][0])
    (tmp_path / "my.json").write_text(recipe.text())
    monkeypatch.chdir(tmp_path)  # so that all paths are relative
    first = merged(read_recipe(Path("my.json")), Path("results/out"), pin=pin)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    beside = read_recipe(tmp_path / "results" / "out" / "recipe.json")
    assert beside.output.weights_sha256 == first.weights_sha256
    hashes = [source.weights_sha256 for source in beside.sources.values()]
    expected = [open_source(str(tmp_path / "models" / name)).sha256() for name in "ab"]
    assert hashes == (expected if pin else [None, None])
    assert merged(beside, Path("again")).weights_sha256 == first.weights_sha256


# Adapters.

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


# Vocabularies.


def wordy(folder: Path, words: list[str], seed: int, tied: bool = False) -> Path:
    """A tiny Llama whose vocabulary is some words."""
    torch.manual_seed(seed)
    settings = SMALL | {"vocab_size": len(words), "tie_word_embeddings": tied}
    AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **settings)).save_pretrained(
        folder
    )
    library = Library(
        token_models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>")
    )
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    library.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>"})
    )
    return folder


@pytest.mark.parametrize("tied", [False, True])
def test_vocabularies_are_joined_row_by_row(tied: bool, tmp_path: Path) -> None:
    words = {
        "a": ["<unk>", "the", "cat", "sat", "mat"],
        "b": ["<unk>", "dog", "the", "ran", "cat", "off"],
    }
    sources = {
        name: wordy(tmp_path / name, vocabulary, seed, tied)
        for seed, (name, vocabulary) in enumerate(words.items())
    }
    step = linear({"a": 0.25, "b": 0.75})
    merged(recipe_of(sources, step, tokenizer={"source": "union"}), tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    model = load(tmp_path / "out")
    assert set(tokenizer.get_vocab()) == set(words["a"]) | set(words["b"])
    assert model.config.vocab_size == len(tokenizer) == 8
    assert tokenizer.convert_ids_to_tokens(tokenizer("the dog sat off").input_ids) == [
        "the",
        "dog",
        "sat",
        "off",
    ]
    before = {name: load(folder) for name, folder in sources.items()}
    for get in ("get_input_embeddings", "get_output_embeddings"):
        rows = {name: getattr(m, get)().weight for name, m in before.items()}
        found = getattr(model, get)().weight
        for word, row in tokenizer.get_vocab().items():
            # Who lacks a word borrows its row from the one that has it.
            a, b = (
                rows[name][words[name].index(word)]
                if word in words[name]
                else rows[other][words[other].index(word)]
                for name, other in (("a", "b"), ("b", "a"))
            )
            torch.testing.assert_close(found[row], 0.25 * a + 0.75 * b)
    tied_now = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert tied_now == tied


def test_other_choices_of_a_vocabulary(tmp_path: Path) -> None:
    sources = {
        "a": wordy(tmp_path / "a", ["<unk>", "the", "cat"], 0),
        "b": wordy(tmp_path / "b", ["<unk>", "dog", "the", "ran", "cat"], 1),
    }
    step = {"method": "task_arithmetic", "base": "a", "models": ["b"], "parameters": {"weight": 1}}
    refused(
        lambda: merged(recipe_of(sources, step), tmp_path / "no"),
        "'b' has another tokenizer than 'a'",
        '"tokenizer": {"source": "union"}',
        "tokenizer_source",
    )
    refused(
        lambda: merged(recipe_of(sources, step, tokenizer={"source": "c"}), tmp_path / "no"),
        "tokenizer source 'c' is neither union nor base nor a source",
    )
    assert not (tmp_path / "no").exists()
    for source, size in (("base", 3), ("b", 5)):
        out = tmp_path / source / "out"
        merged(recipe_of(sources, step, tokenizer={"source": source}), out)
        assert load(out).config.vocab_size == len(AutoTokenizer.from_pretrained(out)) == size
    tokens = {"<new>": {"source": {"kind": "zero"}}}
    choice = {"source": "union", "pad_to_multiple_of": 8, "tokens": tokens}
    merged(recipe_of(sources, step, tokenizer=choice), tmp_path / "padded")
    model = load(tmp_path / "padded")
    assert model.config.vocab_size == 8
    row = AutoTokenizer.from_pretrained(tmp_path / "padded").get_vocab()["<new>"]
    assert (model.get_input_embeddings().weight[row] == 0).all()


# Cards and chat templates.


def carded(zoo: Zoo, folder: Path, **licences: str | None) -> dict[str, Path]:
    """Copies of models, each with a card that states a licence (or none)."""
    sources = {}
    for number, (name, licence) in enumerate(licences.items()):
        sources[name] = folder / name
        shutil.copytree(zoo("llama", ABC[number]), sources[name])
        if licence is not None:
            front = f"---\nlicense: {licence}\ntags: [x]\n---\n# Model\n"
            (sources[name] / "README.md").write_text(front)
    return sources


def front_of(folder: Path) -> tuple[dict[str, Any], str]:
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    return yaml.safe_load(front), text


def test_the_card_says_where_it_comes_from(zoo: Zoo, tmp_path: Path) -> None:
    sources = carded(zoo, tmp_path / "in", math="apache-2.0", base="apache-2.0")
    step = {
        "method": "task_arithmetic",
        "base": "base",
        "models": ["math"],
        "parameters": {"weight": 1},
    }
    made = merged(recipe_of(sources, step), tmp_path / "tuned")
    front, text = front_of(tmp_path / "tuned")
    assert front["base_model_relation"] == "merge"
    assert front["base_model"] == ["base", "math"]
    assert front["license"] == "apache-2.0"
    assert "# tuned" in text
    assert "| base | base | apache-2.0 |" in text
    assert "task_arithmetic" in text
    assert made.weights_sha256 in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("licences", "license_", "conflict"),
    [
        ({"a": "mit", "b": "llama3"}, "other", True),
        ({"a": "mit", "b": None}, "other", False),
        ({"a": None, "b": None}, None, False),
        ({"a": "[oops", "b": "[]"}, None, False),
    ],
)
def test_licences_bind_the_merge(
    licences: dict[str, str | None],
    license_: str | None,
    conflict: bool,
    zoo: Zoo,
    tmp_path: Path,
) -> None:
    sources = carded(zoo, tmp_path / "in", **licences)
    said: list[str] = []
    recipe = recipe_of(sources, linear({"a": 0.5, "b": 0.5}))
    merged(recipe, tmp_path / "out", say=said.append)
    front, text = front_of(tmp_path / "out")
    assert front.get("license") == license_
    assert ("different licences (llama3, mit)" in text) == conflict
    assert any("different licences (llama3, mit)" in line for line in said) == conflict
    if None in licences.values():
        assert "not stated" in text


def test_chat_templates_by_name_by_text_and_by_majority(zoo: Zoo, tmp_path: Path) -> None:
    sources = carded(zoo, tmp_path / "in", a=None, b=None, c=None)
    step = STEPS["linear"][0]

    def template(choice: str, name: str) -> str:
        merged(recipe_of(sources, step, chat_template=choice), tmp_path / name)
        found: str = AutoTokenizer.from_pretrained(tmp_path / name).chat_template
        return found

    refused(lambda: template("auto", "none"), "no source has a chat template")
    assert not (tmp_path / "none").exists()
    refused(lambda: template("nonsense", "none"), "'nonsense'", "auto, chatml, alpaca")
    text = "{% for message in messages %}<{{ message['content'] }}>{% endfor %}"
    assert template(text, "text") == text
    assert template("chatml", "named") == NAMED["chatml"]
    (sources["a"] / "chat_template.jinja").write_text("{{ 'A' }}")
    # Most models on the hub still have theirs in tokenizer_config.json.
    for name in "bc":
        path = sources[name] / "tokenizer_config.json"
        path.write_text(
            json.dumps(json.loads(path.read_text()) | {"chat_template": "{{ 'majority' }}"})
        )
    assert template("auto", "auto") == "{{ 'majority' }}"


@pytest.mark.parametrize("name", NAMED)
def test_named_templates_render(name: str, zoo: Zoo, tmp_path: Path) -> None:
    step = {"method": "passthrough", "models": ["a"]}
    merged(recipe_of({"a": zoo("llama")}, step, chat_template=name), tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    talk = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hi."}]
    said = tokenizer.apply_chat_template(talk, tokenize=False)
    assert "Hello?" in said
    assert "Hi." in said
    asked = tokenizer.apply_chat_template(talk[:1], tokenize=False, add_generation_prompt=True)
    assert said.startswith(asked[: len(asked) // 2])
    assert math.isfinite(len(asked))


# What does not fit.


def test_models_that_do_not_fit_are_named(zoo: Zoo, tmp_path: Path) -> None:
    def run(other: Path | str, step: dict[str, Any] | None = None) -> Callable[[], object]:
        sources = {"a": zoo("llama"), "b": other}
        return lambda: merged(recipe_of(sources, step or linear({"a": 1, "b": 1})), tmp_path / "no")

    wide = write_llama(tmp_path / "wide", seed=1)
    refused(run(wide), "step 's0'", "of shape", "'b'")
    deep = write_llama(tmp_path / "deep", seed=1, layers=6)
    sources = {"a": deep, "b": write_llama(tmp_path / "flat", seed=2, layers=2)}
    refused(
        lambda: merged(recipe_of(sources, linear({"a": 1, "b": 1})), tmp_path / "no"),
        "'b' has no tensor model.layers.2",
        "which 'a' has",
    )
    refused(run("nowhere"), "nowhere")
    refused(run(zoo("gpt2")), "'b'")
    slerps = {"method": "slerp", "models": ["a"], "parameters": {"t": 0.5}}
    refused(run(zoo("llama", "b"), slerps), "slerp")
    assert not (tmp_path / "no").exists()
