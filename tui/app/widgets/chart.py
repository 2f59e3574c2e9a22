"""The chart: a drawing with a cursor that goes from spot to spot.

The cursor of a list is on a row (`tui.app.widgets.virtual_list`); a pedigree and a map have models
anywhere in a row.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.shared.styling import Piece, segments

if TYPE_CHECKING:
    from lineage.drawing.text import Span
    from tui.app.app import ColonyApp


class ChartContent(Protocol):
    """What a chart shows, as a value. A spot has a number and stands for a model, or for none."""

    @property
    def size(self) -> tuple[int, int]:
        """Cells across and down."""
        ...

    def row(self, number: int) -> "Sequence[Span | Piece]":
        """A row of the drawing."""
        ...

    def place(self, spot: int) -> tuple[int, int, int]:
        """Row, first column and width of a spot."""
        ...

    def beside(self, spot: int, across: int, down: int) -> int:
        """The next spot in a direction; the same where there is none."""
        ...

    def at(self, column: int, row: int) -> int | None:
        """The spot that covers a cell; None if none does."""
        ...

    def model(self, spot: int) -> int | None:
        """Id of the model at a spot; None if it is empty."""
        ...

    def spot_of(self, model: int) -> int | None:
        """The spot of a model; None if it has none."""
        ...


class Chart(ScrollView, can_focus=True):
    """A drawing with a cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "walk(-1, 0)", "Left", id="chart.left", show=False, tooltip="To the left"),
        Binding("right", "walk(1, 0)", "Right", id="chart.right", show=False,
                tooltip="To the right"),
        Binding("up,k", "walk(0, -1)", "Up", id="chart.up", show=False, tooltip="Up"),
        Binding("down,j", "walk(0, 1)", "Down", id="chart.down", show=False, tooltip="Down"),
        Binding("enter", "open", "Open", id="chart.open", tooltip="Open what the cursor is on"),
    ]  # fmt: skip

    DEFAULT_CSS = """
    Chart { height: 1fr; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1; }
    """

    app: "ColonyApp"

    class Moved(Message):
        """The cursor is on another spot."""

        def __init__(self, chart: "Chart", spot: int, model: int | None) -> None:
            super().__init__()
            self.chart, self.spot, self.model = chart, spot, model

        @property
        def control(self) -> "Chart":
            """The chart."""
            return self.chart

    class Opened(Moved):
        """The spot under the cursor was opened."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._charted: ChartContent | None = None
        self._spot = 0
        self._strips: dict[int, Strip] = {}
        self._base: Style | None = None

    @property
    def charted(self) -> ChartContent | None:
        """What is shown."""
        return self._charted

    @property
    def spot(self) -> int:
        """The spot under the cursor."""
        return self._spot

    def show(self, charted: ChartContent, spot: int) -> None:
        """Show another drawing, with the cursor on a spot."""
        self._charted, self._spot = charted, spot
        self._strips.clear()
        if self.virtual_size != Size(*charted.size):
            self.virtual_size = Size(*charted.size)
        self._into_sight()
        self.refresh()

    def go(self, model: int) -> bool:
        """Put the cursor on a model; False if it is not in the drawing."""
        spot = None if self._charted is None else self._charted.spot_of(model)
        if spot is None:
            return False
        self.to(spot)
        return True

    def to(self, spot: int) -> None:
        """Put the cursor on a spot, and post `Moved`."""
        if self._charted is None or spot == self._spot:
            return
        before = self._charted.place(self._spot)[0]
        self._spot = spot
        for row in {before, self._charted.place(spot)[0]}:
            self.refresh_line(row)
        self._into_sight()
        model = self._charted.model(spot)
        if model is not None:
            self.app.glance(model)
        self.post_message(self.Moved(self, spot, model))

    def repaint(self) -> None:
        """Paint all of it again: colours have changed."""
        self._strips.clear()
        self.refresh()

    def notify_style_update(self) -> None:
        """Paint all of it again in other colours."""
        super().notify_style_update()
        self._strips.clear()
        self._base = None

    def action_walk(self, across: int, down: int) -> None:
        """Go to the next spot in a direction."""
        if self._charted is not None:
            self.to(self._charted.beside(self._spot, across, down))

    def action_open(self) -> None:
        """Post `Opened` for the spot under the cursor."""
        if self._charted is not None:
            model = self._charted.model(self._spot)
            self.post_message(self.Opened(self, self._spot, model))

    def on_click(self, event: Click) -> None:
        """Put the cursor where the mouse is; twice opens."""
        if self._charted is None:
            return
        cell = event.get_content_offset_capture(self) + self.scroll_offset
        spot = self._charted.at(cell.x, cell.y)
        if spot is not None:
            self.to(spot)
            if event.chain == 2:
                self.action_open()

    def on_focus(self) -> None:
        """Paint the cursor again."""
        self.refresh()

    def on_blur(self) -> None:
        """Paint the cursor again."""
        self.refresh()

    def _into_sight(self) -> None:
        assert self._charted is not None
        row, column, width = self._charted.place(self._spot)
        spot = Region(column, row, width, 1)
        self.scroll_to_region(spot, animate=False, force=True, immediate=True)

    def render_line(self, y: int) -> Strip:
        """A line of the drawing."""
        charted, width = self._charted, self.scrollable_content_region.width
        left, top = self.scroll_offset
        number, base = y + top, self._base
        if base is None:
            base = self._base = self.rich_style
        if charted is None or number >= charted.size[1]:
            return Strip.blank(width, base)
        strip = self._strips.get(number)
        if strip is None:
            strip = Strip(segments(charted.row(number), self.app.tones)).apply_style(base)
            self._strips[number] = strip
        row, column, wide = charted.place(self._spot)
        if row == number:
            under = strip.crop(column, column + wide)
            # Reversed as well: a cursor of one cell has no room for a sign, and colours may be off.
            here = self.app.cursor_styles[1 + self.has_focus] + Style(reverse=self.has_focus)
            lit = Strip(Segment.apply_style(under, post_style=here), wide)
            strip = Strip.join([strip.crop(0, column), lit, strip.crop(column + wide)])
        return strip.crop(left, left + width).adjust_cell_length(width, base)
