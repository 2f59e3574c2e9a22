"""Founders that store one architecture in different ways are one colony, whoever is first."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM

from population.analysis.verification import check
from population.campaign.joining import open_newcomer
from population.campaign.opening_context import found_archive, open_context, reopen_context
from population.config import load_config
from population.models.canonical_form import (
    canonical,
    form_with_hash,
    with_equal_prefixes,
    with_equal_tensors,
)
from population.models.checkpoints import Checkpoint
from population.models.compatibility import check_compatible
from population.models.opening import open_checkpoint
from population.models.tied_heads import tie_of
from population.weights.materialise import state_sha256
from tests.conftest import campaign, small_toml
from tests.merge_helpers import (
    LAYERS,
    Arrays,
    arrays_of,
    linear,
    merged,
    recipe_of,
    refused,
    write_llama,
)

EMBEDDINGS, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def change(folder: Path, more: Mapping[str, Any] | None = None, gone: str = "") -> Path:
    tensors = load_file(folder / "model.safetensors") | dict(more or {})
    tensors.pop(gone, None)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def configure(folder: Path, **settings: Any) -> Path:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))
    return folder


def tie(folder: Path, *, stored: bool) -> Path:
    configure(folder, tie_word_embeddings=True)
    embeddings = load_file(folder / "model.safetensors")[EMBEDDINGS]
    return change(folder, {HEAD: embeddings}) if stored else change(folder, gone=HEAD)


def rename(folder: Path, old: str, new: str) -> Path:
    """Put `new` where all names that have it begin with `old`, as saved with or without a head."""
    tensors = load_file(folder / "model.safetensors")
    found = {new + n.removeprefix(old) if n.startswith(old) else n: t for n, t in tensors.items()}
    save_file(found, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def inv_freq(layers: int = LAYERS) -> Arrays:
    return {
        f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": np.array([1.0], np.float32)
        for layer in range(layers)
    }


def opened(*folders: Path) -> list[Checkpoint]:
    founders = with_equal_tensors([open_checkpoint(folder) for folder in folders])
    check_compatible(founders)
    return founders


def test_founders_that_store_the_same_are_left_as_they_are(tmp_path: Path) -> None:
    plain = [write_llama(tmp_path / n, seed=s) for s, n in enumerate("ab")]
    tied = [tie(write_llama(tmp_path / n, seed=s), stored=True) for s, n in enumerate("cd")]
    for folders in (plain, tied):
        before = [open_checkpoint(folder).sha256() for folder in folders]
        assert [founder.sha256() for founder in opened(*folders)] == before


@pytest.mark.parametrize("kind", ["buffers", "empty", "head", "no prefix", "wrapped"])
def test_what_only_one_of_them_stores_makes_no_difference(kind: str, tmp_path: Path) -> None:
    one, other = (write_llama(tmp_path / n, seed=s) for s, n in enumerate("ab"))
    tie(one, stored=kind == "head")
    tie(other, stored=False)
    plain = opened(other)[0].sha256()
    tidy = open_checkpoint(change(write_llama(tmp_path / "tidy"), gone=HEAD)).sha256()
    if kind == "buffers":
        change(one, inv_freq())
    elif kind == "empty":
        change(one, {"model.none.weight": np.zeros((0, 8), np.float32)})
    elif kind == "no prefix":
        rename(one, "model.", "")
    elif kind == "wrapped":
        rename(one, "", "_orig_mod.module.")
    for order in itertools.permutations((one, other)):
        founders = {founder.path.name: founder.sha256() for founder in opened(*order)}
        assert founders == {"a": tidy, "b": plain}


def test_a_head_of_its_own_and_a_tied_one_do_not_breed(tmp_path: Path) -> None:
    own, tied = (write_llama(tmp_path / n, seed=s) for s, n in enumerate("ab"))
    tie(tied, stored=False)
    for stated in (False, True):  # a config may be wrong, as transformers says
        configure(own, tie_word_embeddings=stated)
        for order in itertools.permutations((own, tied)):
            refused(
                lambda order=order: opened(*order), "tie_word_embeddings" if not stated else HEAD
            )


def test_what_is_tied_is_what_transformers_ties(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "a")
    for stated, stored in itertools.product((True, False), ("equal", "other", "none")):
        configure(folder, tie_word_embeddings=stated)
        tensors = load_file(folder / "model.safetensors")
        head = {"equal": tensors[EMBEDDINGS], "other": tensors[EMBEDDINGS] + 1}
        change(folder, {HEAD: head[stored]}) if stored in head else change(folder, gone=HEAD)
        model = AutoModelForCausalLM.from_pretrained(folder)
        shared = model.lm_head.weight is model.model.embed_tokens.weight
        assert (tie_of(open_checkpoint(folder)) is not None) == shared, (stated, stored)


@pytest.mark.slow
def test_a_campaign_of_different_files_breeds_resumes_and_grows(
    tmp_path: Path, tasks_folder: Path
) -> None:
    names = ("base", "buffers", "head", "bare")
    folders = {n: tie(write_llama(tmp_path / n, seed=s), stored=False) for s, n in enumerate(names)}
    change(folders["buffers"], inv_freq())
    tie(folders["head"], stored=True)
    rename(folders["bare"], "model.", "")
    path = tmp_path / "my.toml"
    toml = small_toml(tasks_folder, founders={"paths": [str(f) for f in folders.values()]})
    path.write_text(toml)
    archive = campaign(load_config(path), tmp_path / "a.duckdb", generations=1)
    context = reopen_context(archive)
    told = {
        model.name: model.weights_sha256 for model in archive.models(ids=archive.founder_paths())
    }
    for number, founder in enumerate(context.founders):
        state = context.factory.maker.siblings([context.genome_of_founder(number)])
        assert state_sha256(next(iter(state))) == founder.sha256() == told[founder.name]
    assert check(archive).damages == ()
    late = tie(write_llama(tmp_path / "late", seed=9), stored=True)
    newcomer, sha = open_newcomer(archive, str(change(late, inv_freq())))
    assert newcomer.tensors.keys() == context.founders[0].tensors.keys()
    assert form_with_hash(open_checkpoint(late), sha) is not None
    twin = tie(write_llama(tmp_path / "twin", seed=0), stored=True)
    refused(lambda: open_newcomer(archive, str(twin)), "has the weights of the founder")


def test_a_newcomer_without_a_head_joins_founders_that_store_theirs(
    tmp_path: Path, tasks_folder: Path
) -> None:
    folders = [tie(write_llama(tmp_path / n, seed=s), stored=True) for s, n in enumerate("ab")]
    path = tmp_path / "my.toml"
    paths = {"paths": [str(folder) for folder in folders], "base": "a"}
    path.write_text(small_toml(tasks_folder, founders=paths))
    archive = found_archive(tmp_path / "a.duckdb", open_context(load_config(path)))
    late = tie(write_llama(tmp_path / "late", seed=9), stored=False)
    newcomer, sha = open_newcomer(archive, str(late))
    assert newcomer.sha256() == sha
    np.testing.assert_array_equal(newcomer.raw(HEAD), newcomer.raw(EMBEDDINGS))
    form = form_with_hash(open_checkpoint(late), sha)
    assert form is not None
    assert HEAD in form.tensors


def test_indices_are_copied_where_founders_agree_and_refused_where_not(tmp_path: Path) -> None:
    one, other = (write_llama(tmp_path / n, seed=s) for s, n in enumerate("ab"))
    for value, dtype in ((3, np.int64), (1, np.bool_), (200, np.uint8), (-2, np.int16)):
        change(one, {"model.steps": np.array([value], dtype)})
        change(other, {"model.steps": np.array([value], dtype)})
        founder = opened(one, other)[0]
        assert founder.tensor("model.steps").tolist() == [value]
        assert founder.tensor("model.steps").dtype == getattr(torch, np.dtype(dtype).name)
    change(other, {"model.steps": np.array([9], np.int16)})
    refused(lambda: opened(one, other), "'b'", "model.steps (int16)", "no mean of both")
    change(other, {"model.steps": np.array([-2], np.int64)})
    refused(lambda: opened(one, other), "'b'", "model.steps (int64)")


def test_merges_take_either_spelling(tmp_path: Path) -> None:
    one, other = (write_llama(tmp_path / n, seed=s) for s, n in enumerate("ab"))
    step = linear({"a": 0.5, "b": 0.5})
    merged(recipe_of({"a": one, "b": other}, step), tmp_path / "plain")
    rename(other, "model.", "")
    for order in ("ab", "ba"):
        sources = {name: tmp_path / name for name in order}
        merged(recipe_of(sources, linear(dict.fromkeys(order, 0.5))), out := tmp_path / order)
        found, plain = arrays_of(out), arrays_of(tmp_path / "plain")
        assert found.keys() == plain.keys()
        for name, array in plain.items():
            np.testing.assert_allclose(found[name], array, atol=1e-6)


def test_other_names_stay_other_names(tmp_path: Path) -> None:
    one, other = (write_llama(tmp_path / n, seed=s) for s, n in enumerate("ab"))
    change(one, {"model.extra.norm.weight": np.ones(8, np.float32)})
    change(other, {"norm.weight": np.ones(8, np.float32)})
    found = with_equal_prefixes([open_checkpoint(one), open_checkpoint(other)])
    assert "model.extra.norm.weight" in found[0].tensors
    assert {"norm.weight", "model.norm.weight"} <= found[1].tensors.keys()
    assert canonical(found[0]) is found[0]
