"""The one list that all pages share: it holds a million rows and paints those in view.

The cursor is on a key (mostly a model), not on a row: when rows come and go, the row under the
cursor stays where it is on the screen and the others move. A key press paints two lines.
"""

from collections import OrderedDict
from collections.abc import Collection, Hashable
from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.app.drawing.rows import Hits, ListedRows, Rows
from tui.shared.styling import Piece, segments

if TYPE_CHECKING:
    from tui.app.app import ColonyApp

KEPT = 400
"""Painted lines that are cached."""

GUTTER = 2
"""Width of the gutter before each row, for the cursor and the mark, in cells."""


class VirtualList(ScrollView, can_focus=True):
    """A list with a cursor.

    Args:
        id: as of any widget.
        nothing: text shown while there are no rows.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", id="list.down", show=False, tooltip="One row down"),
        Binding("up,k", "move(-1)", "Up", id="list.up", show=False, tooltip="One row up"),
        Binding("pagedown,ctrl+f", "leaf(1)", "Page down", id="list.pagedown", show=False),
        Binding("pageup,ctrl+b", "leaf(-1)", "Page up", id="list.pageup", show=False),
        Binding("home,g", "end(-1)", "First", id="list.first", show=False, tooltip="First row"),
        Binding("end,G", "end(1)", "Last", id="list.last", show=False, tooltip="Last row"),
        Binding("enter", "open", "Open", id="list.open", tooltip="Open what the cursor is on"),
        Binding(
            "f", "follow", "Follow", id="list.follow", show=False,
            tooltip="Go to the top and stay there when rows come in",
        ),
        Binding("n", "hit(1)", "Next", id="list.next", show=False, tooltip="Next that was found"),
        Binding("N", "hit(-1)", "Before", id="list.before", show=False, tooltip="The one before"),
    ]  # fmt: skip

    DEFAULT_CSS = """
    VirtualList { overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; height: 1fr; }
    """

    app: "ColonyApp"

    class Moved(Message):
        """The cursor is on another key."""

        def __init__(self, lines: "VirtualList", key: Hashable, model: int | None) -> None:
            super().__init__()
            self.lines, self.key, self.model = lines, key, model

        @property
        def control(self) -> "VirtualList":
            """The list."""
            return self.lines

    class Opened(Moved):
        """The row under the cursor was opened."""

    class NewsChanged(Message):
        """The number of new rows above the cursor (`news`) has changed."""

    def __init__(self, *, id: str | None = None, nothing: str = "") -> None:  # noqa: A002
        super().__init__(id=id)
        self._rows: Rows = ListedRows()
        self._nothing = nothing
        self._row = 0
        self._key: Hashable = None
        self._last_target: Hashable = None
        self._hits = Hits(self._rows)
        self._found: Collection[Hashable] = ()
        self._strips: OrderedDict[tuple[Any, ...], Strip] = OrderedDict()
        self.follows = True
        self._news = 0
        self._base: Style | None = None

    @property
    def news(self) -> int:
        """Rows that came in above the cursor since it was moved."""
        return self._news

    @news.setter
    def news(self, count: int) -> None:
        if count != self._news:
            self._news = count
            self.post_message(self.NewsChanged())

    # What it shows

    @property
    def rows(self) -> Rows:
        """What is shown."""
        return self._rows

    @property
    def key(self) -> Hashable:
        """The key under the cursor; None in an empty list."""
        return self._key

    @property
    def row(self) -> int:
        """The row with the cursor."""
        return self._row

    @property
    def room(self) -> int:
        """Width of a row without gutter and scrollbar, in cells."""
        return max(20, self.size.width - GUTTER - 1)

    def show(self, rows: Rows) -> None:
        """Show other rows; the cursor stays on its key, at the same height.

        A list that follows shows the top; else `news` counts the rows that came in above.
        """
        before, self._rows = self._row, rows
        height = self._row - self.scroll_offset.y
        kept = None if self._key is None else rows.row_of(self._key)
        row = min(before, len(rows) - 1) if kept is None else kept
        if self.follows:
            row, self.news = 0, 0
        elif kept is not None:
            self.news = max(0, self.news + kept - before)
        self._strips.clear()
        self._hits = Hits(rows, self._found)
        # Setting a size asks for a layout, also where it is the same.
        if self.virtual_size.height != len(rows):
            self.virtual_size = Size(self.size.width, len(rows))
        self._place(max(0, row), row - height)
        self.refresh()

    def go(self, key: Hashable) -> bool:
        """Put the cursor on a key; False if it is not in the list.

        The same key again does nothing: the cursor may have been moved since, and a list that
        follows the top must not jump back with every new snapshot.
        """
        if key == self._last_target:
            return True
        row = self._rows.row_of(key)
        if row is None:
            return False
        if row != self._row or key != self._key:
            self._shift(row)
        self._last_target = key
        return True

    def search(self, keys: Collection[Hashable]) -> int:
        """Let `n` and `N` step through keys, from the next one on; how many are in the list."""
        self._found = keys
        self._hits = Hits(self._rows, keys)
        if self._hits and self._row not in self._hits:
            self._move_to(self._hits.beyond(self._row, 1))
        self._strips.clear()
        self.refresh()
        return len(self._hits)

    def repaint(self) -> None:
        """Paint all rows again: something that they are painted with has changed."""
        self._forget_paint()
        self.refresh()

    def notify_style_update(self) -> None:
        """Paint all rows again in other colours."""
        super().notify_style_update()
        self._forget_paint()

    # Keys and the mouse

    def action_move(self, by: int) -> None:
        """Move the cursor by rows."""
        self._move_to(self._row + by)

    def action_leaf(self, by: int) -> None:
        """Move the list by pages; the cursor stays at its height."""
        page = by * max(1, self.size.height - 1)
        self._move_to(self._row + page, self.scroll_offset.y + page)

    def action_end(self, which: int) -> None:
        """Move the cursor to the first or the last row."""
        self._move_to(0 if which < 0 else len(self._rows) - 1)

    def action_hit(self, by: int) -> None:
        """Move the cursor to the next or the previous row that was found."""
        if self._hits:
            self._move_to(self._hits.beyond(self._row, by))

    def action_follow(self) -> None:
        """Go to the top and stay there."""
        self._move_to(0)
        self.follows, self.news = True, 0

    def action_open(self) -> None:
        """Post `Opened` for the row under the cursor."""
        if self._key is not None:
            self.post_message(self.Opened(self, self._key, self._rows.model(self._row)))

    def on_click(self, event: Click) -> None:
        """Put the cursor where the mouse is; twice opens."""
        row = event.get_content_offset_capture(self).y + self.scroll_offset.y
        if row < len(self._rows):
            self._move_to(row)
            if event.chain == 2:
                self.action_open()

    def on_focus(self) -> None:
        """Paint the cursor again."""
        self.refresh_line(self._row)

    on_blur = on_focus

    def on_resize(self) -> None:
        """Keep the cursor in sight."""
        self._strips.clear()
        self._place(self._row, self.scroll_offset.y)

    # Moving and painting

    def _move_to(self, row: int, top: int | None = None) -> None:
        """Move the cursor after a key or a click, and put what is under it into focus."""
        if not len(self._rows):
            return
        self._shift(min(max(row, 0), len(self._rows) - 1), top)
        self._last_target = self._key
        model = self._rows.model(self._row)
        if model is not None:
            self.app.glance(model)
        self.post_message(self.Moved(self, self._key, model))

    def _shift(self, row: int, top: int | None = None) -> None:
        self.follows = False
        before = self._row
        self._place(row, self.scroll_offset.y if top is None else top)
        self.refresh_line(before)
        self.refresh_line(self._row)

    def _place(self, row: int, top: int) -> None:
        """Put the cursor on a row; the list begins at `top`, unless the row would be out of view.

        Then the row comes into the middle, so that the whole list is painted once in half a page
        and not at every step.
        """
        self._row = row
        self._key = self._rows.key(row) if row < len(self._rows) else None
        height = max(1, self.size.height)
        if not top <= row < top + height:
            top = row - height // 2
        top = max(0, min(top, len(self._rows) - height))
        if top != self.scroll_offset.y:
            self.scroll_to(y=top, animate=False, force=True)

    def _forget_paint(self) -> None:
        self._strips.clear()
        self._base = None

    def render_line(self, y: int) -> Strip:
        """A line of the list."""
        width, row = self.scrollable_content_region.width, y + self.scroll_offset.y
        base = self._base
        if base is None:
            base = self._base = self.rich_style
        if row >= len(self._rows):
            if y or len(self._rows):
                return Strip.blank(width, base)
            placeholder = segments([Piece(" " * GUTTER + self._nothing, "dim")], self.app.tones)
            return Strip(placeholder).adjust_cell_length(width).apply_style(base)
        model = self._rows.model(row)
        here = (row == self._row) + (row == self._row and self.has_focus)
        state = row, width, here, model is not None and model == self.app.focused_on.mark
        strip = self._strips.get(state)
        if strip is None:
            strip = self._strips[state] = self._painted(*state).apply_style(base)
            if len(self._strips) > KEPT:
                self._strips.popitem(last=False)
        else:
            self._strips.move_to_end(state)
        return strip

    def _painted(self, row: int, width: int, here: int, marked: bool) -> Strip:
        signs, is_hit = self.app.signs, row in self._hits
        gutter = (signs.cursor if here else " ") + (signs.mark if marked else " ")
        spans = [Piece(gutter, "strong"), *self._rows.draw(row, max(0, width - GUTTER))]
        parts = segments(spans, self.app.tones)
        if is_hit:
            parts = list(Segment.apply_style(parts, post_style=Style(underline=True)))
        strip = Strip(parts).adjust_cell_length(width)
        return strip.apply_style(self.app.cursor_styles[here]) if here else strip
