"""Drafts: database files are made aside and get their name when they are whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lineage.cleanup import afterwards


@contextmanager
def drafted(target: Path) -> Iterator[Path]:
    """A place to make a database file, which becomes `target` when all went well.

    So a half-made file never bears the name of a real one, and none is left when the making fails.
    What a killed process left in that place is removed first: a log of its would be read into the
    new file.
    """
    draft = target.with_name(f".{target.name}.new")
    discard(draft)
    with afterwards(lambda: discard(draft)):
        yield draft
        draft.replace(target)


def log_of(path: Path) -> Path:
    """The write-ahead log beside a database file; it is there while somebody writes."""
    return path.with_name(path.name + ".wal")


def discard(path: Path) -> None:
    """Remove a database file and its log, as far as they are there."""
    for leftover in (path, log_of(path)):
        leftover.unlink(missing_ok=True)
