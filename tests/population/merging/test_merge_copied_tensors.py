"""Tensors that are no weights: masks, counters, indices, buffers, by every method."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from population.merging.methods import METHODS
from population.merging.recipe import Recipe, parse_recipe
from tests.merge_helpers import linear, merged, recipe_of, refused, write_llama

COPIED: dict[str, np.ndarray[Any, Any]] = {
    "model.layers.0.mask": np.tril(np.ones((3, 3), bool)),
    "model.layers.1.mask": np.tril(np.ones((3, 3), bool)),
    "model.layers.1.steps": np.array(41, np.int64),
    "model.order": np.arange(5, dtype=np.int32),
    "model.nobody": np.empty((0, 4), np.int64),
    "model.no_mask": np.empty((0,), bool),
    "model.answer": np.array(True),
}
EMPTY: dict[str, np.ndarray[Any, Any]] = {
    "model.nothing": np.empty((0, 8), np.float32),
    "model.no_columns": np.empty((4, 0), np.float32),
    "model.scale": np.array(0.5, np.float32),
}
GIVEN = {"weight": 0.5, "t": 0.3}


def put(folder: Path, tensors: Mapping[str, np.ndarray[Any, Any]]) -> Path:
    """Add tensors to a checkpoint."""
    file = folder / "model.safetensors"
    save_file({**load_file(file), **tensors}, file, metadata={"format": "pt"})
    return folder


def stored(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    found = {}
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="np") as opened:
            found |= {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    return found


def by_method(name: str, sources: Mapping[str, Path], **output: Any) -> Recipe:
    """A merge of as many models as a method takes, with what it must be given."""
    method = METHODS[name]
    needed = [p.name for p in method.parameters if p.default is None]
    count = max(method.counts[0], min(method.counts[1], 2))
    base = "base" if method.base == "required" else None
    step: dict[str, Any] = {
        "name": "one",
        "method": name,
        "models": ["a", "b"][:count],
        "parameters": {key: GIVEN[key] for key in needed},
    }
    step |= {"base": base} if base else {}
    used = [*([base] if base else []), *step["models"]]
    content = {
        "sources": {key: {"path": str(sources[key])} for key in used},
        "steps": [step],
        "output": output,
    }
    return parse_recipe(json.dumps(content), "test")


def models(folder: Path, tensors: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Path]:
    names = ("base", "a", "b")
    return {
        name: put(write_llama(folder / name, seed=seed, layers=2), tensors)
        for seed, name in enumerate(names)
    }


@pytest.mark.parametrize("method", METHODS)
def test_they_are_copied_whatever_the_method_and_the_dtype(method: str, tmp_path: Path) -> None:
    sources = models(tmp_path, COPIED | EMPTY)
    merged(by_method(method, sources, dtype="bfloat16"), tmp_path / "out")
    found = stored_raw(tmp_path / "out")
    for name, value in COPIED.items():
        dtype, shape, content = found[name]
        assert (shape, content) == (list(value.shape), value.tobytes()), name
        assert dtype == {"bool": "BOOL", "int32": "I32", "int64": "I64"}[value.dtype.name]
    for name, value in EMPTY.items():
        assert found[name][:2] == ("BF16", list(value.shape))


def stored_raw(folder: Path) -> dict[str, tuple[str, list[int], bytes]]:
    """Dtype, shape and bytes of each tensor, as the file has them (numpy knows no bf16)."""
    content = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__")
    found = {}
    for name, entry in header.items():
        first, stop = (8 + length + offset for offset in entry["data_offsets"])
        found[name] = entry["dtype"], entry["shape"], content[first:stop]
    return found


@pytest.mark.parametrize("method", METHODS)
def test_those_that_differ_are_refused_by_name(method: str, tmp_path: Path) -> None:
    sources = models(tmp_path, COPIED)
    put(sources["a"], {"model.order": np.arange(5, dtype=np.int32)[::-1].copy()})
    recipe = by_method(method, sources)
    if len(recipe.sources) == 1:
        merged(recipe, tmp_path / "out")
        assert stored(tmp_path / "out")["model.order"].tolist() == [4, 3, 2, 1, 0]
        return
    refused(lambda: merged(recipe, tmp_path / "out"), "model.order", "no method can average", "'a'")


def test_a_weight_of_integers_in_one_model_is_refused(tmp_path: Path) -> None:
    sources = {n: write_llama(tmp_path / n, seed=s, layers=1) for s, n in enumerate("ab")}
    put(sources["b"], {"model.norm.weight": np.arange(8, dtype=np.int64)})
    for order in itertools.permutations("ab"):
        recipe = recipe_of(sources, linear(dict.fromkeys(order, 0.5)))
        refused(lambda recipe=recipe: merged(recipe, tmp_path / "out"), "model.norm.weight")


def test_counters_of_batches_say_how_long_the_longest_was_trained(tmp_path: Path) -> None:
    sources = {n: write_llama(tmp_path / n, seed=s, layers=1) for s, n in enumerate("abc")}
    name = "model.bn.num_batches_tracked"
    for key, count in (("a", 5), ("b", 70)):  # c has none
        put(sources[key], {name: np.array(count, np.int64)})
    for number, order in enumerate(itertools.permutations("abc")):
        merged(
            recipe_of(sources, linear(dict.fromkeys(order, 0.25))), out := tmp_path / str(number)
        )
        assert stored(out)[name] == 70


def test_buffers_that_transformers_ignores_stop_nothing(tmp_path: Path) -> None:
    """As in checkpoints of early 2023 beside their fine-tunes (LLaVA 650)."""
    sources = {n: write_llama(tmp_path / n, seed=s, layers=2) for s, n in enumerate("abc")}
    buffer = "model.layers.{}.self_attn.rotary_emb.inv_freq"
    old = {buffer.format(layer): np.array([1.0, 0.1], np.float32) for layer in range(2)}
    merged(recipe_of(sources, linear(dict.fromkeys("abc", 0.3))), tmp_path / "plain")
    plain = stored(tmp_path / "plain")
    put(sources["b"], old)
    for number, order in enumerate(itertools.permutations("abc")):
        out = tmp_path / f"some-{number}"
        merged(recipe_of(sources, linear(dict.fromkeys(order, 0.3))), out)
        found = stored(out)
        assert found.keys() == plain.keys()
        for name, value in plain.items():
            np.testing.assert_allclose(found[name], value, atol=1e-6)
