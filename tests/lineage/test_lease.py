"""Leases: one transaction at a time, whoever else is there; every failure is one clear line."""

import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from lineage import Archive, ArchiveBusyError, ArchiveError, ArchiveFullError
from lineage.storage import lease
from lineage.storage.lease import ArchiveConnection
from lineage.storage.schema import SCHEMA_VERSION

HOLD = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def shelf(tmp_path: Path) -> ArchiveConnection:
    made = ArchiveConnection(tmp_path / "it's a file.duckdb", new=True)
    with made.write() as db:
        db.execute("CREATE TABLE numbers (n INTEGER)")
    return made


def numbers(shelf: ArchiveConnection) -> list[tuple[int, ...]]:
    with shelf.read() as db:
        return db.execute("SELECT n FROM numbers ORDER BY n").fetchall()


def test_a_failed_lease_leaves_nothing_behind(shelf: ArchiveConnection) -> None:
    with pytest.raises(RuntimeError), shelf.write() as db:
        db.execute("INSERT INTO numbers VALUES (1)")
        raise RuntimeError
    with pytest.raises(ArchiveError), shelf.write() as db:
        db.execute("INSERT INTO numbers VALUES (2)")
        db.execute("INSERT INTO nowhere VALUES (2)")
    assert numbers(shelf) == []
    with shelf.write() as db:
        db.execute("INSERT INTO numbers VALUES (3)")
    assert numbers(shelf) == [(3,)]


def test_the_file_is_free_and_complete_between_leases(
    shelf: ArchiveConnection, tmp_path: Path
) -> None:
    with shelf.write() as db:
        db.execute("INSERT INTO numbers VALUES (7)")
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(shelf.path.read_bytes())
    with duckdb.connect(str(copy)) as other:
        assert other.execute("SELECT n FROM numbers").fetchall() == [(7,)]


def test_who_closes_does_not_wait_for_a_long_question(shelf: ArchiveConnection) -> None:
    """Closing stops what another thread reads, which hears of it as of any failure."""
    begun, heard = threading.Event(), list[Exception]()

    def ask() -> None:
        try:
            with shelf.read() as db:
                db.create_function("begins", lambda _: begun.set() or 1, [int], int)
                db.execute(
                    "SELECT count(*) FROM range(10_000_000) a, range(10_000_000) b "
                    "WHERE begins(a.range) + b.range > 0"
                ).fetchall()
        except ArchiveError as error:
            heard.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    assert begun.wait(120)
    shelf.close()
    asking.join(120)
    assert not asking.is_alive()
    assert len(heard) == 1


@contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has the file until it is told a line."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.communicate("let go\n")


def test_waits_for_whoever_holds_the_file_and_names_them(
    shelf: ArchiveConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "MENTION_AFTER_S", 0.0)
    said: list[str] = []
    with held(shelf.path) as holder:

        def on_wait(sentence: str) -> None:
            said.append(sentence)
            assert holder.stdin is not None
            print("let go", file=holder.stdin, flush=True)

        with ArchiveConnection(shelf.path, on_wait).write() as db:
            db.execute("INSERT INTO numbers VALUES (5)")
        assert said == [f"waiting for PID {holder.pid} to release {shelf.path}"]
    assert numbers(shelf) == [(5,)]


def test_gives_up_at_last_and_names_the_holder(
    shelf: ArchiveConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "PATIENCE_S", 0.3)
    with (
        held(shelf.path) as holder,
        pytest.raises(ArchiveBusyError, match=f"PID {holder.pid}"),
        shelf.write(),
    ):
        pass


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, shelf: ArchiveConnection) -> None:
    garbage = tmp_path / "garbage.duckdb"
    garbage.write_bytes(b"not a database" * 1000)
    for path, reason in (
        (tmp_path / "missing.duckdb", "no archive at"),
        (garbage, "no archive but some other kind of file .it begins with .not a database"),
        (shelf.path, "not an archive of a colony"),
    ):
        with pytest.raises(ArchiveError, match=reason) as caught:
            Archive(path)
        assert "\n" not in str(caught.value)


def test_a_newer_schema_is_refused(small_archive: Archive, tmp_path: Path) -> None:
    newer = tmp_path / "newer.duckdb"
    newer.write_bytes(small_archive.path.read_bytes())
    with duckdb.connect(str(newer)) as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(ArchiveError, match="has schema 99, this colony reads up to"):
        Archive(newer)


def test_an_older_schema_is_refused(small_archive: Archive, tmp_path: Path) -> None:
    older = tmp_path / "older.duckdb"
    older.write_bytes(small_archive.path.read_bytes())
    with duckdb.connect(str(older)) as db:
        db.execute("UPDATE meta SET value = '1' WHERE key = 'schema_version'")
    with pytest.raises(
        ArchiveError, match=rf"has schema 1, .* reads schema {SCHEMA_VERSION}"
    ) as caught:
        Archive(older)
    assert "\n" not in str(caught.value)
    assert "Start a new archive" in str(caught.value)


def test_flipped_bytes_are_noticed(small_archive: Archive, tmp_path: Path) -> None:
    """Every block carries a checksum: whatever is read was written so, or an error says not."""
    whole = small_archive.path.read_bytes()
    noticed, models = 0, small_archive.models()
    for place in range(4096, len(whole) - 64, len(whole) // 16):
        damaged = tmp_path / f"damaged-{place}.duckdb"
        damaged.write_bytes(
            whole[:place] + bytes(b ^ 255 for b in whole[place : place + 64]) + whole[place + 64 :]
        )
        try:
            archive = Archive(damaged)
            assert archive.inconsistencies() == []
            assert archive.models() == models
        except ArchiveError:
            noticed += 1
    assert noticed > 0


def test_a_full_disk_is_said_and_loses_nothing(shelf: ArchiveConnection, tmp_path: Path) -> None:
    """A limit on file size stands in for a disk without room; both fail in the write itself."""
    code = textwrap.dedent(f"""
        import resource, signal, sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from pathlib import Path
        from lineage import ArchiveFullError
        from lineage.storage.lease import ArchiveConnection
        shelf = ArchiveConnection(Path({str(shelf.path)!r}))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        size = shelf.path.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096, size + 4096))
        try:
            with shelf.write() as db:
                db.execute("INSERT INTO numbers SELECT (random() * 1e9)::INT FROM range(3000000)")
        except ArchiveFullError as error:
            print(error)
    """)
    with shelf.write() as db:
        db.execute("INSERT INTO numbers VALUES (1)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "no room left on the disk" in done.stdout, done.stderr
    assert numbers(shelf) == [(1,)]
    assert issubclass(ArchiveFullError, ArchiveError)
