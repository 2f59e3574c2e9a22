"""Which files of a checkpoint count, and what its config may say: as transformers has it."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch
from transformers import AutoModelForCausalLM

from population.errors import CheckpointError
from population.merging.preflight import profile
from population.models.canonical_form import with_equal_tensors
from population.models.compatibility import check_compatible
from population.models.opening import open_checkpoint
from population.models.sources import open_source
from tests.command_helpers import started
from tests.merge_helpers import linear, merged, recipe_of, refused, write_llama

NORM = "model.norm.weight"
GATE = "model.layers.1.mlp.gate_proj.weight"


def shard(folder: Path, add: float, index: str = "model.safetensors.index.json") -> None:
    """Put the weights of a folder, and something, into two more files with an index."""
    tensors = load_file(folder / "model.safetensors")
    places = {}
    for number, names in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2]), start=1):
        file = f"part-{number}-of-2.safetensors"
        save_file({name: tensors[name] + np.float32(add) for name in names}, folder / file)
        places |= dict.fromkeys(names, file)
    (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": places}))


def configure(folder: Path, **settings: Any) -> Path:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))
    return folder


def same_as_transformers(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ours = open_checkpoint(folder)
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(ours.wide(name), tensor.numpy())


def test_the_single_file_comes_before_an_index(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "a", layers=1)
    shard(folder, add=1.0)
    same_as_transformers(folder)
    (folder / "part-1-of-2.safetensors").unlink()  # a stale index, and a shard gone
    same_as_transformers(folder)


def test_only_what_transformers_loads_is_loaded(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "a", layers=1)
    for other in ("consolidated", "model.fp16", "adapter_model", "model-00001-of-00002"):
        save_file({"x": np.ones(3, np.float32)}, folder / f"{other}.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"no pickle is opened")
    same_as_transformers(folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").unlink()
    refused(lambda: open_checkpoint(folder), "no model.safetensors", "does not load")


def test_a_config_may_name_the_file(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "a", layers=1)
    shard(folder, add=1.0, index="mine.safetensors.index.json")
    configure(folder, transformers_weights="mine.safetensors.index.json")
    same_as_transformers(folder)
    other = write_llama(tmp_path / "b", seed=1, layers=1)
    shutil.copy(other / "model.safetensors", folder / "other.safetensors")
    configure(folder, transformers_weights="other.safetensors")
    same_as_transformers(folder)
    for stated in ("../b/model.safetensors", "gone.safetensors", "model.bin", 5, "", "."):
        configure(folder, transformers_weights=stated)
        refused(lambda: open_checkpoint(folder), "'a'")


def test_an_index_that_promises_too_much_is_refused(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "a", layers=1)
    shard(folder, add=0.0)
    (folder / "model.safetensors").unlink()
    same_as_transformers(folder)
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["model.more.weight"] = "part-1-of-2.safetensors"
    path.write_text(json.dumps(index))
    refused(lambda: open_checkpoint(folder), "model.more.weight is in part-1", "it is not")


def test_code_of_its_own_beside_a_known_architecture_is_ignored_and_said(tmp_path: Path) -> None:
    folder = configure(write_llama(tmp_path / "a"), auto_map={"AutoConfig": "evil.Config"})
    (folder / "evil.py").write_text("raise SystemExit('I was run')")
    said: list[str] = []
    found = open_source(str(folder), say=said.append)
    assert "auto_map" not in found.config
    assert len(said) == 1
    assert "never run" in said[0]
    merged(recipe_of({"a": folder}, linear({"a": 1.0})), tmp_path / "out")
    assert "auto_map" not in json.loads((tmp_path / "out" / "config.json").read_text())
    configure(folder, model_type="evil")
    refused(lambda: open_source(str(folder)), "wants to run code of its own", "'evil'")


@pytest.mark.parametrize(
    ("gone", "packed", "tensor"),
    [
        (GATE, {"qweight": torch.int32, "qzeros": torch.int32, "scales": torch.float16}, "qweight"),
        (GATE, {"weight": torch.float8_e4m3fn, "weight_scale_inv": torch.float32}, "weight"),
        (GATE, {"weight": torch.uint8, "weight.absmax": torch.float32}, "weight"),
        (GATE, {"weight_packed": torch.int32, "weight_scale": torch.bfloat16}, "weight_packed"),
        (GATE, {"weight": torch.int8, "SCB": torch.float32}, "SCB"),
        ("", {"weight_scale": torch.float32}, "weight_scale"),
    ],
)
@pytest.mark.parametrize("stated", [None, "some-method"])
def test_packed_weights_are_refused_by_name(
    gone: str, packed: dict[str, torch.dtype], tensor: str, stated: str | None, tmp_path: Path
) -> None:
    folder = write_llama(tmp_path / "a")
    tensors = {n: torch.from_numpy(t) for n, t in load_file(folder / "model.safetensors").items()}
    tensors.pop(gone, None)
    module = GATE.removesuffix(".weight")
    tensors |= {f"{module}.{n}": torch.ones(2, 2).to(dtype) for n, dtype in packed.items()}
    save_torch(tensors, folder / "model.safetensors")
    if stated:
        configure(folder, quantization_config={"quant_method": stated, "bits": 4})
    for source in (folder, folder / "model.safetensors"):
        message = refused(lambda source=source: open_source(str(source)), f"{module}.{tensor}")
        assert "dequantise" in message
        assert stated in message if stated and source == folder else "by some" not in message


def test_plain_weights_that_a_config_calls_quantised_are_plain(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "a")
    for key in ("quantization_config", "compression_config"):
        configure(folder, **{key: {"quant_method": "fp8"}})
        said: list[str] = []
        found = open_source(str(folder), say=said.append)
        assert key not in found.config
        assert "quantised (fp8), but they are plain" in said[0]
    merged(recipe_of({"a": folder}, linear({"a": 1.0})), tmp_path / "out")
    assert "_config" not in (tmp_path / "out" / "config.json").read_text()


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "text": ({"num_hidden_layers": "four"}, "num_hidden_layers is 'four'"),
    "negative": ({"num_hidden_layers": -1}, "num_hidden_layers is -1"),
    "huge": ({"num_hidden_layers": 10**400}, "num_hidden_layers is 1000"),
    "a list": ({"num_hidden_layers": [4]}, "num_hidden_layers is [4]"),
    "a share": ({"hidden_size": 7.5}, "hidden_size is 7.5"),
    "no number": ({"vocab_size": float("nan")}, "vocab_size is nan"),
    "infinite": ({"vocab_size": float("inf")}, "vocab_size is inf"),
    "a flag": ({"num_attention_heads": True}, "num_attention_heads is True"),
    "nothing tied": ({"tie_word_embeddings": "no"}, "tie_word_embeddings is 'no'"),
    "a family": ({"model_type": ["llama"]}, "model_type is ['llama']"),
    "architectures": ({"architectures": {"x": 1}}, "architectures is {'x': 1}"),
    "a rope": ({"rope_scaling": 5}, "rope_scaling is 5"),
    "a text part": ({"text_config": "x"}, "text_config is 'x'"),
    "inside": ({"text_config": {"vocab_size": {}}}, "text_config: vocab_size is {}"),
    "packing": ({"quantization_config": "gptq"}, "quantization_config is 'gptq'"),
    "more layers": (
        {"num_hidden_layers": 9},
        "speaks of 9 layers, but there is no tensor of layer 4",
    ),
    "more words": ({"vocab_size": 80}, "model.embed_tokens.weight is [79, 8]"),
    "wider": ({"hidden_size": 16}, "config.json says hidden_size 16"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_config_that_cannot_be_true_is_refused(kind: str, tmp_path: Path) -> None:
    settings, said = WRONG[kind]
    folder = configure(write_llama(tmp_path / "a"), **settings)
    refused(lambda: open_source(str(folder)), "'a'", said)


@pytest.mark.parametrize(
    "settings",
    [
        {"num_hidden_layers": 4.0},
        {"num_key_value_heads": None},
        {"rope_scaling": None, "text_config": None, "architectures": None},
        {"max_position_embeddings": 0},
        {"num_attention_heads": [4, 4, 4, 4], "model_type": "unknown"},
    ],
)
def test_what_is_only_unusual_is_taken(settings: dict[str, Any], tmp_path: Path) -> None:
    usual = open_source(str(write_llama(tmp_path / "usual"))).sha256()
    assert open_source(str(configure(write_llama(tmp_path / "a"), **settings))).sha256() == usual


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xef\xbb\xbf{}", "byte-order mark"),
        (b"\xff\xfe{\x00}\x00", "cannot be read"),
        (b"[" * 200_000, "nested too deep"),
        (b'{"a":' * 200_000, "nested too deep"),
        (b'{"note": "\\ud83d"}', "half of a character"),
        (b'{"\\udc00": 1}', "half of a character"),
        (b"4", "no JSON object"),
        (b"", "cannot be read"),
        (b'{"a": 1' + b"0" * 10_000 + b"}", "cannot be read"),
    ],
)
def test_a_config_that_is_no_config_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "a")
    (folder / "config.json").write_bytes(content)
    refused(lambda: open_source(str(folder)), "config.json", said)
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    refused(lambda: open_source(str(folder)), "config.json")


def test_of_two_equal_keys_the_last_counts_as_in_transformers(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "a")
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text('{"num_hidden_layers": 3, ' + text.removeprefix("{"))
    assert open_checkpoint(folder).config["num_hidden_layers"] == 4
    same_as_transformers(folder)


def test_inspect_says_it_in_a_line(tmp_path: Path) -> None:
    folder = configure(write_llama(tmp_path / "a"), num_hidden_layers="four")
    process = started("inspect", str(folder))
    said, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in said + error
    assert "num_hidden_layers is 'four'" in said + error


@pytest.mark.parametrize("seed", range(40))
def test_no_config_is_a_traceback(seed: int, tmp_path: Path) -> None:
    """Any value in place of any other: taken, or refused in a line."""
    draw = np.random.default_rng(seed)
    values: list[Any] = [None, True, 0, -1, 10**30, 0.5, "", "four", [], [None], {}, {"a": [1]}]
    folder = write_llama(tmp_path / "a", layers=1)
    good = open_source(str(write_llama(tmp_path / "b", layers=1)))
    text = (folder / "config.json").read_text()
    for _ in range(12):
        config = json.loads(text)
        for key in draw.choice(sorted(config), size=2):
            config[key] = values[draw.integers(len(values))]
        (folder / "config.json").write_text(json.dumps(config))
        try:
            found = open_source(str(folder))
            profile(found, good)
            check_compatible(with_equal_tensors([good, found]))
        except CheckpointError as error:
            assert "\n" not in str(error)  # noqa: PT017 - it need not be raised
