"""Drafts: files are made aside and get their name when they are whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lineage.cleanup import afterwards

DRAFT = ".draft"
"""What names of drafts end in, after the id of the process that writes them."""


@contextmanager
def whole_file(target: Path, *, durable: bool = False) -> Iterator[Path]:
    """A place to write a file, which becomes `target` when all went well, and is gone otherwise.

    Several processes may write the same target at once; the last one wins.

    Args:
        target: its final path; what is there is replaced.
        durable: whether it has to be on the disk by then, for files that nobody could make again.
    """
    draft = target.with_name(f".{target.name}.{os.getpid()}{DRAFT}")
    with afterwards(lambda: draft.unlink(missing_ok=True)):
        yield draft
        if durable:
            _sync(draft)
        draft.replace(target)
        if durable:
            _sync(target.parent)


def sweep_drafts(folder: Path) -> None:
    """Remove what killed processes left of files that they were writing in a folder."""
    for draft in folder.glob(f".*{DRAFT}"):
        owner = draft.name.removesuffix(DRAFT).rpartition(".")[2]
        if Path("/proc").exists() and not Path(f"/proc/{owner}").exists():
            draft.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
