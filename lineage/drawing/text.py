"""Spans of text with a tone, and rows in aligned columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple
from unicodedata import category, east_asian_width

from lineage.escaping import escaped
from lineage.glyphs import UNICODE, Glyphs

Tone = Literal["plain", "champion", "living", "fossil", "founder", "edge", "gain", "loss", "dim"]


class Span(NamedTuple):
    """A piece of a row with a tone, which front ends may colour."""

    text: str
    tone: Tone = "plain"


Row = list[Span]
Drawing = list[Row]


@dataclass(frozen=True)
class Style:
    """How to draw: the width of a row in cells, and the glyphs."""

    width: int = 80
    glyphs: Glyphs = UNICODE


def plain(drawing: Drawing) -> str:
    """A drawing as text, one line a row, without blanks at the ends of lines.

    >>> print(plain([[Span("#3", "living"), Span("  ")], [Span("#1", "fossil")]]))
    #3
    #1
    """
    return "\n".join("".join(span.text for span in row).rstrip() for row in drawing)


def cells(text: str) -> int:
    """The width of a text in cells of a terminal.

    >>> cells("kanji"), cells("漢字")
    (5, 4)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if category(char) in _NO_CELL else 2 if east_asian_width(char) in "WF" else 1
        for char in text
    )


def width_of(row: Row) -> int:
    """The width of a row in cells of a terminal."""
    return sum(cells(span.text) for span in row)


_NO_CELL = frozenset(("Mn", "Me", "Cf"))
"""Unicode categories of characters that take no cell: combining marks and format characters."""


def shown(text: str, most: int = 40) -> str:
    """A text of unknown origin on one line, escaped and cut to at most `most` cells."""
    safe = escaped(text)
    while cells(safe) > most:
        safe = safe[: min(len(safe) - 2, most - 1)] + "…"
    return safe


def padded(text: str, width: int, right: bool = False) -> str:
    """A text filled up with blanks to `width` cells; the text on the right if asked."""
    blanks = " " * (width - cells(text))
    return blanks + text if right else text + blanks


def columns(
    rows: Sequence[Sequence[Span]], keep: Sequence[int], width: int, gap: int = 1
) -> Drawing:
    """Rows of cells in aligned columns, without those columns for which there is no room.

    Args:
        rows: of equal length; numbers and signs are right-aligned by the caller.
        keep: priority of each column: 0 always stays, the highest numbers are left out first.
        width: cells that a row may take.
        gap: blanks between columns.
    """
    if not rows:
        return []
    widths = [max(cells(row[at].text) for row in rows) for at in range(len(keep))]
    used = fitting(widths, keep, width, gap)
    return [aligned(row, widths, used, gap) for row in rows]


def fitting(widths: Sequence[int], keep: Sequence[int], width: int, gap: int = 1) -> list[int]:
    """Indices of the columns that are kept where a row may take `width` cells.

    Args:
        widths: of the columns, in cells.
        keep: priority of each column, see `columns`.
        width: cells that a row may take.
        gap: blanks between columns.

    >>> fitting([5, 5, 5], [0, 2, 1], width=12)
    [0, 2]
    """
    used = [at for at in range(len(keep)) if widths[at]]
    while sum(widths[at] + gap for at in used) - gap > width:
        least = max(used, key=lambda at: (keep[at], at))
        if keep[least] == 0:
            break
        used.remove(least)
    return used


def aligned(row: Sequence[Span], widths: Sequence[int], used: Sequence[int], gap: int = 1) -> Row:
    """A row of cells, padded to the widths of the columns that are used."""
    return [Span(padded(row[at].text, widths[at]) + " " * gap, row[at].tone) for at in used]
