"""Where an archive may lie: what cannot hold one is said before anything is opened."""

from pathlib import Path

from lineage.errors import ArchiveError

BESIDE = "beside:"
"""Begins the path of a founder whose checkpoint lies in the folder beside the archive, which is
moved and copied together with it."""


def folder_beside(archive: Path) -> Path:
    """The folder of checkpoints that came of studies in an archive.

    >>> folder_beside(Path("my.duckdb"))
    PosixPath('my.duckdb.studies')
    """
    return archive.with_name(f"{archive.name}.studies")


def founder_path(archive: Path, stored: str) -> str:
    """The path of a founder's checkpoint, as it can be opened.

    Args:
        archive: that names it.
        stored: as the archive has it.
    """
    if not stored.startswith(BESIDE):
        return stored
    return str(folder_beside(archive.resolve()) / stored.removeprefix(BESIDE))


def check_free(archive: Path) -> None:
    """Make sure that an archive can be started at a path.

    Raises:
        ArchiveError: something is there already, or no archive can lie there; says what to do.
    """
    check_place(archive)
    if archive.exists():
        raise ArchiveError(f"{archive} exists already; go on with it, or name another place")


def check_place(archive: Path) -> None:
    """Make sure that an archive can lie at a path, whether one is there or not.

    Raises:
        ArchiveError: it is a folder or no file at all, or its folder is missing; says what to do.
    """
    folder = archive.parent
    if "\0" in str(archive):
        raise ArchiveError(f"no archive can lie at {str(archive)!r}: it holds a null character")
    try:
        if archive.is_dir():
            raise ArchiveError(
                f"{archive} is a folder; an archive is a file, such as {archive / 'colony.duckdb'}"
            )
        if archive.exists() and not archive.is_file():
            raise ArchiveError(f"{archive} is no file that could hold an archive; name another")
        if archive.is_symlink() and not archive.exists():
            raise ArchiveError(
                f"{archive} is a link to {archive.readlink()}, which is not there; "
                "mend or remove it"
            )
        if not folder.is_dir():
            what = "is no folder" if folder.exists() else "does not exist"
            raise ArchiveError(
                f"no archive can lie at {archive}: the folder {folder} {what}; make it first, or "
                "name another place"
            )
    except (OSError, ValueError) as error:  # too long a name, or one that no file can have
        reason = getattr(error, "strerror", None) or str(error)
        raise ArchiveError(f"no archive can lie at {str(archive)[:200]!r}: {reason}") from None
