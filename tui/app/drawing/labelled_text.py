"""Written: a name and what is told of it, as rows of a list; for panes about one thing."""

import textwrap
from collections.abc import Hashable
from typing import TYPE_CHECKING

from rich.cells import chop_cells, set_cell_size

from lineage.drawing.text import cells, shown
from tui.shared.styling import Piece, Signs

if TYPE_CHECKING:
    from lineage.drawing.text import Span

Drawn = tuple[Hashable, int | None, "list[Span | Piece]"]
"""A row with what it is about, as `ListedRows` takes it."""

NAMED = 8
"""Cells of a name, with the blank after it."""

LONGEST = 4000
"""Signs of a text that are shown: a prompt may be a book."""


def gap(key: Hashable) -> Drawn:
    """An empty row."""
    return ("gap", key), None, []


def cropped(text: str, width: int, signs: Signs) -> str:
    """A text of unknown origin in so many cells at most; what is cut off is said so."""
    safe = shown(text, LONGEST)
    if cells(safe) <= width:
        return safe
    return set_cell_size(safe, max(0, width - 1)).rstrip() + signs.ellipsis


def wrapped(name: str, text: str, width: int, tone: str = "plain") -> list[Drawn]:
    """A name and what is told of it, in as many rows as that takes.

    A name that begins with a blank is only a key.
    """
    indent = max(NAMED, len(name) + 1)
    room = max(8, width - indent)
    parts = [
        part
        for line in text.splitlines() or [""]
        for part in _parts(shown(line, LONGEST), room) or [""]
    ]
    head = "" if name.startswith(" ") else name
    return [
        ((name, at), None, [Piece(("" if at else head).ljust(indent), "dim"), Piece(part, tone)])
        for at, part in enumerate(parts)
    ]


def _parts(line: str, width: int) -> list[str]:
    """A line in parts, between words where it has signs of one cell each."""
    if cells(line) != len(line):
        return chop_cells(line, width)
    return textwrap.wrap(line, width)
