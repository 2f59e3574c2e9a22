"""Rows of text beside a list, of which only those that change are painted again."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.shared.styling import Piece, segments

if TYPE_CHECKING:
    from lineage.drawing.text import Span
    from tui.app.app import ColonyApp


class StaticRows(Widget):
    """Rows of text, such as a summary of what a cursor is on."""

    DEFAULT_CSS = "StaticRows { height: 1fr; width: 1fr; }"

    app: "ColonyApp"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._rows: Sequence[list[Span | Piece]] = ()
        self._base: Style | None = None

    def show(self, rows: "Sequence[list[Span | Piece]]") -> None:
        """Show other rows."""
        before, self._rows = self._rows, rows
        for y in range(max(len(before), len(rows))):
            if before[y : y + 1] != rows[y : y + 1]:
                self.refresh(Region(0, y, self.size.width, 1))

    def notify_style_update(self) -> None:
        """Paint in other colours from now on."""
        super().notify_style_update()
        self._base = None

    def render_line(self, y: int) -> Strip:
        """A row, cut off where there is no room."""
        width, base = self.content_size.width, self._base
        if base is None:
            base = self._base = self.rich_style
        if y >= len(self._rows):
            return Strip.blank(width, base)
        strip = Strip(segments(self._rows[y], self.app.tones))
        return strip.adjust_cell_length(width).apply_style(base)
