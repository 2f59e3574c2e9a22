"""Merges from end to end: what is written loads in transformers and computes what was asked for.

It is the same whatever files it lies in, its hash is stated, and the recipe beside it makes it
again.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from population.merging.recipe import Recipe
from population.merging.recipe_files import read_recipe
from population.models.sources import open_source
from tests.merge_helpers import give_tokenizer, linear, merged, recipe_of, refused, write_llama
from tests.model_zoo import ABC, KINDS, STEPS, Zoo, load, same_answers


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
