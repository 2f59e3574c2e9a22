"""Archives that come, grow and go, are held or damaged: it is said, and the screen recovers."""

import gzip
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lineage import Archive
from lineage.archive.fork import fork
from tests.benchmarks.lineage import found
from tests.screen_helpers import FIXTURES, finished, frame, pressed, run, shown, until
from tui.app.app import ColonyApp
from tui.app.data import archive_watcher
from tui.app.widgets.virtual_list import VirtualList
from tui.shared.heartbeat import HeartbeatWriter

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_watcher, "AT_LEAST_EVERY_S", 0.3)
    monkeypatch.setattr(archive_watcher, "AFTER_TROUBLE_S", 0.2)


@contextmanager
def beside(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A program that runs beside, until it ends or is no longer needed."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True,
        cwd=ROOT,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def born(app: ColonyApp) -> int:
    return 0 if app.snapshot is None else app.snapshot.newest


def test_one_that_disappears_is_missed_and_comes_back(tmp_path: Path) -> None:
    path = finished(tmp_path)

    async def test() -> None:
        async with shown(path) as (app, pilot):
            path.rename(tmp_path / "away")
            await until(pilot, lambda: f"no archive at {tmp_path}"[:40] in frame(app))
            await pressed(pilot, "2", "j", "s", "1")  # what was read is still there
            assert "births 357" in frame(app)
            (tmp_path / "away").rename(path)
            await until(pilot, lambda: app.trouble is None)
            assert "no archive" not in frame(app)

    run(test())


@pytest.mark.parametrize(("kept", "words"), [(16, "is damaged"), (0, "is no archive")])
def test_one_that_is_damaged_is_named_and_a_restored_copy_is_read(
    tmp_path: Path, kept: int, words: str
) -> None:
    path = finished(tmp_path)
    shutil.copy(path, tmp_path / "copy")

    async def test() -> None:
        async with shown(path) as (app, pilot):
            path.write_bytes(path.read_bytes()[:kept] + b"hello " * 5000)
            await until(pilot, lambda: words in (app.trouble or ""))
            assert words in frame(app)
            shutil.copy(tmp_path / "copy", path)
            await until(pilot, lambda: app.trouble is None)
            assert born(app) == 357

    run(test())


HOLDER = """
import sys, time, duckdb
held = None
while held is None:
    try:
        held = duckdb.connect(sys.argv[1])
    except duckdb.IOException:
        time.sleep(0.01)
print("held", flush=True)
time.sleep(60)
"""


def test_one_that_somebody_holds_is_waited_for_by_name(tmp_path: Path) -> None:
    path = finished(tmp_path)

    async def test() -> None:
        async with shown(path) as (app, pilot):
            with beside(HOLDER, path) as holder:
                assert holder.stdout is not None
                assert holder.stdout.readline() == "held\n"
                await until(pilot, lambda: f"PID {holder.pid}" in (app.trouble or ""))
                assert f"waiting for PID {holder.pid}" in frame(app)
                await pressed(pilot, "2", "j", "j")  # and nothing waits for it
                assert app.screen.query_one(VirtualList).row == 2
            await until(pilot, lambda: app.trouble is None)

    run(test())


WRITER = """
import sys
from pathlib import Path
import numpy as np
from lineage import Archive
from tests.benchmarks.lineage import chapter
archive, rng = Archive(Path(sys.argv[1])), np.random.default_rng(0)
for generation in range(int(sys.argv[2]), int(sys.argv[3])):
    archive.commit(chapter(rng, generation, 10 + 20 * generation, 20))
"""


def test_one_that_is_being_written_is_followed_to_the_end(tmp_path: Path) -> None:
    """Rows come in above and around the cursor; it stays where it is, on its model."""
    path = tmp_path / "colony.duckdb"
    found(path).close()
    with beside(WRITER, path, 0, 6) as writer:
        assert writer.wait() == 0

    async def test() -> None:
        async with shown(path) as (app, pilot):
            await pressed(pilot, "2", "s", "s")
            await pressed(pilot, "j", "j", "j", "j")
            lines = app.screen.query_one("#board", VirtualList)
            model = lines.key
            with beside(WRITER, path, 6, 12) as writer:
                await until(pilot, lambda: born(app) == 9 + 12 * 20, 60)
                assert writer.wait() == 0
            await until(pilot, lambda: len(lines.rows) == 9 + 12 * 10)
            assert lines.key == model
            assert lines.row == 4 + 6 * 10
            assert lines.row - lines.scroll_offset.y == 4
            assert "60 new above" in frame(app)
            await pressed(pilot, "f")
            assert lines.row == 0
            assert "new above" not in frame(app)

    run(test())


def test_another_archive_in_its_place_is_read_anew(tmp_path: Path) -> None:
    path = finished(tmp_path)
    archive = Archive(path)
    younger = fork(archive, 10, tmp_path / "younger.duckdb")
    archive.close()
    younger.close()

    async def test() -> None:
        async with shown(path) as (app, pilot):
            app.action_go(350)
            app.action_go(20)
            app.action_mark()
            (tmp_path / "younger.duckdb").replace(path)
            await until(pilot, lambda: born(app) == Archive(path).newest_id() < 350)
            assert app.focused_on.trail == (20,)
            assert app.focused_on.mark == 20

    run(test())


def test_one_of_an_earlier_schema_is_brought_forward(tmp_path: Path) -> None:
    path = tmp_path / "colony.duckdb"
    path.write_bytes(gzip.decompress((FIXTURES / "schema-2.duckdb.gz").read_bytes()))

    async def test() -> None:
        async with shown(path) as (app, pilot):
            await pressed(pilot, "2", "j")
            assert born(app) == len(Archive(path).models())

    run(test())


def test_one_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    """A campaign reads its founders before it makes its archive: that is no trouble."""
    path = tmp_path / "colony.duckdb"

    async def test() -> None:
        app = ColonyApp(path)
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: "no archive at" in frame(app))
            with HeartbeatWriter(path) as heart:
                heart.update(what="reading founders", done=2, total=9)
                await until(pilot, lambda: "reading founders 2/9" in frame(app))
                found(path).close()
                await until(pilot, lambda: born(app) == 9)
                await until(pilot, lambda: app.trouble is None)
                assert "no generation is complete yet" in frame(app)
                assert "running" in frame(app)
            await until(pilot, lambda: "at rest: done" in frame(app))

    run(test())
