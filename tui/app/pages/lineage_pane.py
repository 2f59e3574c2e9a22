"""The room of a lens: the list or the chart that shows the lineage of a model, made to fit."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from textual.app import ComposeResult
from textual.containers import Container
from textual.message import Message
from textual.widget import Widget

from tui.app.pages.page import Page
from tui.app.widgets.chart import Chart
from tui.app.widgets.kin_list import KinVirtualList
from tui.app.widgets.virtual_list import GUTTER
from tui.shared.styling import Piece, heading

if TYPE_CHECKING:
    from lineage import Archive
    from lineage.ancestry.parent_edges import Ids
    from lineage.drawing import Style
    from lineage.drawing.text import Span
    from tui.app.app import ColonyApp
    from tui.app.data.snapshot import Snapshot
    from tui.app.drawing.charts import MapChart, PedigreeChart
    from tui.app.drawing.lineage_rows import Descending
    from tui.app.drawing.lineage_views import Counted

T = TypeVar("T")

LENSES = ("line", "pedigree", "graph", "map")
"""A way to look at a lineage each; the first and the third are lists."""

SHALLOWEST = 1
"""Generations of ancestors that a lens shows at least."""


class LineagePane(Container):
    """One of four lenses on a model.

    Attributes:
        lens: which.
        cursor: the model that the cursor is on, or was before it went to nobody.
        by_way: whether the graph shows the way to the marked model, and not ancestors.
    """

    class Fitted(Message):
        """There is more room, or less, here and beside it."""

    DEFAULT_CSS = "LineagePane VirtualList, LineagePane Chart { width: 1fr; }"

    app: "ColonyApp"

    def __init__(self) -> None:
        super().__init__(classes="pane")
        self.rows = KinVirtualList(id="rows", nothing="nobody")
        self.chart = Chart(id="chart")
        self.lens = LENSES[0]
        self.cursor: int | None = None
        self.by_way = False
        self._root: int | None = None
        self._depth = {"pedigree": 4, "graph": 4}
        self._pedigree: PedigreeChart | None = None
        self._map: MapChart | None = None
        self._charted: tuple[int | None, str] | None = None
        self._births: Counted | None = None
        self._way: tuple[tuple[int, int], Ids | None] | None = None

    def compose(self) -> ComposeResult:
        """A list and a chart, of which one is seen."""
        yield self.rows
        yield self.chart

    @property
    def listed(self) -> bool:
        """Whether the lens is a list."""
        return self.lens in ("line", "graph")

    @property
    def seen(self) -> Widget:
        """The list or the chart, whichever is seen."""
        return self.rows if self.listed else self.chart

    @property
    def pointed(self) -> int | None:
        """The model under the cursor of the lens."""
        if self.listed:
            return self.rows.rows.model(self.rows.row) if len(self.rows.rows) else None
        charted = self.chart.charted
        return None if charted is None else charted.model(self.chart.spot)

    def go(self, model: int) -> bool:
        """Put the cursor on a model; False if it is not in sight of this lens."""
        return self.rows.go(model) if self.listed else self.chart.go(model)

    def deepen(self, by: int) -> None:
        """Show more or fewer generations, where the lens shows some."""
        if self.lens in self._depth and not (self.by_way and self.lens == "graph"):
            self._depth[self.lens] = max(SHALLOWEST, self._depth[self.lens] + by)
            self._redraw()

    def to_slot(self, number: int) -> bool:
        """Put the cursor on a slot of the pedigree; False if there is none of this number."""
        if self.lens != "pedigree" or self._pedigree is None or not self._pedigree.has(number):
            return False
        self.chart.to(number)
        return True

    @property
    def cell(self) -> "Ids | None":
        """Who was born in the cell under the cursor; None where the lens is no map."""
        return self._map.models(self.chart.spot) if self.lens == "map" and self._map else None

    def describe(self) -> "list[list[Span | Piece]]":
        """What there is to say of the cell under the cursor, if the lens is the map."""
        if self.lens != "map" or self._map is None:
            return []
        rows: list[list[Span | Piece]] = [
            [Piece(line, "dim")] for line in self._map.describe(self.chart.spot)
        ]
        return [*rows, []]

    def on_resize(self) -> None:
        """Draw what fits."""
        self._redraw()
        self.post_message(self.Fitted())

    # Drawing

    def draw_lens(self, root: int | None) -> None:
        """Show the lineage of a model, in the room that there is; None before there is one."""
        self._root = root
        self._redraw()

    def _redraw(self) -> None:
        snapshot, root = self.app.snapshot, self._root
        width, height = self.content_size
        self.rows.display, self.chart.display = self.listed, not self.listed
        if snapshot is None or root is None or not snapshot.has(root) or min(width, height) < 1:
            return
        from lineage.drawing import Style  # noqa: PLC0415 - numpy, after the first paint
        from tui.app.drawing import lineage_views as lenses  # noqa: PLC0415

        glyphs = lenses.glyphs_for(self.app.signs)
        style, narrow = Style(width - 1, glyphs), Style(width - 1 - GUTTER, glyphs)
        if self.lens == "line":
            self._show_rows(*lenses.line_of(snapshot, root, glyphs))
        elif self.lens == "pedigree":
            self._pedigree, summary = lenses.pedigree_of(
                snapshot, root, self._depth[self.lens], style
            )
            self._show_chart(self._pedigree, summary)
        elif self.lens == "map":
            self._draw_map(snapshot, root, lenses.map_size(style, height))
        elif not self.by_way or not self._draw_way(snapshot, root, narrow):
            self._show_rows(*lenses.graph_of(snapshot, root, self._depth[self.lens], narrow))

    def _show_rows(self, rows: "Descending", summary: str) -> None:
        self.border_title = heading(summary)
        self.rows.show(rows)
        if self.cursor is not None:
            self.rows.go(self.cursor)

    def _show_chart(self, chart: "PedigreeChart | MapChart", summary: str) -> None:
        self.border_title = heading(summary)
        same = self._charted == (self._root, self.lens)
        self._charted = self._root, self.lens
        self.chart.show(chart, chart.first(self.cursor, self.chart.spot if same else None))

    def _draw_map(self, snapshot: "Snapshot", root: int, size: tuple[int, int]) -> None:
        """Draw the map; until births have been counted anew, what was there stays."""
        from tui.app.drawing import lineage_views as lenses  # noqa: PLC0415 - see draw_lens

        births = self._births
        fits = births is not None and births.size == size
        if births is not None and fits and births.snapshot.has(root):
            self._map, summary = lenses.map_of(births, root, lenses.glyphs_for(self.app.signs))
            self._show_chart(self._map, summary)
        if births is None or not fits or births.snapshot is not snapshot:
            self._ask("map", lambda _: lenses.births_of(snapshot, size), self._take_births)

    def _take_births(self, births: "Counted") -> None:
        self._births = births
        if self.lens == "map":
            self._redraw()

    def _draw_way(self, snapshot: "Snapshot", root: int, style: "Style") -> bool:
        """Draw the way to the mark; False where there is none, or not yet."""
        from tui.app.drawing import lineage_views as lenses  # noqa: PLC0415 - see draw_lens

        mark = self.app.focused_on.mark
        if mark is None or mark == root or not snapshot.has(mark):
            return False
        if self._way is None or self._way[0] != (root, mark):
            way = partial(lenses.way_between, snapshot, root, mark)
            self._ask("way", lambda _: way(), partial(self._take_way, (root, mark)))
            return False
        if self._way[1] is None:
            return False
        self._show_rows(*lenses.way_of(snapshot, self._way[1], style))
        return True

    def _take_way(self, ends: tuple[int, int], way: "Ids | None") -> None:
        self._way = ends, way
        if way is None:
            self.notify(f"#{ends[0]} and #{ends[1]} have no ancestor in common")
        if self.lens == "graph":
            self._redraw()

    def _ask(
        self, kind: str, question: "Callable[[Archive], T]", take: "Callable[[T], None]"
    ) -> None:
        page = self.screen
        assert isinstance(page, Page)
        page.ask(kind, question, take, after_s=0.0)
