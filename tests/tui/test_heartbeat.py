"""The pulse of a campaign: replaced whole, seldom enough, and told to its end."""

import json
import os
from pathlib import Path

import pytest

from tui.shared import heartbeat
from tui.shared.heartbeat import Heartbeat, HeartbeatWriter, heartbeat_path, read_heartbeat


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "colony.duckdb"


def test_steps_are_written_a_few_times_a_second(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: now)
    heart = HeartbeatWriter(archive)
    seen = set()
    for step in range(1000):
        now = 100.0 + step / 1000
        heart.step(step, 1000, "offspring")
        told = read_heartbeat(archive)
        assert told is not None
        seen.add(told.done)
    assert len(seen) == 1 / heartbeat.EVERY_S


def test_what_changes_seldom_is_told_at_once(archive: Path) -> None:
    heart = HeartbeatWriter(archive)
    heart.step(1, 9, "offspring")
    heart.update(generation=4, spent=120, budget=1000, left_s=None)
    told = read_heartbeat(archive)
    assert told is not None
    assert (told.generation, told.spent, told.budget, told.left_s) == (4, 120, 1000, None)
    assert (told.what, told.done, told.total) == ("offspring", 1, 9)
    assert told.pid == os.getpid()
    assert told.running


def test_the_end_is_told_whatever_it_is(archive: Path) -> None:
    with HeartbeatWriter(archive) as heart:
        heart.step(1, 2, "arena")
    assert ended(archive) == "done"
    with pytest.raises(RuntimeError), HeartbeatWriter(archive):
        raise RuntimeError("the disk is full\nand more")
    assert ended(archive) == "the disk is full"
    with HeartbeatWriter(archive) as heart:
        heart.update(ended="the budget is spent")
    assert ended(archive) == "the budget is spent"


def ended(archive: Path) -> str | None:
    told = read_heartbeat(archive)
    assert told is not None
    assert not told.running
    return told.ended


def test_a_process_that_was_killed_does_not_beat(archive: Path) -> None:
    HeartbeatWriter(archive).update(generation=1)
    told = json.loads(heartbeat_path(archive).read_text())
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    heartbeat_path(archive).write_text(json.dumps({**told, "pid": child}))
    gone = read_heartbeat(archive)
    assert gone is not None
    assert gone.ended is None
    assert not gone.running


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 1, "new": 2}', "\udcff"])
def test_what_is_not_understood_is_no_heartbeat(archive: Path, text: str) -> None:
    heartbeat_path(archive).write_bytes(text.encode("utf-8", "surrogateescape"))
    assert read_heartbeat(archive) is None


def test_a_campaign_goes_on_where_its_heartbeat_cannot_be_written(tmp_path: Path) -> None:
    with HeartbeatWriter(tmp_path / "nowhere" / "colony.duckdb") as heart:
        heart.step(1, 2, "arena")
        heart.update(generation=1)
    assert list(tmp_path.iterdir()) == []


def test_nothing_else_is_left_beside_the_archive(archive: Path) -> None:
    with HeartbeatWriter(archive) as heart:
        heart.step(1, 2, "arena")
    assert [path.name for path in archive.parent.iterdir()] == [heartbeat_path(archive).name]
    assert read_heartbeat(archive) == Heartbeat(**json.loads(heartbeat_path(archive).read_text()))
