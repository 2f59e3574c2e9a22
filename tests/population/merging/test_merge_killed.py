"""Killed, interrupted or out of disk, a result is complete or not there at all.

Kills, interrupts and full disks are real ones, of the real command line.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from population.models.sources import open_source
from tests.command_helpers import colony, failure, started, written
from tests.merge_helpers import (
    LLAMA,
    give_tokenizer,
    linear,
    merged,
    recipe_of,
    refused,
    write_llama,
)


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
