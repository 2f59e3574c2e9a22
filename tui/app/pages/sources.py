"""The Sources page: what can be merged and whether it fits, and what should be for a task."""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from tui.app.pages.page import Page, framed
from tui.app.widgets.virtual_list import VirtualList
from tui.shared.styling import heading

if TYPE_CHECKING:
    from population.analysis.recommendation import RecommendedSource
    from tui.app.data.focus import Focus
    from tui.app.data.snapshot import Snapshot
    from tui.app.data.sources import SourceList


class SourcesPage(Page):
    """Founders and the living as sources of merges, and three of them for a task."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "t", "turn(1)", "Task", id="sources.task", tooltip="What to merge for the next task"
        ),
        Binding(
            "T", "turn(-1)", "Task before", id="sources.before", show=False,
            tooltip="What to merge for the task before",
        ),
    ]  # fmt: skip

    DEFAULT_CSS = """
    SourcesPage #panes { layout: grid; grid-size: 1 3; grid-rows: 1fr 6 8; }
    SourcesPage #sources, SourcesPage #source, SourcesPage #choices { height: 100%; }
    SourcesPage.-narrow .pane { padding: 0; }

    SourcesPage.-wide #panes, SourcesPage.-very-wide #panes {
        grid-size: 2 2; grid-columns: 1fr 1fr; grid-rows: 1fr 2fr;
    }
    SourcesPage.-wide #sources, SourcesPage.-very-wide #sources { row-span: 2; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._available: SourceList | None = None
        self._chosen_for: str | None = None

    def panes(self) -> ComposeResult:
        """All sources, one of them, and those that should be merged."""
        with Container(id="panes"):
            yield framed("sources", "reading headers")
            yield framed("source", "none is chosen")
            yield framed(
                "choices", "not computed: no model was asked, or there are too many models"
            )

    def draw(self, snapshot: "Snapshot") -> None:
        """Ask for the sources."""
        from tui.app.data.sources import available_sources  # noqa: PLC0415 - numpy, after the first paint

        self.ask("sources", available_sources, self._show)

    def draw_focus(self, focus: "Focus") -> None:
        """Put the cursor on the model in focus."""
        if focus.model is not None and self.query_one("#sources", VirtualList).go(focus.model):
            self._show_source()

    def on_resize(self) -> None:
        """Draw what fits."""
        if self._available is not None:
            self._show(self._available)

    def _show(self, available: "SourceList") -> None:
        from tui.app.drawing.sources_rows import source_rows  # noqa: PLC0415 - see draw

        snapshot, lines = self.app.snapshot, self.query_one("#sources", VirtualList)
        if snapshot is None:
            return
        self._available = available
        sources = [one for one in available.sources if snapshot.has(one.model)]
        lines.show(source_rows(sources, snapshot, self.app.signs, lines.room))
        if self._chosen_for not in available.tasks:
            self._chosen_for = available.tasks[0] if available.tasks else None
        self._show_source()
        self._ask_for_choices()

    def _show_source(self) -> None:
        """Show everything about the source under the cursor."""
        from tui.app.drawing.rows import ListedRows  # noqa: PLC0415 - see draw
        from tui.app.drawing.sources_rows import one_source_rows  # noqa: PLC0415

        lines, snapshot = self.query_one("#source", VirtualList), self.app.snapshot
        key = self.query_one("#sources", VirtualList).key
        if self._available is None or snapshot is None:
            return
        source = next((one for one in self._available.sources if one.model == key), None)
        if source is None or not snapshot.has(source.model):
            lines.show(ListedRows())
        else:
            lines.show(one_source_rows(source, snapshot, self.app.signs, lines.room))

    def _ask_for_choices(self) -> None:
        """Ask which sources should be merged for the task."""
        from tui.app.data.sources import recommended_sources  # noqa: PLC0415 - see draw

        lines, snapshot = self.query_one("#choices", VirtualList), self.app.snapshot
        if self._chosen_for is None or snapshot is None:
            return
        lines.border_title = heading(f"what to merge for {self._chosen_for}")
        asked = partial(recommended_sources, task=self._chosen_for, snapshot=snapshot)
        self.ask("choices", asked, self._show_choices)

    def _show_choices(self, chosen: "tuple[RecommendedSource, ...]") -> None:
        from tui.app.drawing.sources_rows import choice_rows  # noqa: PLC0415 - see draw

        lines, snapshot = self.query_one("#choices", VirtualList), self.app.snapshot
        if snapshot is not None and all(snapshot.has(one.model) for one in chosen):
            lines.show(choice_rows(chosen, snapshot, self.app.signs, lines.room))

    def on_virtual_list_moved(self, message: VirtualList.Moved) -> None:
        """Show what the cursor is on."""
        if message.lines.id == "sources":
            self._show_source()

    def action_turn(self, by: int) -> None:
        """Go to another task."""
        if self._available is None or self._chosen_for is None:
            return
        tasks = self._available.tasks
        self._chosen_for = tasks[(tasks.index(self._chosen_for) + by) % len(tasks)]
        self._ask_for_choices()
