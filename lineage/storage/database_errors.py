"""Errors of DuckDB as errors of an archive: which of them mean what, and what to do about each."""

import re
from contextlib import suppress
from pathlib import Path

import duckdb

from lineage.errors import ArchiveBusyError, ArchiveError, ArchiveFullError

_HOLDER = re.compile(r"\(PID (\d+)\)")
_BUSY = ("Could not set lock on file", "Conflicting lock is held", "Unique file handle conflict")
_FULL = (
    "No space left on device",
    "File too large",
    "could not be extended",
    "Disk quota exceeded",
)
_READ_ONLY = ("Permission denied", "Read-only file system", "Operation not permitted")
_NO_DATABASE = "not a valid DuckDB database file"
_NOT_WHOLE = (
    "checksum",
    _NO_DATABASE,
    "Could not read",
    "could not read",
    "Corrupt",
    "corrupt",
    "Serialization Error",
    "INTERNAL Error",
)


def is_busy(error: duckdb.Error) -> bool:
    """Whether an error says that another process holds the file."""
    return any(sign in str(error) for sign in _BUSY)


def holder_of(error: BaseException) -> str:
    """Who holds the file, as an error names it: "PID 6894", or another part of this program."""
    match = _HOLDER.search(str(error))
    return f"PID {match.group(1)}" if match else "another part of this program"


def archive_error(path: Path, error: duckdb.Error, waited_s: float) -> ArchiveError:
    """An error of DuckDB as an `ArchiveError` whose one line says what to do.

    Args:
        path: of the database file.
        error: that DuckDB raised.
        waited_s: seconds that were waited for another process.

    Returns:
        An `ArchiveBusyError`, `ArchiveFullError` or `ArchiveError`, not raised yet.
    """
    text = str(error)
    if is_busy(error):
        return ArchiveBusyError(
            f"{path} is held by {holder_of(error)} for more than {waited_s:.0f} s; "
            "close that program and try again"
        )
    if any(sign in text for sign in _FULL):
        return ArchiveFullError(
            f"no room left on the disk of {path}; free some and run the same command "
            "again, nothing committed is lost"
        )
    first = text.splitlines()[0] if text else "no reason given"
    message = f"cannot use archive {path}: {first}"
    if any(sign in text for sign in _READ_ONLY):
        message = (
            f"{path} cannot be written: {first}; nothing was changed. Copy it to where you may "
            "write"
        )
    elif _NO_DATABASE in text and not _looks_like_a_database(path):
        message = (
            f"{path} is no archive but some other kind of file{_beginning(path)}; nothing was "
            "changed. Name an archive, or a file that does not exist yet"
        )
    elif any(sign in text for sign in _NOT_WHOLE):
        message = (
            f"{path} is damaged: {first}; nothing was changed. Restore a copy; "
            "`colony check` says whether it is whole"
        )
    elif isinstance(error, duckdb.ConstraintException):
        message = (
            f"{path} refuses what was to be written, since it contradicts what is there or itself: "
            f"{first}; nothing was changed. This is an error of colony, not of the archive: please "
            "report it"
        )
    return ArchiveError(message)


def _looks_like_a_database(path: Path) -> bool:
    """Whether a file begins as DuckDB's do, so that it was one before it was damaged."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return True  # it cannot be told
    return head[8:12] == b"DUCK"


def _beginning(path: Path) -> str:
    """How a file begins, if that is text."""
    with suppress(OSError, UnicodeDecodeError), path.open("rb") as file:
        lines = file.read(64).decode("utf-8").splitlines()
        if lines and lines[0].isprintable():
            return f" (it begins with {lines[0][:32]!r})"
    return ""
