"""Checkpoints that are broken, byte by byte, or that do not fit are refused in one line."""

import json
import pickle
import resource
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from population.errors import CheckpointError
from population.models.sources import open_source
from tests.command_helpers import started
from tests.merge_helpers import (
    arrays_of,
    linear,
    llama_shapes,
    merged,
    recipe_of,
    refused,
    write_llama,
)

GOOD_TENSORS = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(6, 4),
    "b.weight": np.ones((5,), np.float16),
    "steps": np.array([3], np.int64),
}


@pytest.fixture(scope="module")
def good_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "good.safetensors"
    save_file(GOOD_TENSORS, path)
    return path


def merge_file(path: Path, out: Path) -> dict[str, tuple[int, ...]]:
    """Merge a file with itself by tensor names; the shapes that come out."""
    step = linear({"x": 0.5, "y": 0.5})
    merged(recipe_of({"x": path, "y": path}, step), out)
    try:
        return {name: array.shape for name, array in arrays_of(out).items()}
    finally:
        out.unlink()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=4),
    in_header=st.booleans(),
    cut=st.none() | st.integers(0, 10**6),
    more=st.binary(max_size=9),
)
def test_a_damaged_file_is_refused_or_harmless(
    flips: list[tuple[int, int]],
    in_header: bool,
    cut: int | None,
    more: bytes,
    good_file: Path,
    tmp_path: Path,
) -> None:
    data = bytearray(good_file.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    for place, change in flips:
        data[place % (length + 8 if in_header else len(data))] ^= change
    if cut is not None:
        data = data[: cut % (len(data) + 1)]
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(bytes(data) + more)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found, said = {}, ""
    try:
        found = merge_file(path, tmp_path / "out.safetensors")
    except CheckpointError as error:
        said = str(error)
    assert "\n" not in said
    if not said:
        with safe_open(path, framework="np") as opened:
            names = opened.keys()
            assert found == {n: tuple(opened.get_slice(n).get_shape()) for n in names}
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000  # kB
    assert not list(tmp_path.glob(".*"))


def with_header(header: object, data: bytes = bytes(64)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


LIES = {
    "empty": b"",
    "no header": b"\x00" * 8,
    "huge header": struct.pack("<Q", 1 << 62) + b"{}",
    "header beyond the file": struct.pack("<Q", 10**6) + b"{}",
    "header of 99 MB": struct.pack("<Q", 99 * 10**6) + b"{}",
    "no JSON": with_header(b"not json"),
    "no object": with_header([1]),
    "deep JSON": with_header(b"[" * 10000),
    "shape lies": with_header({"x": tensor([4, 5], 0, 64)}),
    "shape overflows": with_header({"x": tensor([1 << 62, 4], 0, 64)}),
    "shape is negative": with_header({"x": tensor([-4, -4], 0, 64)}),
    "overlap": with_header({"x": tensor([8], 0, 32), "y": tensor([12], 16, 64)}),
    "gap": with_header({"x": tensor([4], 0, 16), "y": tensor([4], 48, 64)}),
    "beyond the file": with_header({"x": tensor([1000], 0, 4000)}),
    "backwards": with_header({"x": tensor([16], 64, 0)}),
    "trailing bytes": with_header({"x": tensor([4], 0, 16)}),
    "quantised": with_header({"x": tensor([64], 0, 64, "F8_E4M3")}),
    "unknown dtype": with_header({"x": tensor([16], 0, 64, "F33")}),
    "offsets are text": with_header({"x": tensor([16], 0, 64) | {"data_offsets": "ab"}}),
    "twice the same name": with_header(
        b'{"x":{"dtype":"F32","shape":[8],"data_offsets":[0,32]},'
        b'"x":{"dtype":"F32","shape":[16],"data_offsets":[0,32]}}'
    ),
}


UNMERGEABLE = {"quantised", "unknown dtype"}
"""These are no lies; the message names the model and its tensor."""


@pytest.mark.parametrize("kind", LIES)
def test_a_file_that_lies_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "lies.safetensors"
    path.write_bytes(LIES[kind])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(
        lambda: merge_file(path, tmp_path / "out.safetensors"),
        "'x'" if kind in UNMERGEABLE else path.name,
    )
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "evil",))

    (tmp_path / "x.safetensors").write_bytes(pickle.dumps(Evil()))
    refused(lambda: open_source(str(tmp_path / "x.safetensors")), "not safetensors")
    folder = write_llama(tmp_path / "folder")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(lambda: open_source(str(folder)), "pytorch_model.bin is a pickle")
    (folder / "pytorch_model.bin").unlink()
    refused(lambda: open_source(str(folder)), "no model.safetensors")
    assert not (tmp_path / "evil").exists()


def test_tensors_of_no_and_of_one_element_are_merged(tmp_path: Path) -> None:
    tensors = {"scalar": np.array(3, np.float32), "none": np.ones((0, 4), np.float32)}
    save_file(tensors | {"one": np.ones((1,), np.float32)}, tmp_path / "x.safetensors")
    found = merge_file(tmp_path / "x.safetensors", tmp_path / "out.safetensors")
    assert found == {"scalar": (), "none": (0, 4), "one": (1,)}


