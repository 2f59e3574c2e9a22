"""Killed, starved and watched: an archive loses nothing that it acknowledged, and always opens.

Kills, limits and mounts are real ones, of the real command line. Set COLONY_KILLS=50 and
COLONY_WATCHED=2000 to be more thorough.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from lineage import Archive
from population.analysis.verification import check
from population.campaign.kept_weights import cache_of
from tests.conftest import SHIPPED, small_toml
from tests.forks import Forks, acknowledged, headless
from tests.killing import LOGGED, Kill
from tests.population.campaign.test_campaign import assert_same

KILLS = int(os.environ.get("COLONY_KILLS", "2"))
WATCHED = int(os.environ.get("COLONY_WATCHED", "20"))
"""Generations that are written while others look."""
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, tasks_folder: Path) -> Path:
    """A campaign of generations that take a moment, whose cache has room for one champion."""
    path = tmp_path_factory.mktemp("tiny") / "tiny.toml"
    founders = [str(SHIPPED / "founders" / name) for name in ("base", "capital", "cipher")]
    few = {"population": 4, "brood": 4, "items": 6, "panel": 9, "family": 2, "challengers": 4}
    text = small_toml(
        tasks_folder,
        founders={"paths": founders},
        search=few,
        gate={"enabled": False},
        arena={"items": 3},
        budget={"generations": 6},
        run={"threads": 1},
    )
    path.write_text(text + "[weights]\nquota_gb = 0.006\n")
    return path


@pytest.fixture(scope="module")
def unhurt(forks: Forks, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """What the tiny campaign comes to when nobody disturbs it."""
    folder = tmp_path_factory.mktemp("unhurt")
    forks.start(*headless(folder / "colony.duckdb", tiny), said=folder / "said")
    assert forks.wait() == 0, (folder / "said").read_text()
    return Archive(folder / "colony.duckdb")


def keeping(archive: Path) -> bool:
    return any(archive.with_name(archive.name + ".weights").glob(".*.draft"))


def assert_unharmed(archive: Path, said: Path) -> int:
    """Fail if anything is lost that a campaign which was killed had said; its generations."""
    if not archive.exists():
        assert acknowledged(said) == -1
        return 0
    colony = Archive(archive)
    assert len(colony.generations()) - 1 >= acknowledged(said)
    assert colony.inconsistencies() == []
    assert all(cache_of(colony).damage(kept.sha256) is None for kept in cache_of(colony).files())
    return len(colony.generations())


def finish(forks: Forks, archive: Path, tiny: Path, said: Path, unhurt: Archive) -> None:
    """Let a campaign that was killed come to its end, and fail if that is another than usual."""
    forks.start(*headless(archive, tiny), said=said)
    assert forks.wait() == 0, said.read_text()
    assert_same(Archive(archive), unhurt)
    assert check(Archive(archive), sample=4).damages == ()
    assert not keeping(archive)


def test_killed_in_commits_and_evictions_it_comes_to_the_same(
    forks: Forks, tiny: Path, unhurt: Archive, tmp_path: Path
) -> None:
    """Of the generation in flight all is there or nothing, by whether COMMIT had returned."""
    archive, said = tmp_path / "colony.duckdb", tmp_path / "said"
    log = archive.with_name(archive.name + ".wal")
    complete = 0
    for kill in (
        Kill("inside"),
        Kill("before commit"),
        Kill("torn"),
        Kill("after commit"),
        Kill("draft"),
        Kill("torn", number=2),
        Kill("before commit"),
        Kill("after commit"),
    ):
        forks.start(*headless(archive, tiny), said=said, kill=kill)
        assert forks.wait() == kill.code, said.read_text()
        assert keeping(archive) == (kill.moment == "draft")
        if kill.moment == "torn":
            assert log.stat().st_size == LOGGED
        elif kill.moment == "after commit":
            assert log.stat().st_size > LOGGED
        before, complete = complete, assert_unharmed(archive, said)
        if kill.moment != "draft":  # the first champion that is no founder comes when it comes
            assert complete - before == kill.number - (kill.moment != "after commit")
    finish(forks, archive, tiny, said, unhurt)


def test_killed_at_random_moments_it_comes_to_the_same(
    forks: Forks, tiny: Path, unhurt: Archive, tmp_path: Path
) -> None:
    """From without, at whatever it does just then."""
    rng = np.random.default_rng(11)
    archive, said = tmp_path / "colony.duckdb", tmp_path / "said"
    for _ in range(KILLS):
        pid = forks.start(*headless(archive, tiny), said=said)
        forks.server.ends_within(rng.uniform(0.1, 2.0))
        with suppress(ProcessLookupError):  # it had come to its end
            os.kill(pid, signal.SIGKILL)
        code = forks.wait()
        assert code in (0, -signal.SIGKILL), said.read_text()
        assert_unharmed(archive, said)
        if code == 0:
            assert_same(Archive(archive), unhurt)
            archive.unlink()
    finish(forks, archive, tiny, said, unhurt)


def test_without_room_it_ends_in_one_line_and_goes_on_later(
    forks: Forks, tiny: Path, unhurt: Archive, tmp_path: Path
) -> None:
    """A limit on the size of files stands in for a full disk: first for weights, then for all."""
    archive, said = tmp_path / "colony.duckdb", tmp_path / "said"
    for largest, complaint in (
        (300_000, "no room left on the disk"),  # not even an archive
        (unhurt.path.stat().st_size // 2, "no room left on the disk|cannot keep weights"),
    ):
        forks.start(*headless(archive, tiny), said=said, largest=largest)
        assert forks.wait() == 1
        errors = [line for line in said.read_text().splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert re.search(complaint, errors[0])
        assert "Traceback" not in said.read_text()
        if archive.exists():
            assert Archive(archive).inconsistencies() == []
    forks.start(*headless(archive, tiny), said=said)
    assert forks.wait() == 0, said.read_text()
    assert_same(Archive(archive), unhurt)


def test_weights_that_vanish_are_made_again(
    forks: Forks, tiny: Path, unhurt: Archive, tmp_path: Path
) -> None:
    archive, said = tmp_path / "colony.duckdb", tmp_path / "said"
    shutil.copy(unhurt.path, archive)
    forks.start(*headless(archive, tiny), said=said)
    assert forks.wait() == 0, said.read_text()
    kept = cache_of(Archive(archive)).files()
    assert [one.sha256 for one in kept] == [unhurt.find("champion").weights_sha256]


def mounted(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to which a folder is read-only."""
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && cd "$1" && shift && "$@"'
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, str(folder), str(ROOT), *command],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_read_only_folder_can_be_read_and_says_so_when_written(
    unhurt: Archive, tiny: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    if mounted(folder, ["true"]).returncode:
        pytest.skip("this machine gives users no name spaces")
    archive = folder / "colony.duckdb"
    shutil.copy(unhurt.path, archive)
    colony = [sys.executable, "-c", "from tui.cli.main import main; main()"]
    done = mounted(folder, [*colony, "models", "--archive", str(archive), "--json"])
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == len(unhurt.models(living=True))
    done = mounted(folder, [*colony, *map(str, headless(archive, tiny))])
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"error: cannot write beside {archive}: Read-only file system" in done.stderr
    write = "from lineage import Archive; from pathlib import Path; import sys\n"
    write += "try: Archive(Path(sys.argv[1])).intervene({}, 'x')\n"
    write += "except Exception as error: print(type(error).__name__, error)"
    done = mounted(folder, [sys.executable, "-c", write, str(archive)])
    assert re.match("ArchiveError .*cannot be written: .*nothing was changed", done.stdout)
    assert_same(Archive(archive), unhurt)


WATCH = """
import sys, time
from pathlib import Path
from lineage import Archive
archive, last, notes = Archive(Path(sys.argv[1])), int(sys.argv[2]) - 1, 0
seen, looks = -1, 0
while seen < last or not notes:
    history, models, events = archive.generations(), archive.models(), archive.events()
    # One look is three leases, and a generation may come in between: nothing goes backwards.
    assert len(history) - 1 >= seen
    assert len(models) >= 2 + 10 * len(history)
    assert [past.generation for past in history] == list(range(len(history)))
    seen, looks = len(history) - 1, looks + 1
    if looks % 5 == 0:
        archive.intervene({}, f"{sys.argv[3]} saw {notes}")
        notes += 1
    time.sleep(0.02)  # or the writer would wait for its turn
print(notes)
"""

WRITE = """
import sys
from dataclasses import replace
from pathlib import Path
from lineage import Archive
from lineage.records import Birth
from tests.lineage.test_archive import BIRTH, CHAPTER
archive, generations = Archive(Path(sys.argv[1])), int(sys.argv[2])
for generation in range(generations):
    births = tuple(replace(BIRTH, id=3 + 10 * generation + row) for row in range(10))
    summary = replace(CHAPTER.summary, generation=generation)
    archive.commit(replace(CHAPTER, summary=summary, births=births, items=(), panel=(), round=None,
                           jury=(), scores=()))
print(generations)
"""


def test_two_watchers_and_a_writer_never_see_an_error(tmp_path: Path) -> None:
    from lineage.records import Block, Founder  # noqa: PLC0415

    path = tmp_path / "colony.duckdb"
    Archive.create(
        path,
        seed=0,
        config={},
        founders=[Founder("base", "/b", "ab" * 32), Founder("adder", "/a", "cd" * 32)],
        basis=[1],
        blocks=[Block(name, 1) for name in "xyz"],
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(WATCHED), name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for code, name in ((WRITE, "writer"), (WATCH, "ann"), (WATCH, "bob"))
    ]
    writer, *watchers = processes
    told = [writer.communicate()]
    if writer.returncode:  # they would wait for what never comes
        for watcher in watchers:
            watcher.kill()
    told += [watcher.communicate() for watcher in watchers]
    assert [error for _, error in told] == ["", "", ""]
    generations, *notes = (int(said) for said, _ in told)
    archive = Archive(path)
    assert len(archive.generations()) == generations > 0
    assert archive.newest_id() == 2 + 10 * generations
    details = [event.detail for _, event in archive.events() if event.kind == "intervention"]
    expected = [
        f"{name} saw {number}"
        for name, count in zip(("ann", "bob"), notes, strict=True)
        for number in range(count)
    ]
    assert sorted(details) == sorted(expected)
