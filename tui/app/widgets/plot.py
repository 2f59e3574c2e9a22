"""The plot: curves over births with axes, a legend, and stars below for events."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.text import Text
from textual.widget import Widget

from tui.shared.styling import Piece, segments

if TYPE_CHECKING:
    from tui.app.app import ColonyApp
    from tui.app.drawing.braille import Curve

AXIS = 6
"""Width of the vertical axis, in cells."""


class Plot(Widget):
    """Curves that share their axes.

    Args:
        id: as of any widget.
        nothing: text shown while there are no curves.
    """

    DEFAULT_CSS = "Plot { height: 1fr; width: 1fr; }"

    app: "ColonyApp"

    def __init__(self, *, id: str | None = None, nothing: str = "") -> None:  # noqa: A002
        super().__init__(id=id)
        self._curves: Sequence[Curve] = ()
        self._stars: Sequence[float] = ()
        self._nothing = nothing

    def show(
        self, curves: "Sequence[Curve]", stars: Sequence[float] = (), nothing: str = ""
    ) -> None:
        """Show other curves.

        Args:
            curves: the first is drawn over the others.
            stars: values on the horizontal axis.
            nothing: text shown if there are no curves.
        """
        self._curves, self._stars, self._nothing = curves, stars, nothing
        self.refresh()

    def render(self) -> Text:
        """The plot, in the size of the widget."""
        width, height = self.content_size
        if not self._curves or width < AXIS + 8 or height < 3:
            return Text(self._nothing if height else "", "dim")
        from tui.app.drawing.braille import frame_of, plot  # noqa: PLC0415 - numpy, after the first paint

        signs, across = self.app.signs, width - AXIS
        rows = height - 2
        frame = frame_of(self._curves)
        drawn = plot(self._curves, frame, across, rows, signs.braille)
        text = Text(no_wrap=True, overflow="crop")
        for number, cells in enumerate(drawn):
            value = frame.top - (frame.top - frame.bottom) * number / max(1, rows - 1)
            figures = f"{value:5.2f} " if abs(frame.top) < 100 else f"{value:5.0f} "
            label = figures if number % 2 == 0 or number == rows - 1 else " " * AXIS
            row = [Piece(label, "dim")]
            row += [
                Piece("".join(sign for sign, _ in same), tone)
                for tone, same in groupby(cells, key=lambda cell: cell[1])
            ]
            self._add(text, row)
        starred = {min(max(frame.column(x, across), 0), across - 1) for x in self._stars}
        stars = "".join(signs.champion if at in starred else " " for at in range(across))
        self._add(text, [Piece(" " * AXIS), Piece(stars, "champion")])
        legend = [part for curve in self._curves for part in _entry(curve, signs.full)]
        self._add(text, [Piece(f"{frame.left:<{AXIS},.0f}", "dim"), *legend])
        end = f"{frame.right:,.0f}"
        used = AXIS + sum(len(piece.text) for piece in legend)
        text.append_text(_painted([Piece(end.rjust(max(0, width - used)), "dim")], self.app))
        return text

    def _add(self, text: Text, row: list[Piece]) -> None:
        if text.plain:
            text.append("\n")
        text.append_text(_painted(row, self.app))


def _entry(curve: "Curve", sign: str) -> tuple[Piece, Piece]:
    last = f" {curve.y[-1]:.3f}" if len(curve.y) else ""
    return Piece(f"{sign} ", curve.tone), Piece(f"{curve.name}{last}  ", "dim")


def _painted(row: list[Piece], app: "ColonyApp") -> Text:
    text = Text()
    for part in segments(row, app.tones):
        text.append(part.text, part.style)
    return text
