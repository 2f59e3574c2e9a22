"""Killed, interrupted or out of disk, a result is complete or not there at all.

Kills, interrupts and full disks are real ones, of the real command line.
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from population.models.sources import open_source
from tests.command_helpers import colony, failure, started, written
from tests.forks import Forks
from tests.killing import Kill
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
    """A recipe over three models of 8 MB."""
    folder = tmp_path_factory.mktemp("large")
    draw = np.random.default_rng(0)
    for name in ("base", "a", "b"):
        (folder / name).mkdir()
        tensors = {
            f"model.layers.{n}.mlp.up_proj.weight": draw.standard_normal((500, 1000), np.float32)
            for n in range(4)
        }
        save_file(tensors, folder / name / "model.safetensors", metadata={"format": "pt"})
        shape = {"num_hidden_layers": 4, "hidden_size": 1000, "intermediate_size": 500}
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
def whole(large: Path) -> str:
    """The hash of the whole result."""
    code, _, error = colony("merge", large / "recipe.json", large / "whole")
    assert code == 0, error
    return open_source(str(large / "whole")).sha256()


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
    large: Path, whole: str, forks: Forks, tmp_path: Path
) -> None:
    folder, said = tmp_path / "here", tmp_path / "said"
    folder.mkdir()
    merge = ("merge", large / "recipe.json", folder / "out", "--threads", 1)
    for kill in (Kill("write"), Kill("write", number=4), Kill("seal"), Kill("rename")):
        forks.start(*merge, said=said, kill=kill)
        assert forks.wait() == kill.code, said.read_text()
        assert not (folder / "out").exists()
        assert not partial(folder, whole)
        # Each merge sweeps what the killed one before it has left.
        assert len(list(folder.iterdir())) == 1, list(folder.iterdir())
    other = folder / f".out.{os.getpid()}.alive"
    other.mkdir()  # somebody is at work on the same name
    code, _, error = colony(*merge)
    assert code == 0, error
    assert sorted(path.name for path in folder.iterdir()) == [other.name, "out"]
    assert open_source(str(folder / "out")).sha256() == whole


def test_an_interrupted_merge_says_so_and_leaves_nothing(
    large: Path, forks: Forks, tmp_path: Path
) -> None:
    folder, said = tmp_path / "here", tmp_path / "said"
    folder.mkdir()
    for moment in ("write", "seal"):
        forks.start(
            "merge", large / "recipe.json", folder / "out",
            said=said, kill=Kill(moment, by=signal.SIGINT),
        )  # fmt: skip
        assert forks.wait() == 130
        assert said.read_text() == "interrupted; nothing was written\n"
        assert list(folder.iterdir()) == []


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
