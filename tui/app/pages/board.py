"""The board: all living models, sorted and filtered as one likes."""

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
        Binding("S", "turn", "Turn", id="board.turn", show=False, tooltip="Turn the order round"),
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
    BoardPage #said, BoardPage #heads, BoardPage #legend { height: 1; text-wrap: nowrap; }
    BoardPage #legend { color: $foreground-muted; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._order, self._upwards, self._everyone = 0, False, False
        self._filter, self._kept = "", frozenset[int]()

    def panes(self) -> ComposeResult:
        """What is shown, the titles, the list, and what the bars mean."""
        yield Static(id="said", markup=False)
        yield Static(id="heads", markup=False)
        yield VirtualList(id="board", nothing="nobody")
        yield Static(id="legend", markup=False)

    def draw(self, snapshot: "Snapshot") -> None:
        """Show the models in their order."""
        import numpy as np  # noqa: PLC0415 - after the first paint

        from tui.app.drawing.board_rows import ORDERS, BoardRows, legend, sorted_by  # noqa: PLC0415

        ids = snapshot.living
        if self._everyone:
            ids = np.arange(1, snapshot.newest + 1, dtype=np.int32)
        if self._filter:
            ids = ids[np.isin(ids, np.fromiter(self._kept, np.int32))]
        order = sorted_by(ORDERS[self._order], self._upwards, snapshot, ids)
        lines = self.query_one(VirtualList)
        lines.show(BoardRows(snapshot, order, self.app.signs))
        signs = legend(snapshot, self.app.signs, self.app.size.width - GUTTER)
        self.put("#legend", [[Piece(" " * GUTTER), *signs]])
        self._say(snapshot)

    def draw_focus(self, focus: "Focus") -> None:
        """Put the cursor on the model in focus."""
        if focus.model is not None:
            self.query_one(VirtualList).go(focus.model)

    def on_virtual_list_told(self) -> None:
        """Show that there are new rows above, or that there are none."""
        if self.app.snapshot is not None:
            self._say(self.app.snapshot)

    def on_resize(self) -> None:
        """Other columns fit."""
        self.repaint()

    def action_sort(self) -> None:
        """Sort by the next column."""
        from tui.app.drawing.board_rows import ORDERS  # noqa: PLC0415 - see draw

        self._order = (self._order + 1) % len(ORDERS)
        self.repaint()

    def action_turn(self) -> None:
        """Turn the order round."""
        self._upwards = not self._upwards
        self.repaint()

    def action_everyone(self) -> None:
        """Show fossils as well, or no longer."""
        self._everyone = not self._everyone
        self.repaint()

    def action_filter(self) -> None:
        """Ask whom to show."""
        self.query_one(PromptLine).open("filter (empty shows all)", self._keep, self._filter)

    def _keep(self, text: str) -> None:
        text = text.strip()
        if not text:
            self._filter = ""
            self.repaint()
        else:
            self.ask("filter", partial(_fitting, text=text), partial(self._kept_are, text), 0.0)

    def _kept_are(self, text: str, ids: frozenset[int]) -> None:
        self._filter, self._kept = text, ids
        self.repaint()

    def _say(self, snapshot: "Snapshot") -> None:
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
        self.put("#said", [parts])
        self.put("#heads", [[Piece(" " * GUTTER), *titles]])


def _fitting(archive: "Archive", text: str) -> frozenset[int]:
    from lineage.queries.find import find  # noqa: PLC0415 - in a thread, when first asked

    return frozenset(find(archive, text, sort="id").ids)
