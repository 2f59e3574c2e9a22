"""The Lineage page: four views of the model in focus, and keys that go to its kin.

A view has a root. Moving the cursor keeps the root; enter makes the model under the cursor the
root, and enter on the root opens its page.
"""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.timer import Timer
from textual.widgets import Static

from tui.app.pages.lineage_pane import LineagePane
from tui.app.pages.page import SETTLED_S
from tui.app.pages.pinned_page import PinnedPage
from tui.app.widgets.chart import Chart
from tui.app.widgets.chrome import PromptLine
from tui.app.widgets.kin_list import KinList
from tui.app.widgets.static_rows import StaticRows
from tui.app.widgets.virtual_list import VirtualList

if TYPE_CHECKING:
    from lineage.ancestry.parent_edges import Ids
    from tui.app.data.focus import Focus
    from tui.app.data.snapshot import Snapshot

TABS = {"line": "l Line", "pedigree": "t Pedigree", "graph": "g Graph", "map": "a Map of all"}


class LineagePage(PinnedPage):
    """The lineage of the model in focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "view('line')", "Line", id="lineage.line", show=False,
                tooltip="The line: the fitter parent of the fitter parent, down to a founder"),
        Binding("t", "view('pedigree')", "Pedigree", id="lineage.pedigree", show=False,
                tooltip="The pedigree: both parents of everybody, numbered"),
        Binding("g", "view('graph')", "Graph", id="lineage.graph", show=False,
                tooltip="The nearest ancestors with their edges"),
        Binding("a", "view('map')", "Map", id="lineage.map", show=False,
                tooltip="All births by fitness, with the line over them"),
        Binding("p", "parent(0)", "Parent", id="lineage.parent", tooltip="The fitter parent"),
        Binding("P", "parent(1)", "Other parent", id="lineage.other", show=False,
                tooltip="The other parent"),
        Binding("c", "children", "Children", id="lineage.children", tooltip="List its children"),
        Binding("b", "gain", "Gain", id="lineage.gain", show=False,
                tooltip="The biggest gain on the line; again: the next biggest"),
        Binding("h", "champion", "Home", id="lineage.champion", tooltip="The champion"),
        Binding("plus,equals_sign", "deepen(1)", "Deeper", id="lineage.deeper", key_display="+",
                tooltip="One generation more"),
        Binding("minus", "deepen(-1)", "Less deep", id="lineage.shallower", key_display="-",
                show=False, tooltip="One generation less"),
        Binding("s", "slot", "Slot", id="lineage.slot",
                tooltip="Go to a slot of the pedigree by its number"),
        Binding("w", "path", "Path", id="lineage.way",
                tooltip="The path to the marked model in the graph, or its ancestors again"),
        Binding("escape", "back", "Back", id="lineage.back", show=False,
                tooltip="From a list beside the view back to it"),
    ]  # fmt: skip

    AUTO_FOCUS = "#rows"
    DEFAULT_CSS = """
    LineagePage #views { height: 1; text-wrap: nowrap; }
    LineagePage #kin { display: none; width: 100%; }
    LineagePage.-kin #kin { display: block; }
    LineagePage.-kin LineagePane { display: none; }
    LineagePage #about { display: none; width: 38; }
    LineagePage.-wide #about { display: block; }
    LineagePage.-wide.-kin #kin { width: 38; }
    LineagePage.-wide.-kin LineagePane { display: block; }
    LineagePage.-wide.-kin #about { display: none; }
    LineagePage.-very-wide #kin { display: block; width: 38; }
    LineagePage.-very-wide.-kin #kin { width: 38; }
    LineagePage.-very-wide.-kin LineagePane { display: block; }
    LineagePage.-very-wide.-kin #about { display: block; }
    LineagePage.-very-wide #about { display: block; width: 44; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._kin = KinList(id="kin", nothing="none")
        self._pane, self._summary = LineagePane(), StaticRows(id="about", classes="pane")
        self._mark: int | None = None
        self._children_timer: Timer | None = None

    def panes(self) -> ComposeResult:
        """A list of kin, the view, and a summary of the model under the cursor."""
        yield Static(id="views", markup=False)
        with Horizontal():
            self._kin.add_class("pane")
            self._summary.border_title = "about"
            yield self._kin
            yield self._pane
            yield self._summary

    @property
    def lines(self) -> VirtualList | None:
        """The list that is searched."""
        return self._kin if self._kin.has_focus else self._pane.rows

    # Drawing

    def draw(self, snapshot: "Snapshot") -> None:
        """Show the lineage in a newer snapshot."""
        if self.app.focused_on.model is None and snapshot.newest:
            self.app.glance(snapshot.champion or snapshot.newest)
        self.draw_root()
        self._draw_tabs()
        self.draw_cursor()

    def draw_focus(self, focus: "Focus") -> None:
        """Make the model in focus the root, or show the path to another mark."""
        mark, self._mark = self._mark, focus.mark
        self._pane.cursor = focus.model
        super().draw_focus(focus)
        if self._pane.shows_path and mark != focus.mark:
            self.draw_root()

    def draw_root(self) -> None:
        """Show the lineage of the root."""
        self._pane.draw_view(self.root)

    def repaint_lines(self) -> None:
        """Paint lists, the chart and the summary anew."""
        super().repaint_lines()
        self._pane.chart.repaint()
        self._summary.refresh()

    def _draw_tabs(self) -> None:
        text, tones = Text(" "), self.app.tones
        for name, title in TABS.items():
            link = Style.from_meta({"@click": f"screen.view({name!r})"})
            text.append(f" {title} ", tones["here" if name == self._pane.view else "plain"] + link)
        self.query_one("#views", Static).update(text, layout=False)

    def on_lineage_pane_fitted(self) -> None:
        """Draw what fits."""
        self.draw_cursor()

    def draw_cursor(self) -> None:
        """Summarise the model under the cursor, and list its children if there is room."""
        snapshot, model, summary = self.app.snapshot, self.cursor, self._summary
        if snapshot is None or model is None or not snapshot.has(model):
            return
        from tui.app.drawing.model_summary import summary as summary_rows  # noqa: PLC0415 - numpy, after the first paint

        if summary.display and summary.size:
            summary.show(
                [
                    *self._pane.describe(),
                    *summary_rows(snapshot, model, self.app.signs, summary.size.width),
                ]
            )
        if self._children_timer is not None:
            self._children_timer.stop()
        if self._kin.display and not self._kin.has_focus and not self.has_class("-kin"):
            listed = partial(self._list_children, model)
            self._children_timer = self.set_timer(SETTLED_S, listed)

    def _list_children(self, model: int) -> None:
        from tui.app.data.kin import children  # noqa: PLC0415 - see draw_cursor

        snapshot = self.app.snapshot
        if snapshot is not None and snapshot.has(model):
            self._kin.show_models(snapshot, children(snapshot, model), f"children of #{model}")

    def _beside(self, models: "Ids", title: str) -> None:
        """List models beside the view, and focus the list."""
        assert self.app.snapshot is not None
        self._kin.show_models(self.app.snapshot, models, title)
        self.add_class("-kin")
        self.set_focus(self._kin)

    # Messages

    def on_chart_moved(self) -> None:
        """Summarise what is under the cursor, also on an empty spot."""
        self.draw_cursor()

    def opened(self, model: int, lines: VirtualList) -> None:
        """Make the model under the cursor the root; open the root."""
        if model == self.root and lines is not self._kin:
            self.app.open(model)
        else:
            self.action_back()
            self.enter(model)

    def on_chart_opened(self, message: Chart.Opened) -> None:
        """Make the model under the cursor the root, open the root; list a cell of the map."""
        there, snapshot = self._pane.cell, self.app.snapshot
        if there is None or snapshot is None:
            if message.model is not None:
                self.opened(message.model, self._pane.rows)
        elif len(there):
            from tui.app.data.kin import fittest_first  # noqa: PLC0415 - see draw_cursor

            self._beside(fittest_first(snapshot, there), "born in this cell")

    def _step(self, model: int) -> None:
        """Put the cursor on a model if the view shows it; else make it the root."""
        if self._pane.go(model):
            self.app.glance(model)
        else:
            self.enter(model)

    # Keys

    def action_view(self, name: str) -> None:
        """Show another view."""
        pane = self._pane
        had = pane.seen.has_focus or self.focused is None
        pane.view = name
        self.draw_root()
        self._draw_tabs()
        if had:
            self.set_focus(pane.seen)
        self.refresh_bindings()
        self.draw_cursor()

    def action_parent(self, which: int) -> None:
        """Go to the fitter parent, or to the other one."""
        snapshot, model = self.app.snapshot, self.cursor
        if snapshot is None or model is None:
            return
        from tui.app.data.kin import family_of  # noqa: PLC0415 - see draw_cursor

        parents = family_of(snapshot, [model]).parents(model)
        if which < len(parents):
            self._step(parents[which])
        else:
            self.notify(f"#{model} has {'one parent' if parents else 'no parents'}", timeout=2)

    def action_children(self) -> None:
        """List the children of the model under the cursor."""
        snapshot, model = self.app.snapshot, self.cursor
        if snapshot is None or model is None:
            return
        from tui.app.data.kin import children  # noqa: PLC0415 - see draw_cursor

        ids = children(snapshot, model)
        if len(ids):
            self._beside(ids, f"children of #{model}")
        else:
            self.notify(f"#{model} has no children", timeout=2)

    def action_gain(self) -> None:
        """Go to the biggest gain on the line of the root; from there, to the next biggest."""
        snapshot = self.app.snapshot
        if snapshot is None or self.root is None:
            return
        from tui.app.data.kin import by_gain  # noqa: PLC0415 - see draw_cursor

        ranked = by_gain(snapshot, self.root)
        if ranked:
            at = ranked.index(self.cursor) + 1 if self.cursor in ranked else 0
            self._step(ranked[at % len(ranked)])

    def action_champion(self) -> None:
        """Go to the champion."""
        if self.app.snapshot is not None and self.app.snapshot.champion is not None:
            self.app.action_go(self.app.snapshot.champion)

    def action_deepen(self, by: int) -> None:
        """Show a generation more, or one less."""
        self._pane.deepen(by)

    def action_slot(self) -> None:
        """Ask for the number of a slot."""
        self.query_one(PromptLine).open("number of a slot", self._to_slot)

    def _to_slot(self, text: str) -> None:
        if not (text.strip().isdecimal() and self._pane.to_slot(int(text))):
            self.notify(f"no slot {text.strip()!r} in this pedigree", severity="warning")

    def action_path(self) -> None:
        """Show the path from the model under the cursor to the mark, or ancestors again."""
        pane = self._pane
        pane.shows_path = not (pane.shows_path and pane.view == "graph")
        self.root = self.cursor if pane.shows_path else self.root
        self.action_view("graph")

    def action_back(self) -> None:
        """Leave the list beside the view."""
        self.remove_class("-kin")
        self.set_focus(self._pane.seen)
        if (pointed := self._pane.pointed) is not None:
            self.app.glance(pointed)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether the view has an action; Textual offers only those."""
        if action == "slot":
            return self._pane.view == "pedigree"
        if action == "deepen":
            return self._pane.view in ("pedigree", "graph")
        if action == "path":
            mark = self.app.focused_on.mark
            return self._pane.shows_path or mark not in (None, self.cursor)
        return True
