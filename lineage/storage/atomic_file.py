"""Drafts: files and folders are made aside and get their name when they are whole."""

import glob
import os
import shutil
import tempfile
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


@contextmanager
def whole_folder(target: Path, *, only: str | None = None) -> Iterator[Path]:
    """An empty folder to fill, which becomes `target` when all went well, and is gone otherwise.

    What killed processes left of their attempts at the same target is removed first.

    Args:
        target: its final path, where there may be an empty folder; parents are made.
        only: move only this file to the final path.

    Raises:
        OSError: it cannot be made, or there is something at the final path.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.*.*"):
        if _died(leftover.name.removeprefix(f".{target.name}.").partition(".")[0]):
            shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(
        dir=target.parent, prefix=f".{target.name}.{os.getpid()}.", ignore_cleanup_errors=True
    ) as scratch:
        draft = Path(scratch) / "whole"
        draft.mkdir()
        yield draft
        if target.exists():
            target.rmdir()
        (draft / only if only else draft).rename(target)


def sweep_drafts(folder: Path) -> None:
    """Remove what killed processes left of files that they were writing in a folder."""
    for draft in folder.glob(f".*{DRAFT}"):
        if _died(draft.name.removesuffix(DRAFT).rpartition(".")[2]):
            draft.unlink(missing_ok=True)


def _died(process: str) -> bool:
    """Whether no process has this id; False where nobody can tell, or it is no id."""
    known = Path("/proc").exists() and process.isdecimal()
    return known and not Path(f"/proc/{process}").exists()


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
