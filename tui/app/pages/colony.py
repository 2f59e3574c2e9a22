"""The Colony page: the whole campaign on one page that can stay open for days."""

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Container
from textual.widgets import Static

from tui.app.pages.page import Page
from tui.app.widgets.plot import Plot
from tui.app.widgets.virtual_list import VirtualList

if TYPE_CHECKING:
    from tui.app.data.focus import Focus
    from tui.app.data.snapshot import Snapshot
    from tui.shared.heartbeat import Heartbeat


class ColonyPage(Page):
    """Fitness over births, what is done now, champions, events, diversity."""

    def panes(self) -> ComposeResult:
        """Fitness, what is done now, diversity, champions and events."""
        yield Static(id="head", markup=False)
        with Container(id="grid"):
            with Container(id="fitness", classes="pane") as fitness:
                fitness.border_title = "fitness"
                yield Plot(id="plot", nothing="reading the archive")
            with Container(id="now", classes="pane") as now:
                now.border_title = "now"
                yield Static(id="doing", markup=False)
            with Container(id="diversity", classes="pane") as diversity:
                diversity.border_title = "diversity"
                yield Static(id="measures", markup=False)
            champions = VirtualList(id="champions", nothing="none yet")
            champions.border_title = "champions, by selection score"
            champions.add_class("pane")
            yield champions
            events = VirtualList(id="events", nothing="nothing has happened yet")
            events.border_title = "events"
            events.add_class("pane")
            yield events

    def draw(self, snapshot: "Snapshot") -> None:
        """Show a snapshot."""
        from tui.app.drawing import timeline  # noqa: PLC0415 - numpy, after the first paint

        signs = self.app.signs
        self.query_one(Plot).show(*timeline.fitness(snapshot), "no generation is complete yet")
        self.query_one("#champions", VirtualList).show(timeline.Champions(snapshot, signs))
        self.query_one("#events", VirtualList).show(timeline.events(snapshot, signs))
        width = self.query_one("#measures").size.width
        self.put("#measures", timeline.diversity(snapshot, signs, max(20, width)))

    def draw_heartbeat(self, heartbeat: "Heartbeat | None") -> None:
        """Show what is done now, and how far the campaign is."""
        from tui.app.drawing import campaign_status  # noqa: PLC0415 - see draw

        app, snapshot = self.app, self.app.snapshot
        name = app.archive.name
        self.put(
            "#head", [campaign_status.head(name, snapshot, heartbeat, app.signs, app.size.width)]
        )
        width = self.query_one("#doing").size.width
        self.put("#doing", campaign_status.activity(snapshot, heartbeat, app.signs, max(20, width)))

    def draw_focus(self, focus: "Focus") -> None:
        """Put the cursor on the model in focus, if it was champion."""
        if focus.model is not None:
            self.query_one("#champions", VirtualList).go(focus.model)

    def on_resize(self) -> None:
        """Draw what fits."""
        self.call_after_refresh(self.repaint)
