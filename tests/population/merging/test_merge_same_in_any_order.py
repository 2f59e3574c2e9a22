"""What a merge makes does not depend on which model is named first."""

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.merge_helpers import arrays_of, merged, recipe_of, write_llama

HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
SYMMETRIC = ("linear", "karcher", "multislerp", "model_stock", "ties", "task_arithmetic", "sce",
             "breadcrumbs", "ram", "nuslerp")  # fmt: skip


def change(folder: Path, edit: Callable[[dict[str, Any]], object], **config: Any) -> Path:
    """Edit the tensors and the config of a checkpoint."""
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | config))
    return folder


def tie(tensors: dict[str, Any]) -> None:
    del tensors[HEAD]


def tie_and_store(tensors: dict[str, Any]) -> None:
    tensors[HEAD] = tensors[EMBEDDING].copy()


def own(_: dict[str, Any]) -> None:
    pass


def trio(folder: Path, kinds: Sequence[Callable[[dict[str, Any]], object]]) -> dict[str, Path]:
    return {
        name: change(
            write_llama(folder / name, seed=seed, layers=1),
            kind,
            tie_word_embeddings=kind is not own,
        )
        for seed, (name, kind) in enumerate(zip("abc", kinds, strict=False))
    }


def step(method: str, order: Sequence[str]) -> dict[str, Any]:
    weights = {"a": 0.2, "b": 0.5, "c": 0.3}
    weighted = method not in {"karcher", "model_stock", "sce", "ram"}
    models = [
        {"model": name, "parameters": {"weight": weights[name]} if weighted else {}}
        for name in order
    ]
    based = method not in {"linear", "karcher", "multislerp", "nuslerp"}
    if method in {"ties", "breadcrumbs"}:
        return {"method": method, "models": models, "parameters": {"density": 0.6}, "base": "base"}
    return {"method": method, "models": models} | ({"base": "base"} if based else {})


@pytest.mark.parametrize("method", SYMMETRIC)
@pytest.mark.parametrize("kinds", [(tie, own, tie_and_store), (tie_and_store, tie, tie)])
def test_heads(method: str, kinds: Any, tmp_path: Path) -> None:
    sources = trio(tmp_path, kinds)
    sources["base"] = change(write_llama(tmp_path / "base", seed=9, layers=1), tie,
                             tie_word_embeddings=True)  # fmt: skip
    names = "ab" if method == "nuslerp" else "abc"
    results = []
    for number, order in enumerate(itertools.permutations(names)):
        out = tmp_path / f"out{number}"
        merged(recipe_of(sources, step(method, order)), out)
        told = json.loads((out / "config.json").read_text())["tie_word_embeddings"]
        found = arrays_of(out)
        assert told is (HEAD not in found)
        results.append(found)
    first, *others = results
    assert (HEAD in first) is (own in kinds)
    for other in others:
        assert other.keys() == first.keys()
        for name, value in first.items():
            np.testing.assert_allclose(other[name], value, rtol=2e-5, atol=2e-6, err_msg=name)


def test_a_head_of_its_own_is_merged_with_the_embeddings_of_those_that_tie(tmp_path: Path) -> None:
    sources = trio(tmp_path, (tie, own))
    arrays = {name: arrays_of(folder) for name, folder in sources.items()}
    for order in ("ab", "ba"):
        recipe = recipe_of(sources, step("linear", order))
        merged(recipe, out := tmp_path / order)
        found = arrays_of(out)
        head = (0.2 * arrays["a"][EMBEDDING] + 0.5 * arrays["b"][HEAD]) / 0.7
        embedding = (0.2 * arrays["a"][EMBEDDING] + 0.5 * arrays["b"][EMBEDDING]) / 0.7
        np.testing.assert_allclose(found[HEAD], head, atol=1e-6)
        np.testing.assert_allclose(found[EMBEDDING], embedding, atol=1e-6)


def test_two_heads_that_are_stored_though_tied_stay_tied(tmp_path: Path) -> None:
    sources = trio(tmp_path, (tie_and_store, tie_and_store))
    merged(recipe_of(sources, step("linear", "ab")), tmp_path / "out")
    found = arrays_of(tmp_path / "out")
    np.testing.assert_array_equal(found[HEAD], found[EMBEDDING])
    assert json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"]


def test_a_stored_head_that_is_none_of_the_embeddings_is_live(tmp_path: Path) -> None:
    """As transformers 5 has it, whatever the config says; the result says what it is."""
    sources = trio(tmp_path, (own, own))
    for folder in sources.values():
        change(folder, own, tie_word_embeddings=True)
    merged(recipe_of(sources, step("linear", "ab")), tmp_path / "out")
    assert HEAD in arrays_of(tmp_path / "out")
    assert not json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"]


def test_the_last_slice_gives_its_head_even_if_it_is_tied(tmp_path: Path) -> None:
    sources = trio(tmp_path, (tie, tie))
    pieces = [{"sources": [{"model": name, "layer_range": [0, 1]}]} for name in "ab"]
    merged(recipe_of(sources, {"method": "passthrough", "slices": pieces}), tmp_path / "out")
    found = arrays_of(tmp_path / "out")
    np.testing.assert_array_equal(found[HEAD], arrays_of(sources["b"])[EMBEDDING])
    np.testing.assert_array_equal(found[EMBEDDING], arrays_of(sources["a"])[EMBEDDING])
    assert not json.loads((tmp_path / "out" / "config.json").read_text())["tie_word_embeddings"]
    again = [pieces[0], pieces[0]]  # of one model, they are as tied as that
    merged(recipe_of(sources, {"method": "passthrough", "slices": again}), tmp_path / "same")
    assert HEAD not in arrays_of(tmp_path / "same")
    assert json.loads((tmp_path / "same" / "config.json").read_text())["tie_word_embeddings"]
