"""Entries of the user's cache: small files of text that are written whole, and not too many."""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lineage.storage.atomic_file import whole_file

MAX_ENTRIES = 1000
"""Entries of a folder of the cache at most; the oldest are removed."""


def keep(entry: Path, text: str) -> None:
    """Write an entry; a failure to do so is ignored.

    Args:
        entry: a file in a folder of the cache.
        text: its content, in ASCII.
    """
    with suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(entry) as draft:
            draft.write_text(text + "\n", encoding="ascii")
        entries = sorted(entry.parent.iterdir(), key=lambda path: path.stat().st_mtime)
        for old in entries[: max(0, len(entries) - MAX_ENTRIES)]:
            old.unlink()


def version_of(package: str) -> str:
    """The version of a package, for the keys of entries."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
