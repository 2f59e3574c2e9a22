"""The first error is the one that is heard: what fails in cleaning up after it hides nothing."""

import ast
import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lineage.archive.generation_writer import insert, texts
from lineage.cleanup import afterwards
from lineage.errors import ArchiveError
from lineage.storage.atomic_file import drafted
from lineage.storage.lease import ArchiveConnection
from lineage.storage.locations import check_place
from tests.command_helpers import failure

PACKAGES = ("arena", "lineage", "population", "tui")


@pytest.fixture
def store(tmp_path: Path) -> ArchiveConnection:
    """A database with a table of two columns, of which the first is a key."""
    made = ArchiveConnection(tmp_path / "some.duckdb", new=True)
    with made.write() as db:
        db.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, word VARCHAR NOT NULL)")
    return made


def test_what_fails_in_cleaning_up_is_a_note_on_the_first_error() -> None:
    def fails() -> None:
        raise OSError("the second")

    with pytest.raises(ValueError, match="the first") as caught, afterwards(fails):
        raise ValueError("the first")
    assert caught.value.__notes__ == ["and cleaning up after it failed: the second"]
    with pytest.raises(OSError, match="the second"), afterwards(fails):
        pass


def test_an_insert_that_fails_says_why(store: ArchiveConnection) -> None:
    """Its columns cannot be unregistered in a transaction that is aborted."""
    twice = {"i": np.array([1, 1]), "w": texts(["a", "b"])}
    with pytest.raises(ArchiveError, match=r"[Dd]uplicate key") as caught, store.write() as db:
        insert(db, "INSERT INTO rows SELECT i, w FROM columns", **twice)
    assert "aborted" not in str(caught.value)
    assert "error of colony" in str(caught.value)
    with store.write() as db:  # and nothing is left of it that would be in the way
        insert(db, "INSERT INTO rows SELECT i, w FROM columns", i=np.array([1]), w=texts(["a"]))
    with store.read() as db:
        assert db.execute("SELECT * FROM rows").fetchall() == [(1, "a")]


@pytest.mark.parametrize("statement", ["SELECT nonsense", "INSERT INTO rows VALUES (1, NULL)"])
def test_a_statement_that_fails_is_what_a_lease_tells(
    store: ArchiveConnection, statement: str
) -> None:
    """Whether or not somebody goes on in the aborted transaction, and in spite of the detaching."""
    with pytest.raises(ArchiveError, match=r"nonsense|NOT NULL") as caught, store.write() as db:
        db.execute(statement)
    assert "aborted" not in str(caught.value)
    with store.read() as db:
        assert db.execute("SELECT count(*) FROM rows").fetchall() == [(0,)]


def test_an_error_of_another_kind_leaves_a_lease_as_it_is(store: ArchiveConnection) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as db:
        db.execute("INSERT INTO rows VALUES (1, 'a')")
        _ = 1 / 0
    with pytest.raises(ZeroDivisionError), store.write() as db:
        db.close()  # so that neither rolling back nor detaching can work
        _ = 1 / 0
    with store.read() as db:
        assert db.execute("SELECT count(*) FROM rows").fetchall() == [(0,)]


def test_a_draft_that_cannot_be_removed_does_not_hide_why_it_was_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    with pytest.raises(ValueError, match="half way"), drafted(tmp_path / "new.duckdb"):
        monkeypatch.setattr(Path, "unlink", refuses)
        raise ValueError("half way")


def test_no_clean_up_in_the_code_can_raise_in_the_place_of_what_it_follows() -> None:
    """A `finally` may only set, count and release; whatever may fail goes through `afterwards`."""
    harmless = {
        "_LANDING.reset", "_held.discard", "file.close", "future.cancel", "hook.remove",
        "leaf.requires_grad_",
        "len", "logging.set_verbosity", "os.close", "process.terminate", "process.wait",
        "self._idle.put", "self._report.close", "library_logging.enable_progress_bar",
        "library_logging.set_verbosity", "time.perf_counter",
    }  # fmt: skip
    root = Path(__file__).parent.parent
    found = []
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Try):
                    calls = [
                        ast.unparse(call.func)
                        for statement in node.finalbody
                        for call in ast.walk(statement)
                        if isinstance(call, ast.Call)
                    ]
                    found += [
                        f"{path.relative_to(root)}:{node.lineno}: {call}"
                        for call in calls
                        if call not in harmless
                    ]
    assert found == []


# Where archives may lie


def a_folder(place: Path) -> Path:
    place.mkdir()
    return place


def a_pipe(place: Path) -> Path:
    os.mkfifo(place)
    return place


def a_socket(place: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(place))
    return place


def a_dangling_link(place: Path) -> Path:
    place.symlink_to("nowhere")
    return place


def under_a_file(place: Path) -> Path:
    place.write_text("")
    return place / "colony.duckdb"


PLACES: list[tuple[Callable[[Path], Path], str]] = [
    (a_folder, "is a folder; an archive is a file, such as"),
    (a_pipe, "no file that could hold an archive"),
    (a_socket, "no file that could hold an archive"),
    (a_dangling_link, "a link to nowhere, which is not there"),
    (under_a_file, "is no folder; make it first"),
    (lambda place: place / "colony.duckdb", "does not exist; make it first"),
    (lambda place: place.with_name("a" * 300), "File name too long"),
    (lambda place: place.with_name("a\0b"), "null"),
]


@pytest.mark.parametrize(("make", "told"), PLACES)
def test_where_no_archive_can_lie_is_said(
    tmp_path: Path, make: Callable[[Path], Path], told: str
) -> None:
    place = make(tmp_path / "place")
    with pytest.raises(ArchiveError, match=told):
        check_place(place)
    with pytest.raises(ArchiveError, match=told):
        ArchiveConnection(place)


def test_no_command_takes_a_folder_for_an_archive(tmp_path: Path) -> None:
    for command in (("run", "--headless"), ("models",), ("orders",), ("report",), ("pause",)):
        said = failure(*command, "--archive", tmp_path)
        assert "is a folder; an archive is a file" in said
        assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["a b.duckdb", "it's [1] + ü.db", "md:mine", "--x", "100%~", "no.such"]
)
def test_an_archive_may_have_any_name(tmp_path: Path, name: str) -> None:
    store = ArchiveConnection(tmp_path / name, new=True)
    with store.write() as db:
        db.execute("CREATE TABLE rows (id INTEGER)")
    with store.read() as db:
        assert db.execute("SELECT count(*) FROM rows").fetchall() == [(0,)]
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "content", [b"", b"SQLite format 3\0" + bytes(4096), b"a text\n", bytes(9)]
)
def test_another_kind_of_file_is_no_damaged_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    told = "is no archive but some other kind of file"
    with pytest.raises(ArchiveError, match=told), ArchiveConnection(path).read():
        pass
    assert path.read_bytes() == content


def test_a_database_that_was_damaged_is_said_to_be(store: ArchiveConnection) -> None:
    content = bytearray(store.path.read_bytes())
    content[4096:8192] = bytes(4096)
    content[20:40] = bytes(20)
    store.path.write_bytes(content)
    with (
        pytest.raises(ArchiveError, match=r"is damaged|cannot use"),
        ArchiveConnection(store.path).read(),
    ):
        pass
