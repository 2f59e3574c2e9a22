"""One campaign per archive: a lock that dies with its process, even by `kill -9`."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lineage.errors import ArchiveBusyError, ArchiveError
from lineage.storage.locations import check_place

_held: set[Path] = set()
"""Locks that this process holds; taking one of them again is no conflict."""


def campaign_holder(archive: Path) -> str | None:
    """The PID of the campaign that is running in an archive, or None if none is.

    Raises:
        ArchiveError: no archive can lie at that path.
    """
    path = _lock_of(archive)
    try:
        with path.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return path.read_text(encoding="utf-8").strip() or "unknown"
    return None


@contextmanager
def campaign_lock(archive: Path) -> Iterator[None]:
    """Hold the right to write generations to an archive; watchers need no lock.

    Raises:
        ArchiveBusyError: another campaign holds it; names its PID.
        ArchiveError: the folder cannot be written.
    """
    path = _lock_of(archive)
    if path in _held:
        yield
        return
    try:
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise ArchiveError(f"cannot write beside {archive}: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise ArchiveBusyError(
                f"a campaign is running in {archive} already (PID {holder})"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        _held.add(path)
        try:
            # The file stays: removing it would let a third process lock another file of that name.
            yield
        finally:
            _held.discard(path)


def _lock_of(archive: Path) -> Path:
    check_place(archive)
    return archive.with_name(archive.name + ".lock").absolute()
