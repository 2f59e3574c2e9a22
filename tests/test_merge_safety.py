"""Whatever goes wrong, a result is complete or not there at all, and one line says why.

Kills, interrupts and full disks are real ones, of the real command line; broken files are broken
byte by byte.
"""

import json
import os
import pickle
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from population.errors import CheckpointError
from population.sources import open_source
from tests.merge_helpers import (
    LLAMA,
    arrays_of,
    give_tokenizer,
    linear,
    llama_shapes,
    merged,
    recipe_of,
    refused,
    write_llama,
)
from tui.cli import app

RUNNER = CliRunner()


def colony(*arguments: object) -> tuple[int, str, str]:
    done = RUNNER.invoke(app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def started(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", "from tui.cli import main; main()", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


def failure(*arguments: object) -> str:
    """The one line that a failing command says."""
    code, said, error = colony(*arguments)
    assert code == 1
    assert said == ""
    assert error.startswith("error: ")
    assert error.count("\n") == 1, error
    return error


def written(recipe: Any, path: Path) -> Path:
    path.write_text(recipe.text())
    return path


# Killed, interrupted.


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe over two models of 60 MB that takes a second: every element is ranked."""
    folder = tmp_path_factory.mktemp("large")
    draw = np.random.default_rng(0)
    for name in ("base", "a", "b"):
        (folder / name).mkdir()
        tensors = {
            f"model.layers.{n}.mlp.up_proj.weight": draw.standard_normal((1250, 1000), np.float32)
            for n in range(12)
        }
        save_file(tensors, folder / name / "model.safetensors", metadata={"format": "pt"})
        shape = {"num_hidden_layers": 12, "hidden_size": 1000, "intermediate_size": 1250}
        (folder / name / "config.json").write_text(json.dumps(LLAMA | shape))
        give_tokenizer(folder / name)
    step = {
        "method": "ties",
        "base": "base",
        "models": ["a", "b"],
        "parameters": {"weight": 0.5, "density": 0.5},
    }
    sources = {name: folder / name for name in ("base", "a", "b")}
    written(recipe_of(sources, step), folder / "recipe.json")
    return folder


@pytest.fixture(scope="module")
def complete(large: Path) -> tuple[str, float]:
    """The hash of the whole result, and how long the command takes."""
    began = time.monotonic()
    process = started("merge", large / "recipe.json", large / "whole", "--threads", 1)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return open_source(str(large / "whole")).sha256(), time.monotonic() - began


def partial(folder: Path, sha: str) -> list[Path]:
    """What can be loaded below a folder and is not the whole result."""
    found = []
    for file in folder.rglob("*"):
        if file.is_file() and file.stat().st_size > 10**6:
            try:
                with safe_open(file, framework="np"):
                    pass
            except SafetensorError:
                continue
            if open_source(str(file)).sha256() != sha:
                found.append(file)
    return found


def test_a_killed_merge_leaves_nothing_that_loads(
    large: Path, complete: tuple[str, float], tmp_path: Path
) -> None:
    sha, seconds = complete
    draw = np.random.default_rng()
    killed = left = 0
    moments = [*draw.uniform(0.1, 1.0, 2), *draw.uniform(0.5, 0.95, 4)]
    for moment in moments:
        out = tmp_path / "out"
        process = started("merge", large / "recipe.json", out, "--threads", 1)
        time.sleep(float(moment) * seconds)
        process.kill()
        process.communicate(timeout=30)
        if process.returncode == 0:  # it was faster
            shutil.rmtree(out)
            continue
        killed += 1
        if out.exists():  # killed between its last step and its end
            assert open_source(str(out)).sha256() == sha
            shutil.rmtree(out)
        assert not partial(tmp_path, sha)
        left = max(left, len(list(tmp_path.iterdir())))
        # Each merge sweeps what the killed one before it has left.
        assert len(list(tmp_path.iterdir())) <= 1, list(tmp_path.iterdir())
    assert killed >= 2
    if not left:  # all were killed before they wrote: leave something of a dead process
        dead = tmp_path / f".out.{process.pid}.abc" / "model"
        dead.mkdir(parents=True)
        (dead / "model.safetensors").write_bytes(bytes(10**6))
    other = tmp_path / f".out.{os.getpid()}.alive"
    other.mkdir()  # somebody is at work on the same name
    code, _, error = colony("merge", large / "recipe.json", tmp_path / "out")
    assert code == 0, error
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "out"]
    assert open_source(str(tmp_path / "out")).sha256() == sha


def test_an_interrupted_merge_says_so_and_leaves_nothing(
    large: Path, complete: tuple[str, float], tmp_path: Path
) -> None:
    process = started("merge", large / "recipe.json", tmp_path / "out", "--threads", 1)
    deadline = time.monotonic() + 30
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    said, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said == ""
    assert error.strip() == "interrupted; nothing was written"
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    write_llama(tmp_path / "a")
    recipe = written(recipe_of({"a": tmp_path / "a"}, linear({"a": 1})), tmp_path / "r.json")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "x.safetensors").write_text("x")
    for name in ("out", "file", "x.safetensors"):
        assert "exists already" in failure("merge", recipe, tmp_path / name)
        assert "exists already" in failure("merge", recipe, tmp_path / name, "--dry-run")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious"]
    assert (tmp_path / "file").read_text() == (tmp_path / "x.safetensors").read_text() == "x"
    assert not list(tmp_path.glob(".*"))
    (tmp_path / "empty").mkdir()
    assert colony("merge", recipe, tmp_path / "empty")[0] == 0
    assert (tmp_path / "empty" / "config.json").exists()
    assert "cannot write" in failure("merge", recipe, tmp_path / "file" / "below")


# Full disks.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    done = shutil.which("mount") and subprocess.run(mount, check=False, capture_output=True)
    if not done or done.returncode:
        pytest.skip("a disk of 4 MB cannot be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_said_and_left_as_it_was(small_disk: Path, tmp_path: Path) -> None:
    def sized(name: str, rows: int) -> Path:
        folder = write_llama(tmp_path / name)
        tensors = load_file(folder / "model.safetensors")
        tensors["model.extra.weight"] = np.ones((rows, 1000), np.float32)
        save_file(tensors, folder / "model.safetensors")
        return written(recipe_of({"a": folder}, linear({"a": 1})), tmp_path / f"{name}.json")

    # Seen before, by its size.
    too_large = sized("large", 1200)
    said = failure("merge", too_large, small_disk / "out")
    assert "needs 5 MB, but only 4 MB are free" in said
    # Seen when the tokenizer is copied behind the weights.
    just = sized("just", 900)
    data = json.loads((tmp_path / "just" / "tokenizer.json").read_text())
    (tmp_path / "just" / "tokenizer.json").write_text(json.dumps(data) + " " * 10**6)
    process = started("merge", just, small_disk / "out")
    said, error = process.communicate(timeout=60)
    expected = f"error: cannot write {small_disk / 'out'}: No space left on device\n"
    assert (process.returncode, said, error) == (1, "", expected)
    assert list(small_disk.iterdir()) == []

    # Seen when the space for the weights is taken, because somebody else was faster.
    def greedy(_: str) -> None:
        (small_disk / "theirs").write_bytes(bytes(10**6))

    (tmp_path / "just" / "README.md").write_text("---\nlicense: mit\n---\n")
    shutil.copytree(tmp_path / "just", tmp_path / "same")
    (tmp_path / "same" / "README.md").write_text("---\nlicense: gpl\n---\n")
    both = {"a": tmp_path / "just", "b": tmp_path / "same"}
    recipe = recipe_of(both, linear({"a": 0.5, "b": 0.5}))
    refused(
        lambda: merged(recipe, small_disk / "out", say=greedy),
        f"cannot write {small_disk / 'out'}: No space left on device",
    )
    assert [path.name for path in small_disk.iterdir()] == ["theirs"]


# Broken files.

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
    assert said == [f"note: 'a' has {lacking}, which 'b' has not; the merge leaves that out"]
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


# The commands.


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return write_llama(tmp_path / "one", seed=1), write_llama(tmp_path / "two", seed=2)


def test_inspect_says_what_models_are(two: tuple[Path, Path], tmp_path: Path) -> None:
    code, said, error = colony("inspect", *two)
    assert (code, error) == (0, "")
    head, first, second = (line.split() for line in said.splitlines()[-3:])
    assert first[:2] == ["one", "llama"]
    assert {"4", "8", "79", "float32", "is", "compared"} <= set(first)
    assert (second[0], second[-1]) == ("two", "yes")
    assert head[0] == "model"
    code, said, error = colony("inspect", *two, "--json")
    assert (code, error) == (0, "")
    found = json.loads(said)
    assert [row["name"] for row in found] == ["one", "two"]
    shapes = llama_shapes().values()
    assert found[0]["parameters"] == sum(int(np.prod(shape)) for shape in shapes)
    assert (found[0]["layers"], found[0]["hidden"], found[0]["vocabulary"]) == (4, 8, 79)
    assert [row["fits"] for row in found] == ["is compared with", "yes"]


def test_inspect_fails_if_models_cannot_be_merged(two: tuple[Path, Path], tmp_path: Path) -> None:
    deep = write_llama(tmp_path / "deep", layers=5)
    code, said, error = colony("inspect", *two, deep, "--json")
    assert (code, error) == (1, "")
    fits = [row["fits"] for row in json.loads(said)]
    assert fits[:2] == ["is compared with", "yes"]
    assert fits[2].startswith("no: has besides model.layers.4.")
    assert colony("inspect", *two, deep)[0] == 1
    # A single file has no config.
    file = two[1] / "model.safetensors"
    assert json.loads(colony("inspect", two[0], file, "--json")[1])[1]["architecture"] == (
        "by tensor names"
    )
    assert "nowhere" in failure("inspect", tmp_path / "nowhere")
    # Configs say odd things.
    for change in ({"num_hidden_layers": None}, {"text_config": "x"}, {"model_type": 3}):
        (two[1] / "config.json").write_text(json.dumps(LLAMA | change))
        code, said, error = colony("inspect", *two, "--json")
        assert code in {0, 1}
        assert json.loads(said) if code == 0 else True


def test_a_dry_run_writes_nothing(two: tuple[Path, Path], tmp_path: Path) -> None:
    sources = dict(zip("ab", two, strict=True))
    recipe = written(recipe_of(sources, linear({"a": 0.5, "b": 0.5})), tmp_path / "r.json")
    before = sorted(tmp_path.rglob("*"))
    code, said, _ = colony("merge", recipe, tmp_path / "new" / "out", "--dry-run")
    assert code == 0
    assert "39 tensors" in said
    assert "nothing was written" in said
    code, said, error = colony("merge", recipe, tmp_path / "out", "--dry-run", "--json")
    assert (code, error) == (0, "")
    assert json.loads(said)["tensors"] == 39
    assert sorted(tmp_path.rglob("*")) == before
    deep = write_llama(tmp_path / "deep", layers=5)
    wrong = written(
        recipe_of({"a": deep, "b": two[0]}, linear({"a": 0.5, "b": 0.5})), tmp_path / "w.json"
    )
    assert "'b' has no tensor" in failure("merge", wrong, tmp_path / "out", "--dry-run")


def test_merge_answers_in_json(two: tuple[Path, Path], tmp_path: Path) -> None:
    sources = dict(zip("ab", two, strict=True))
    recipe = written(recipe_of(sources, linear({"a": 0.5, "b": 0.5})), tmp_path / "r.json")
    code, said, error = colony("merge", recipe, tmp_path / "out", "--json")
    assert (code, error) == (0, "")
    answer = json.loads(said)
    assert answer["folder"] == str(tmp_path / "out")
    assert answer["weights_sha256"] == open_source(str(tmp_path / "out")).sha256()
    assert (answer["tensors"], answer["warnings"]) == (39, [])
    code, said, _ = colony("merge", recipe, tmp_path / "file.safetensors")
    assert code == 0
    assert answer["weights_sha256"][:12] in said
    assert (tmp_path / "file.safetensors").is_file()


def test_a_seed_replaces_the_recipes_and_what_it_promised(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    step = {
        "method": "dare_linear",
        "base": "a",
        "models": ["b"],
        "parameters": {"weight": 1, "density": 0.5},
    }
    recipe = written(recipe_of(dict(zip("ab", two, strict=True)), step), tmp_path / "r.json")

    def sha(path: Path, name: str, *options: object) -> str:
        code, said, error = colony("merge", path, tmp_path / name, "--json", *options)
        assert code == 0, error
        found: str = json.loads(said)["weights_sha256"]
        return found

    first = sha(recipe, "first")
    assert sha(recipe, "same", "--seed", 0) == first
    again = tmp_path / "first" / "recipe.json"
    other = sha(again, "other", "--seed", 5)
    assert other != first
    # The recipe beside it has the seed that was used.
    assert sha(tmp_path / "other" / "recipe.json", "other again") == other


def test_devices_that_are_not_there(two: tuple[Path, Path], tmp_path: Path) -> None:
    recipe = written(recipe_of({"a": two[0]}, linear({"a": 1})), tmp_path / "r.json")
    said = failure("merge", recipe, tmp_path / "out", "--device", "warp")
    assert "device 'warp' cannot be used" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "r.json", "two"]