def index_of(folder: Path, weight_map: Any) -> None:
    """Give a folder an index of shards and nothing else to load."""
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    (folder / "model.safetensors.index.json").write_text(
        weight_map if isinstance(weight_map, str) else json.dumps({"weight_map": weight_map})
    )


@pytest.mark.parametrize(
    ("weight_map", "expected"),
    [
        ("{", "is broken"),
        ("[]", "is broken"),
        ("{}", "is broken"),
        ({"x": 5}, "is broken"),
        ({"x": "model-00009-of-00009.safetensors"}, "shard"),
        (["x"], "is broken"),
    ],
)
def test_a_broken_shard_index_is_refused(weight_map: Any, expected: str, tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "a")
    index_of(folder, weight_map)
    refused(lambda: open_source(str(folder)), "'a'", expected)


@pytest.mark.parametrize("absolute", [False, True])
def test_a_shard_index_does_not_lead_out_of_its_folder(absolute: bool, tmp_path: Path) -> None:
    folder, other = write_llama(tmp_path / "a"), write_llama(tmp_path / "b")
    file = str(other / "model.safetensors") if absolute else "../b/model.safetensors"
    index_of(folder, dict.fromkeys(llama_shapes(), file))
    refused(lambda: open_source(str(folder)), "'a'")


# Models that are broken, or do not fit.


@pytest.mark.parametrize(
    ("method", "broken"),
    [
        (method, broken)
        for method in ("linear", "slerp", "ties", "dare_linear")
        for broken in ("nan", "inf", "-inf")
    ],
)
def test_weights_that_are_no_numbers_are_named(method: str, broken: str, tmp_path: Path) -> None:
    sources = {name: write_llama(tmp_path / name, seed=n) for n, name in enumerate("abc")}
    name = "model.layers.2.mlp.up_proj.weight"
    tensors = load_file(sources["b"] / "model.safetensors")
    tensors[name][3, 4] = float(broken)
    save_file(tensors, sources["b"] / "model.safetensors")
    step: dict[str, Any] = {"method": method, "base": "a", "models": ["b", "c"]}
    if method == "slerp":
        step = {"method": method, "base": "a", "models": ["b"], "parameters": {"t": 0.5}}
    else:
        step["parameters"] = {"weight": 0.5}
        if method != "linear":
            step["parameters"]["density"] = 0.9
    recipe = recipe_of(sources, step)
    refused(lambda: merged(recipe, tmp_path / "out"), f"'b': {name} holds NaN or infinity")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_a_result_that_overflows_is_refused(tmp_path: Path) -> None:
    recipe = recipe_of({"a": write_llama(tmp_path / "a", 60000)}, linear({"a": 2}), dtype="float16")
    refused(lambda: merged(recipe, tmp_path / "out"), "does not fit float16", "wider dtype")


def test_missing_and_foreign_tensors(tmp_path: Path) -> None:
    sources = {name: write_llama(tmp_path / name, seed=n) for n, name in enumerate("ab")}
    tensors = load_file(sources["b"] / "model.safetensors")
    lacking = "model.layers.1.self_attn.v_proj.weight"
    save_file(
        {n: t for n, t in tensors.items() if n != lacking}, sources["b"] / "model.safetensors"
    )
    recipe = recipe_of(sources, linear({"a": 0.5, "b": 0.5}))
    refused(lambda: merged(recipe, tmp_path / "out"), f"'b' has no tensor {lacking}")
    # The other way round something is left out, which is said.
    said: list[str] = []
    backwards = linear({"b": 0.5, "a": 0.5})
    merged(recipe_of(sources, backwards), tmp_path / "out", say=said.append)
    left_out, as_before = said
    assert left_out == f"note: 'a' has {lacking}, which 'b' has not; the merge leaves that out"
    assert as_before == (
        f"note: as in its source, model.safetensors lacks {lacking}, which config.json asks for"
    )
    assert lacking not in arrays_of(tmp_path / "out")


def test_what_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(lambda: open_source("nowhere"), "nowhere")
    refused(lambda: open_source("no/where/at/all"), "no/where/at/all")
    refused(lambda: open_source("base+lora"), "lora")
    (tmp_path / "empty").mkdir()
    refused(lambda: open_source("empty"), "no config.json")
    for config, said in (("{", "config.json"), ("[1]", "no JSON object")):
        (tmp_path / "empty" / "config.json").write_text(config)
        refused(lambda: open_source("empty"), said)
    (tmp_path / "empty" / "config.json").write_text('{"auto_map": {}}')
    refused(lambda: open_source("empty"), "wants to run code of its own")


@pytest.mark.parametrize(
    "environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://[::1]:9"}]
)
def test_a_hub_id_without_a_network_is_one_line(
    environment: dict[str, str], tmp_path: Path
) -> None:
    process = started("inspect", "org/name", HF_HOME=str(tmp_path), **environment)
    said, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said == ""
    *_, last = error.strip().splitlines()
    assert last.startswith("error: org/name: nothing of that name on disk, and the hub does not")
    assert len(error.strip().splitlines()) <= 2  # before it: that it is being fetched


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"GGUF" + bytes(100), b"text" * 50, b"\xff" * 64]
)
def test_a_gguf_file_that_is_none_is_one_line(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "x.gguf").write_bytes(content)
    refused(lambda: open_source(str(tmp_path / "x.gguf")), "x.gguf")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
