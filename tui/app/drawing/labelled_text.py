"""A label and its text as rows of a list, for panes about one thing."""

import textwrap
from collections.abc import Hashable
from typing import TYPE_CHECKING

from rich.cells import chop_cells, set_cell_size

from lineage.drawing.text import cells, shown
from tui.shared.styling import Piece, Signs

if TYPE_CHECKING:
    from lineage.drawing.text import Span

DrawnRow = tuple[Hashable, int | None, "list[Span | Piece]"]
"""A row as `ListedRows` takes it: its key, its model or None, its spans."""

LABEL_WIDTH = 8
"""Width of a label with the blank after it, in cells."""

LONGEST = 4000
"""Characters of a text that are shown at most: prompts may be very long."""


def gap(key: Hashable) -> DrawnRow:
    """An empty row."""
    return ("gap", key), None, []


def cropped(text: str, width: int, signs: Signs) -> str:
    """A text of unknown origin in `width` cells at most, with an ellipsis if it is cut off."""
    safe = shown(text, LONGEST)
    if cells(safe) <= width:
        return safe
    return set_cell_size(safe, max(0, width - 1)).rstrip() + signs.ellipsis


def wrapped(name: str, text: str, width: int, tone: str = "plain") -> list[DrawnRow]:
    """A label and its text, wrapped into rows of `width` cells.

    A label that begins with a blank is only a key and is not shown.
    """
    indent = max(LABEL_WIDTH, len(name) + 1)
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
    """A line in parts of `width` cells, split between words where all signs are one cell wide."""
    if cells(line) != len(line):
        return chop_cells(line, width)
    return textwrap.wrap(line, width)
