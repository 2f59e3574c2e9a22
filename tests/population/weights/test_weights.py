"""Kept weights: under a quota, never trusted unread; fossils come back and prove it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lineage import Archive
from population.analysis.verification import check
from population.campaign.kept_weights import cache_of, revive
from population.errors import CheckpointError, PopulationError
from population.models.opening import open_checkpoint
from population.weights.cache import WeightsCache
from population.weights.fingerprint import fingerprint
from population.weights.materialise import State, state_sha256
from tests.archives import copied
from tests.command_helpers import colony, failure

SIZE = 4000
"""Bytes of a state of these tests; a file takes a little more."""


def state(seed: int) -> State:
    draw = np.random.default_rng(seed)
    return {"w": torch.from_numpy(draw.standard_normal(SIZE // 4, dtype=np.float32))}


def keep(cache: WeightsCache, *seeds: int, keyframes: tuple[int, ...] = ()) -> None:
    """Keep some states, each used a second after the one before."""
    for seed in seeds:
        sha = state_sha256(state(seed))
        cache.put(sha, state(seed), [state_sha256(state(k)) for k in keyframes])
        if cache.file(sha).exists():
            touched(cache, seed, seed)


def touched(cache: WeightsCache, seed: int, second: int) -> None:
    os.utime(cache.file(state_sha256(state(seed))), (10**9 + second, 10**9 + second))


def loaded(cache: WeightsCache, sha: str) -> State | str:
    """What is kept under a hash, or why it is not given out."""
    try:
        found = cache.load(sha)
    except CheckpointError as error:
        return str(error)
    assert found is not None
    return found


def kept(cache: WeightsCache) -> set[int]:
    names = {state_sha256(state(seed)): seed for seed in range(10)}
    return {names[one.sha256] for one in cache.files()}


@pytest.fixture
def cache(tmp_path: Path) -> WeightsCache:
    """Room for three states."""
    return WeightsCache(tmp_path / "colony.duckdb", 3 * (SIZE + 200))


def test_the_least_recently_used_make_room(cache: WeightsCache) -> None:
    keep(cache, 0, 1, 2)
    assert cache.load(state_sha256(state(0))) is not None  # now it is the latest used
    keep(cache, 3)
    assert kept(cache) == {0, 2, 3}
    touched(cache, 0, 1)
    keep(cache, 4)
    assert kept(cache) == {2, 3, 4}


def test_keyframes_leave_last(cache: WeightsCache) -> None:
    keep(cache, 0, 1, 2, 3, 4, keyframes=(0, 1))
    assert kept(cache) == {0, 1, 4}
    keep(cache, 5, 6, keyframes=(0, 1, 5, 6))
    assert kept(cache) == {1, 5, 6}
    keep(cache, 7, keyframes=(1, 5, 6))  # who is none does not push one out
    assert kept(cache) == {1, 5, 6}


def test_what_never_fits_drives_nobody_out(cache: WeightsCache) -> None:
    keep(cache, 0, 1, 2)
    huge = {"w": torch.zeros(10 * SIZE)}
    assert not cache.put(state_sha256(huge), huge)
    assert kept(cache) == {0, 1, 2}
    assert not WeightsCache(cache.folder.with_name("none"), 0).put("0" * 64, state(0))


def test_what_a_killed_process_left_is_swept(cache: WeightsCache) -> None:
    keep(cache, 0)
    left = cache.folder / f".{'0' * 64}.999999999.draft"
    left.write_bytes(bytes(100))
    keep(cache, 1)
    assert not left.exists()


def test_damaged_files_are_named_and_never_used(cache: WeightsCache) -> None:
    """Any byte of the data, any cut; a flip in the header shows, or changes no weight."""
    keep(cache, 0)
    sha = state_sha256(state(0))
    file, whole = cache.file(sha), cache.file(sha).read_bytes()
    rng = np.random.default_rng(3)
    for place in [*rng.integers(0, len(whole), 60), 0, 8, len(whole) - 1]:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(flipped)
        found = loaded(cache, sha)
        if isinstance(found, str):
            assert str(file) in found
            assert "\n" not in found
        else:
            assert place < len(whole) - SIZE
            assert state_sha256(found) == sha
    for length in (0, 4, 20, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="check --repair"):
            cache.load(sha)


@pytest.fixture
def mine(small_archive: Archive, tmp_path: Path) -> Archive:
    """A copy of a finished campaign, with what it kept."""
    archive = copied(small_archive, tmp_path / "mine.duckdb")
    shutil.copytree(cache_of(small_archive).folder, cache_of(archive).folder)
    return archive


def test_a_campaign_keeps_its_champions(mine: Archive) -> None:
    assert {one.sha256 for one in cache_of(mine).files()} == set(mine.keyframes())
    champion = mine.find("champion")
    assert state_sha256(load_file(cache_of(mine).file(champion.weights_sha256))) == (
        champion.weights_sha256
    )


def test_fossils_come_back(mine: Archive, tmp_path: Path) -> None:
    fossil = next(m for m in mine.models(living=False) if m.weights_sha256 is None)
    where = ("--archive", mine.path)
    code, said, _ = colony("revive", fossil.id, *where, "--json")
    answer = json.loads(said)
    assert (code, answer["found"]) == (0, "remade")
    assert answer["id"] == fossil.id
    sha256 = mine.models(ids=[fossil.id])[0].weights_sha256
    assert sha256 is not None
    assert state_sha256(load_file(answer["file"])) == answer["weights_sha256"] == sha256
    assert fingerprint(load_file(answer["file"])) == answer["fingerprint"] == fossil.fingerprint
    assert json.loads(colony("revive", fossil.id, *where, "--json")[1])["found"] == "kept"
    code, said, _ = colony("revive", fossil.id, tmp_path / "fossil", *where)
    assert code == 0
    assert sha256[:12] in said
    assert open_checkpoint(tmp_path / "fossil").sha256() == sha256
    Path(answer["file"]).write_bytes(b"nonsense")
    assert json.loads(colony("revive", fossil.id, *where, "--json")[1])["found"] == "repaired"
    assert state_sha256(load_file(answer["file"])) == sha256


@pytest.mark.slow
def test_founders_and_routes_come_back_too(
    mine: Archive, routed_archive: Callable[[str], Archive], tmp_path: Path
) -> None:
    routed = copied(routed_archive("flow"), tmp_path / "routed.duckdb")
    for archive, model in ((mine, mine.find("capital")), (routed, routed.models()[-1])):
        made = revive(archive, model)
        (row,) = archive.models(ids=[model.id])
        assert state_sha256(load_file(made.file)) == made.sha256 == row.weights_sha256


def test_a_keyframe_outlives_its_founders(mine: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    champion = mine.find("champion")
    monkeypatch.setattr(
        "population.campaign.kept_weights.reopen_context",
        lambda *_: pytest.fail("no founder is needed for what is kept"),
    )
    assert revive(mine, champion).found == "kept"


def test_check_names_damaged_weights_and_repairs_them(mine: Archive) -> None:
    cache = cache_of(mine)
    first, *_ = cache.files()
    whole = first.file.read_bytes()
    first.file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    stray = cache.file("0" * 64)
    stray.write_bytes(whole)
    code, said, _ = colony("check", "--sample", 1, "--archive", mine.path)
    assert code == 1
    flat = " ".join(said.split())
    assert f"weights {first.file}: the file holds other weights than its name says" in flat
    assert "no model of this archive has such weights" in flat
    code, said, _ = colony("check", "--sample", 1, "--archive", mine.path, "--repair", "--json")
    assert code == 0
    damages = json.loads(said)["damages"]
    assert [damage["repaired"] for damage in damages] == [True, True]
    assert "made again from the recipe of #" in str(damages)
    assert first.file.read_bytes() == whole
    assert not stray.exists()
    assert check(mine, sample=1).damages == ()


def test_what_cannot_be_kept_is_said_in_one_line(mine: Archive) -> None:
    cache, fossil = cache_of(mine), mine.models(living=False)[0]
    shutil.rmtree(cache.folder)
    assert revive(mine, fossil).found == "remade"  # a folder that vanished is made again
    shutil.rmtree(cache.folder)
    cache.folder.write_text("somebody's file")
    said = failure("revive", fossil.id, "--archive", mine.path)
    assert f"cannot keep weights in {cache.folder}: File exists" in said
    cache.folder.unlink()
    content = mine.campaign()[1]
    content["weights"] = {"quota_gb": 1e-6}
    mine.intervene(content, "next to no room")
    assert mine.events()[-1][1].detail == "next to no room"
    assert "raise [weights] quota_gb" in failure("revive", fossil.id, "--archive", mine.path)
    with pytest.raises(PopulationError, match="more than the quota"):
        revive(mine, fossil)
