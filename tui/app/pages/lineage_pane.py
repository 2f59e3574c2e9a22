"""The pane of a lineage view: a list or a chart, made to fit."""

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
    from tui.app.drawing.lineage_rows import YoungestFirstRows
    from tui.app.drawing.lineage_views import BirthCounts

T = TypeVar("T")

VIEWS = ("line", "pedigree", "graph", "map")
"""The views of a lineage; the first and the third are lists."""

SHALLOWEST = 1
"""Generations of ancestors that a view shows at least."""


class LineagePane(Container):
    """One of four views of the lineage of a model.

    Attributes:
        view: its name, one of `VIEWS`.
        cursor: the model that the cursor is on, or was on last.
        shows_path: whether the graph shows the path to the marked model, and not ancestors.
    """

    class Fitted(Message):
        """The size of the pane has changed."""

    DEFAULT_CSS = "LineagePane VirtualList, LineagePane Chart { width: 1fr; }"

    app: "ColonyApp"

    def __init__(self) -> None:
        super().__init__(classes="pane")
        self.rows = KinVirtualList(id="rows", nothing="no models")
        self.chart = Chart(id="chart")
        self.view = VIEWS[0]
        self.cursor: int | None = None
        self.shows_path = False
        self._root: int | None = None
        self._depth = {"pedigree": 4, "graph": 4}
        self._pedigree: PedigreeChart | None = None
        self._map: MapChart | None = None
        self._charted: tuple[int | None, str] | None = None
        self._births: BirthCounts | None = None
        self._path: tuple[tuple[int, int], Ids | None] | None = None

    def compose(self) -> ComposeResult:
        """A list and a chart, of which one is shown."""
        yield self.rows
        yield self.chart

    @property
    def listed(self) -> bool:
        """Whether the view is a list."""
        return self.view in ("line", "graph")

    @property
    def seen(self) -> Widget:
        """The list or the chart, whichever is shown."""
        return self.rows if self.listed else self.chart

    @property
    def pointed(self) -> int | None:
        """Id of the model under the cursor; None if there is none."""
        if self.listed:
            return self.rows.rows.model(self.rows.row) if len(self.rows.rows) else None
        charted = self.chart.charted
        return None if charted is None else charted.model(self.chart.spot)

    def go(self, model: int) -> bool:
        """Put the cursor on a model; False if this view does not show it."""
        return self.rows.go(model) if self.listed else self.chart.go(model)

    def deepen(self, by: int) -> None:
        """Show more or fewer generations, where the view shows some."""
        if self.view in self._depth and not (self.shows_path and self.view == "graph"):
            self._depth[self.view] = max(SHALLOWEST, self._depth[self.view] + by)
            self._redraw()

    def to_slot(self, number: int) -> bool:
        """Put the cursor on a slot of the pedigree; False if there is none of this number."""
        if self.view != "pedigree" or self._pedigree is None or not self._pedigree.has(number):
            return False
        self.chart.to(number)
        return True

    @property
    def cell(self) -> "Ids | None":
        """Ids of the models born in the cell under the cursor; None if the view is not the map."""
        return self._map.models(self.chart.spot) if self.view == "map" and self._map else None

    def describe(self) -> "list[list[Span | Piece]]":
        """Rows about the cell under the cursor; none if the view is not the map."""
        if self.view != "map" or self._map is None:
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

    def draw_view(self, root: int | None) -> None:
        """Show the lineage of a model; None shows nothing."""
        self._root = root
        self._redraw()

    def _redraw(self) -> None:
        snapshot, root = self.app.snapshot, self._root
        width, height = self.content_size
        self.rows.display, self.chart.display = self.listed, not self.listed
        if snapshot is None or root is None or not snapshot.has(root) or min(width, height) < 1:
            return
        from lineage.drawing import Style  # noqa: PLC0415 - numpy, after the first paint
        from tui.app.drawing import lineage_views as views  # noqa: PLC0415

        glyphs = views.glyphs_for(self.app.signs)
        style, narrow = Style(width - 1, glyphs), Style(width - 1 - GUTTER, glyphs)
        if self.view == "line":
            self._show_rows(*views.line_view(snapshot, root, glyphs))
        elif self.view == "pedigree":
            self._pedigree, summary = views.pedigree_view(
                snapshot, root, self._depth[self.view], style
            )
            self._show_chart(self._pedigree, summary)
        elif self.view == "map":
            self._draw_map(snapshot, root, views.map_size(style, height))
        elif not self.shows_path or not self._draw_path(snapshot, root, narrow):
            self._show_rows(*views.graph_view(snapshot, root, self._depth[self.view], narrow))

    def _show_rows(self, rows: "YoungestFirstRows", summary: str) -> None:
        self.border_title = heading(summary)
        self.rows.show(rows)
        if self.cursor is not None:
            self.rows.go(self.cursor)

    def _show_chart(self, chart: "PedigreeChart | MapChart", summary: str) -> None:
        self.border_title = heading(summary)
        same = self._charted == (self._root, self.view)
        self._charted = self._root, self.view
        self.chart.show(chart, chart.first(self.cursor, self.chart.spot if same else None))

    def _draw_map(self, snapshot: "Snapshot", root: int, size: tuple[int, int]) -> None:
        """Draw the map; until births have been counted again, the old one stays."""
        from tui.app.drawing import lineage_views as views  # noqa: PLC0415 - see draw_view

        births = self._births
        fits = births is not None and births.size == size
        if births is not None and fits and births.snapshot.has(root):
            self._map, summary = views.map_view(births, root, views.glyphs_for(self.app.signs))
            self._show_chart(self._map, summary)
        if births is None or not fits or births.snapshot is not snapshot:
            self._ask("map", lambda _: views.count_births(snapshot, size), self._store_births)

    def _store_births(self, births: "BirthCounts") -> None:
        self._births = births
        if self.view == "map":
            self._redraw()

    def _draw_path(self, snapshot: "Snapshot", root: int, style: "Style") -> bool:
        """Draw the path to the mark; False where there is none, or not yet."""
        from tui.app.drawing import lineage_views as views  # noqa: PLC0415 - see draw_view

        mark = self.app.focused_on.mark
        if mark is None or mark == root or not snapshot.has(mark):
            return False
        if self._path is None or self._path[0] != (root, mark):
            path = partial(views.path_between, snapshot, root, mark)
            self._ask("path", lambda _: path(), partial(self._store_path, (root, mark)))
            return False
        if self._path[1] is None:
            return False
        self._show_rows(*views.path_view(snapshot, self._path[1], style))
        return True

    def _store_path(self, ends: tuple[int, int], path: "Ids | None") -> None:
        self._path = ends, path
        if path is None:
            self.notify(f"#{ends[0]} and #{ends[1]} have no ancestor in common")
        if self.view == "graph":
            self._redraw()

    def _ask(
        self, kind: str, question: "Callable[[Archive], T]", take: "Callable[[T], None]"
    ) -> None:
        page = self.screen
        assert isinstance(page, Page)
        page.ask(kind, question, take, after_s=0.0)
