"""Written: a name and what is told of it, as rows of a list; for panes about one thing."""

import textwrap
from collections.abc import Hashable
from typing import TYPE_CHECKING

from rich.cells import chop_cells

from lineage.drawing.text import cells, shown
from tui.app.paint import Piece

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


def told(name: str, text: str, width: int, tone: str = "plain") -> Drawn:
    """A row of a name and what is told of it, cut off where it is too long."""
    head = name.ljust(NAMED - 1) + " "
    return name, None, [Piece(head, "dim"), Piece(shown(text, max(8, width - len(head))), tone)]


def wrapped(name: str, text: str, width: int, tone: str = "plain") -> list[Drawn]:
    """As `told`, in as many rows as it takes; a name that begins with a blank is only a key."""
    room = max(8, width - NAMED)
    parts = [
        part
        for line in text.splitlines() or [""]
        for part in _parts(shown(line, LONGEST), room) or [""]
    ]
    head = "" if name.startswith(" ") else name
    return [
        ((name, at), None, [Piece(("" if at else head).ljust(NAMED), "dim"), Piece(part, tone)])
        for at, part in enumerate(parts)
    ]


def _parts(line: str, width: int) -> list[str]:
    """A line in parts, between words where it has signs of one cell each."""
    if cells(line) != len(line):
        return chop_cells(line, width)
    return textwrap.wrap(line, width, drop_whitespace=False)
