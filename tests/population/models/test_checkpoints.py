"""Checkpoints: whatever cannot be merged is refused in one line that says why."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from population.errors import CheckpointError
from population.models.compatibility import check_compatible
from population.models.opening import open_checkpoint

Make = Callable[..., Path]


def refuse(path: Path, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason) as caught:
        open_checkpoint(path).check_finite()
    assert "\n" not in str(caught.value)


def test_a_good_checkpoint_is_opened_by_its_headers(make_checkpoint: Make) -> None:
    checkpoint = open_checkpoint(make_checkpoint("a"))
    assert checkpoint.dtype.name == "float32"
    assert checkpoint.tensors["model.norm.weight"].shape == (32,)
    assert checkpoint.parameters == sum(
        t.numel() for t in load_file(checkpoint.path / "model.safetensors").values()
    )
    checkpoint.check_finite()


def test_missing_parts(tmp_path: Path, make_checkpoint: Make) -> None:
    refuse(tmp_path / "nowhere", "no folder at")
    folder = make_checkpoint("a")
    (folder / "model.safetensors").rename(folder / "gone")
    refuse(folder, "no model.safetensors")
    (folder / "config.json").unlink()
    refuse(folder, "holds no config.json")


def test_a_pickle_is_never_opened(make_checkpoint: Make) -> None:
    folder = make_checkpoint("a")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refuse(folder, r"pytorch_model\.bin is a pickle, which can run code")


def test_a_pickle_by_another_name_is_no_safetensors(make_checkpoint: Make) -> None:
    folder = make_checkpoint("a")
    torch.save({"x": torch.zeros(3)}, folder / "model.safetensors")
    refuse(folder, "truncated or not safetensors")


def test_remote_code_is_refused(make_checkpoint: Make) -> None:
    folder = make_checkpoint("a")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Model"}
    config["model_type"] = "evil"
    (folder / "config.json").write_text(json.dumps(config))
    refuse(folder, "wants to run code of its own .*, not 'evil'")


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, 0.999])
def test_a_truncated_file_is_refused(make_checkpoint: Make, keep: float) -> None:
    folder = make_checkpoint("a")
    file = folder / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content)) if keep < 1 else int(keep)])
    refuse(folder, "truncated or not safetensors")


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(make_checkpoint: Make, poison: float) -> None:
    folder = make_checkpoint("a")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][3] = poison
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    refuse(folder, "model.norm.weight holds NaN or infinity")


def test_quantised_weights_are_refused(make_checkpoint: Make) -> None:
    folder = make_checkpoint("a")
    tensors = {"x.weight": torch.zeros(3, dtype=torch.int8), "x.SCB": torch.zeros(3)}
    save_file(tensors, folder / "model.safetensors")
    refuse(folder, r"'a' is quantised: x.SCB \(F32\) means nothing by itself")
    save_file({"x": torch.zeros(3, dtype=torch.complex64)}, folder / "model.safetensors")
    refuse(folder, "x is C64; expected F32, F16 or BF16")


def test_a_missing_shard_is_named(make_checkpoint: Make) -> None:
    folder = make_checkpoint("a")
    index = {"weight_map": {"x": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    refuse(folder, "shard .*model-00001-of-00002.safetensors is missing")


def mismatch(first: Path, second: Path, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        check_compatible([open_checkpoint(first), open_checkpoint(second)])


def test_other_shapes_and_architectures_are_told_apart(make_checkpoint: Make) -> None:
    first = make_checkpoint("a")
    mismatch(
        first,
        make_checkpoint("b", hidden_size=64),
        "founder 'b': expected hidden_size 32 as in 'a', got 64; founders of one colony share one",
    )
    mismatch(first, make_checkpoint("c", rope_theta=7.0), "founder 'c': expected rope")


def test_a_tensor_that_only_one_has_is_named(make_checkpoint: Make) -> None:
    first, second = make_checkpoint("a"), make_checkpoint("b")
    tensors = load_file(second / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, second / "model.safetensors", metadata={"format": "pt"})
    mismatch(first, second, r"founder 'b' has no tensor model\.norm\.weight, which 'a' has")


def test_another_tokenizer_is_refused(make_checkpoint: Make) -> None:
    first, second = make_checkpoint("a"), make_checkpoint("b")
    tokenizer = json.loads((second / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    words = sorted(vocabulary, key=vocabulary.get)
    vocabulary[words[-1]], vocabulary[words[-2]] = vocabulary[words[-2]], vocabulary[words[-1]]
    (second / "tokenizer.json").write_text(json.dumps(tokenizer))
    mismatch(first, second, "founder 'b' has another tokenizer than 'a'")
    (second / "tokenizer.json").unlink()
    mismatch(first, second, "'b' has no tokenizer")


def test_the_hash_is_of_the_weights_and_not_of_the_files(make_checkpoint: Make) -> None:
    folder = make_checkpoint("a")
    whole = open_checkpoint(folder).sha256()
    sharded = folder.parent / "sharded"
    shutil.copytree(folder, sharded)
    tensors = load_file(folder / "model.safetensors")
    (sharded / "model.safetensors").unlink()
    names = sorted(tensors)
    weight_map = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, sharded / file)
        weight_map |= dict.fromkeys(part, file)
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert open_checkpoint(sharded).sha256() == whole
    tensors["model.norm.weight"][0] += 1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert open_checkpoint(folder).sha256() != whole
