"""The Board page: all living models, sorted and filtered."""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from tui.app.pages.page import Page
from tui.app.widgets.chrome import PromptLine
from tui.app.widgets.virtual_list import GUTTER, VirtualList
from tui.shared.styling import Piece

if TYPE_CHECKING:
    from lineage import Archive
    from tui.app.data.focus import Focus
    from tui.app.data.snapshot import Snapshot


class BoardPage(Page):
    """All living models."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "Sort", id="board.sort", tooltip="Sort by the next column"),
        Binding("S", "turn", "Turn", id="board.turn", show=False, tooltip="Reverse the order"),
        Binding(
            "F", "filter", "Filter", id="board.filter",
            tooltip="Show only some, such as task:kanji>0.8 and founder:sum>20%",
        ),
        Binding(
            "v", "everyone", "Everyone", id="board.everyone",
            tooltip="The living alone, or fossils as well",
        ),
    ]  # fmt: skip

    DEFAULT_CSS = """
    BoardPage #title, BoardPage #heads, BoardPage #legend { height: 1; text-wrap: nowrap; }
    BoardPage #legend { color: $foreground-muted; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._order, self._upwards, self._everyone = 0, False, False
        self._filter, self._matching = "", frozenset[int]()

    def panes(self) -> ComposeResult:
        """The count, the titles, the list, and the legend of the bars."""
        yield Static(id="title", markup=False)
        yield Static(id="heads", markup=False)
        yield VirtualList(id="board", nothing="no models")
        yield Static(id="legend", markup=False)

    def draw(self, snapshot: "Snapshot") -> None:
        """Show the models in their order."""
        import numpy as np  # noqa: PLC0415 - after the first paint

        from tui.app.drawing.board_rows import ORDERS, BoardRows, legend, sorted_by  # noqa: PLC0415

        ids = snapshot.living
        if self._everyone:
            ids = np.arange(1, snapshot.newest + 1, dtype=np.int32)
        if self._filter:
            ids = ids[np.isin(ids, np.fromiter(self._matching, np.int32))]
        order = sorted_by(ORDERS[self._order], self._upwards, snapshot, ids)
        lines = self.query_one(VirtualList)
        lines.show(BoardRows(snapshot, order, self.app.signs))
        signs = legend(snapshot, self.app.signs, self.app.size.width - GUTTER)
        self.put("#legend", [[Piece(" " * GUTTER), *signs]])
        self._draw_title(snapshot)

    def draw_focus(self, focus: "Focus") -> None:
        """Put the cursor on the model in focus."""
        if focus.model is not None:
            self.query_one(VirtualList).go(focus.model)

    def on_virtual_list_news_changed(self) -> None:
        """Show how many new rows are above the cursor."""
        if self.app.snapshot is not None:
            self._draw_title(self.app.snapshot)

    def on_resize(self) -> None:
        """Draw the columns that fit."""
        self.repaint()

    def action_sort(self) -> None:
        """Sort by the next column."""
        from tui.app.drawing.board_rows import ORDERS  # noqa: PLC0415 - see draw

        self._order = (self._order + 1) % len(ORDERS)
        self.repaint()

    def action_turn(self) -> None:
        """Reverse the order."""
        self._upwards = not self._upwards
        self.repaint()

    def action_everyone(self) -> None:
        """Show fossils as well, or no longer."""
        self._everyone = not self._everyone
        self.repaint()

    def action_filter(self) -> None:
        """Ask for a filter."""
        self.query_one(PromptLine).open(
            "filter (empty shows all)", self._apply_filter, self._filter
        )

    def _apply_filter(self, text: str) -> None:
        text = text.strip()
        if not text:
            self._filter = ""
            self.repaint()
        else:
            self.ask(
                "filter", partial(_fitting, text=text), partial(self._store_matching, text), 0.0
            )

    def _store_matching(self, text: str, ids: frozenset[int]) -> None:
        self._filter, self._matching = text, ids
        self.repaint()

    def _draw_title(self, snapshot: "Snapshot") -> None:
        from tui.app.drawing.board_rows import ORDERS, heads  # noqa: PLC0415 - see draw

        signs, lines, order = self.app.signs, self.query_one(VirtualList), ORDERS[self._order]
        who = "models" if self._everyone else "living"
        parts = [
            Piece(f"  {len(lines.rows):,} {who}", "strong"),
            Piece(f" of {snapshot.newest:,} ever born, by {order.name}", "dim"),
        ]
        if self._filter:
            parts.append(Piece(f"   only {self._filter}", "bar"))
        if lines.news:
            parts.append(Piece(f"   {signs.up} {lines.news} new above (f follows)", "champion"))
        titles = heads(self.app.size.width - GUTTER, order, self._upwards, signs)
        self.put("#title", [parts])
        self.put("#heads", [[Piece(" " * GUTTER), *titles]])


def _fitting(archive: "Archive", text: str) -> frozenset[int]:
    from lineage.queries.find import find  # noqa: PLC0415 - in a thread, when first asked

    return frozenset(find(archive, text, sort="id").ids)
