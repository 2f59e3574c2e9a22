"""Lineages for other programs: a family as GraphML, DOT, JSON, Parquet or a page of HTML.

Names, operators and causes in an archive may come from anywhere, so every format escapes them by
its own rules. To add a format: write a module, and list it in `WRITERS` by file ending.
"""

from collections.abc import Callable
from pathlib import Path

from lineage.drawing.family import Family
from lineage.errors import ArchiveError
from lineage.formats.dot import dot
from lineage.formats.graphml import graphml
from lineage.formats.html import html
from lineage.formats.parquet import write_parquet
from lineage.formats.plain import as_json
from lineage.storage.atomic_file import whole_file

WRITERS: dict[str, Callable[[Family, Path], object]] = {
    ".graphml": lambda family, path: path.write_text(graphml(family), encoding="utf-8"),
    ".dot": lambda family, path: path.write_text(dot(family), encoding="utf-8"),
    ".json": lambda family, path: path.write_text(as_json(family), encoding="utf-8"),
    ".html": lambda family, path: path.write_text(html(family), encoding="utf-8"),
    ".parquet": write_parquet,
}
"""By the ending of the file's name."""


def write_family(family: Family, path: Path) -> None:
    """Write a family in the format of the file's ending; all of it or nothing.

    Args:
        family: to write.
        path: whose ending is one of `WRITERS`.

    Raises:
        OSError: the file cannot be written.
        ArchiveError: no format has that ending.
    """
    if path.suffix.lower() not in WRITERS:
        raise ArchiveError(
            f"cannot write {path.name!r}: its name must end in {', '.join(sorted(WRITERS))}"
        )
    with whole_file(path) as draft:
        WRITERS[path.suffix.lower()](family, draft)
