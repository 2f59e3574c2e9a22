"""The screen in a real terminal: in front of a campaign, watched from beside, and left."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lineage import Archive
from lineage.archive.fork import fork
from lineage.commands.definitions import submit
from tests.benchmarks.tui import Terminal
from tests.screen_helpers import finished
from tui.shared.heartbeat import read_heartbeat

ROOT = Path(__file__).parents[2]


def colony(*arguments: object) -> Terminal:
    return Terminal(["-m", "tui.cli.main", *map(str, arguments)])


def ended(terminal: Terminal, seconds: float = 60.0) -> int:
    """The exit code of what runs in a terminal, once it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        terminal.read(0.05)
        gone, status = os.waitpid(terminal.pid, os.WNOHANG)
        if gone:
            while terminal.read(0.05):
                pass
            return os.waitstatus_to_exitcode(status)
    raise TimeoutError(f"still running: {terminal.painted[-2000:]!r}")


def waited(holds: Callable[[], object], *watchers: Terminal, seconds: float = 240.0) -> None:
    """Wait until something holds, while watchers go on painting."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, [plain(watcher)[-2000:] for watcher in watchers]
        time.sleep(0.05)
        for watcher in watchers:
            watcher.read(0.05)


@pytest.mark.timeout(600)
def test_a_campaign_is_watched_as_it_lives_and_stopped(
    small_archive: Archive, small_config: Path, tmp_path: Path
) -> None:
    """Births are seen on the screen while the campaign runs, by two watchers at the same time."""
    path = fork(small_archive, 1, tmp_path / "colony.duckdb").path
    front = colony("run", small_config, "--archive", path, "--generations", 500, "--no-report")
    beside = colony("tui", path)
    beside.until("running", 120)
    newest = Archive(path).newest_id()
    waited(lambda: Archive(path).newest_id() > newest, front, beside)
    for watcher in (front, beside):
        watcher.painted = b""
    seen = Archive(path).newest_id()
    for watcher in (front, beside):
        waited(lambda watcher=watcher: births(watcher) >= seen, front, beside)  # type: ignore[misc]
    beside.close()
    front.press("q")
    front.until("the campaign is running", 600)
    front.press("s")
    assert ended(front) == 130
    assert "To continue: colony run" in plain(front)
    heartbeat = read_heartbeat(path)
    assert heartbeat is not None
    assert not heartbeat.running


def births(watcher: Terminal) -> int:
    """How many births a watcher has shown since it was asked last."""
    said = re.findall(r"births ([\d,]+)", plain(watcher))
    return max((int(count.replace(",", "")) for count in said), default=0)


def plain(terminal: Terminal) -> str:
    """What was painted, without what moves and colours it."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.painted.decode("utf-8", "replace"))


@pytest.mark.timeout(600)
def test_a_campaign_that_is_left_runs_to_its_end(
    small_archive: Archive, small_config: Path, tmp_path: Path
) -> None:
    """It is paused until somebody has left, or it might have ended before."""
    archive = fork(small_archive, 1, tmp_path / "colony.duckdb")
    path = archive.path
    submit(archive, "pause")
    front = colony("run", small_config, "--archive", path, "--generations", 2, "--no-report")
    front.until("1 Colony", 120)
    front.press("q")
    front.until("the campaign is running", 120)
    front.press("l")
    assert ended(front) == 0
    assert "the campaign goes on" in plain(front)
    submit(archive, "resume")
    waited(lambda: (heartbeat := read_heartbeat(path)) is not None and not heartbeat.running)
    assert Archive(path).generations()[-1].generation == 2
    assert "are bred" in (tmp_path / "colony.duckdb.log").read_text()


def test_a_wrong_configuration_is_said_before_the_screen_opens(tmp_path: Path) -> None:
    front = colony("run", tmp_path / "no.toml", "--archive", tmp_path / "colony.duckdb")
    assert ended(front) == 1
    assert "no configuration at" in plain(front)


@pytest.mark.parametrize("term", ["dumb", ""])
def test_on_a_terminal_that_can_show_no_screen_lines_are_printed(
    term: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is printed there is what a pipe gets: here, why it cannot start."""
    (tmp_path / "empty.toml").write_text('[founders]\npaths = ["/nowhere/*"]\n')
    front = Terminal(
        [
            "-m",
            "tui.cli.main",
            "run",
            str(tmp_path / "empty.toml"),
            "--archive",
            str(tmp_path / "a"),
        ],
        term=term,
    )
    assert ended(front) == 1
    assert "fits no folder" in plain(front)
    assert not (tmp_path / "a.log").exists()


def test_without_a_terminal_there_is_no_screen(tmp_path: Path) -> None:
    path = finished(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tui.cli.main", "tui", path],
        capture_output=True,
        text=True,
        cwd=ROOT,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: colony tui needs a terminal")


def test_what_is_not_there_is_said_before_the_screen_opens(tmp_path: Path) -> None:
    front = colony("tui", tmp_path / "none.duckdb")
    assert ended(front) == 1
    assert "no archive at" in plain(front)


@pytest.mark.parametrize("asked", ["by a key", "by a signal"])
def test_the_terminal_is_left_as_it_was(asked: str, tmp_path: Path) -> None:
    """The screen of before comes back, and nothing is written on it."""
    front = colony("tui", finished(tmp_path))
    front.until("births")
    front.settle()
    if asked == "by a key":
        front.press("q")
    else:
        os.kill(front.pid, signal.SIGTERM)
    assert ended(front) == 0
    assert b"\x1b[?1049l" in front.painted
    rest = front.painted.rsplit(b"\x1b[?1049l", 1)[1].decode()
    assert re.sub(r"\x1b\[[<>=?]?[0-9;]*[A-Za-z]", "", rest).strip() == ""


def test_a_terminal_of_another_size_is_painted_anew(tmp_path: Path) -> None:
    front = colony("tui", finished(tmp_path))
    front.until("births")
    for size in ((20, 5), (200, 60), (80, 24)):
        front.resize(*size)
        os.kill(front.pid, signal.SIGWINCH)
        front.settle()
        front.press("j")
    front.painted = b""
    front.press("2")
    front.until("ever born")
    front.close()
