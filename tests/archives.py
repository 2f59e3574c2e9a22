"""Archives for tests that write to one: those that tests share stay as they are."""

from pathlib import Path

from lineage import Archive
from lineage.archive.fork import copy_archive


def copied(archive: Archive, path: Path) -> Archive:
    """A copy of an archive, without the weights that are kept beside it."""
    copy_archive(archive, path)
    return Archive(path)
