"""The page: what all pages of the app have in common.

A page draws a snapshot, and is called when something changes; it never waits. Its methods, the most
important for the author of a page first:

- `panes()`: its widgets, between the top bar and the footer;
- `draw(snapshot)`: show it; called with every new snapshot while the page is on top, and when it
  comes to the top again;
- `draw_heartbeat(heartbeat)`: what the campaign does now, up to four times a second;
- `draw_focus(focus)`: the model in focus, or the mark, has changed;
- `put(where, rows)`: rows of text into a `Static`;
- `ask(kind, question, take)`: a query of the archive, answered beside the event loop;
- `lines`: the list that `/`, `n` and `N` search.
"""

import re
from collections.abc import Callable, Collection, Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Footer, Static

from lineage.escaping import escaped
from tui.app.data.query_worker import Answered, Refused
from tui.app.widgets.chrome import PromptLine, TopBar
from tui.app.widgets.pending_commands import PendingCommands
from tui.app.widgets.virtual_list import VirtualList
from tui.shared.styling import Piece, heading, text_of

if TYPE_CHECKING:
    from lineage import Archive
    from lineage.drawing.text import Span
    from tui.app.app import ColonyApp
    from tui.app.data.focus import Focus
    from tui.app.data.snapshot import Snapshot
    from tui.shared.heartbeat import Heartbeat

T = TypeVar("T")

SETTLED_S = 0.04
"""Seconds that a cursor rests before details are asked for, so that a held key moves it fast."""


class Page(Screen[None]):
    """A page about an archive."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "slash", "find", "Find", id="page.find", key_display="/",
            tooltip="Find models: #12, a founder's name, or a filter such as gen>30",
        ),
    ]  # fmt: skip

    app: "ColonyApp"

    def __init__(self) -> None:
        super().__init__()
        self._drawn: Snapshot | None = None
        self._settling: dict[str, Timer] = {}
        self._put: dict[str, Sequence[Sequence[Span | Piece]]] = {}

    # To be defined by pages

    def panes(self) -> ComposeResult:
        """The page's own widgets."""
        raise NotImplementedError

    def draw(self, snapshot: "Snapshot") -> None:
        """Show a snapshot."""
        raise NotImplementedError

    def draw_heartbeat(self, heartbeat: "Heartbeat | None") -> None:
        """Show what the campaign does at this moment."""

    def draw_focus(self, focus: "Focus") -> None:
        """Show that another model is in focus, or marked."""

    @property
    def lines(self) -> VirtualList | None:
        """The list that is searched: the one with the cursor, or the first."""
        if isinstance(self.focused, VirtualList):
            return self.focused
        lists = self.query(VirtualList)
        return lists.first() if lists else None

    # For use by pages

    def ask(
        self,
        kind: str,
        question: "Callable[[Archive], T]",
        take: Callable[[T], None],
        after_s: float = SETTLED_S,
    ) -> None:
        """Run a query, unless another of this kind follows within a moment.

        Args:
            kind: of query; a later one replaces an earlier one.
            question: runs in a thread; must not touch widgets.
            take: shows the answer.
            after_s: seconds to wait for another query of this kind; 0 runs it at once.
        """
        if kind in self._settling:
            self._settling.pop(kind).stop()
        asking = partial(self.app.query_worker.ask, self, kind, question, take)
        if after_s:
            self._settling[kind] = self.set_timer(after_s, asking)
        else:
            asking()

    def put(self, where: str, rows: "Sequence[Sequence[Span | Piece]]") -> None:
        """Show rows of text in the `Static` of a selector; equal rows are not painted again."""
        if self._put.get(where) != rows:
            self._put[where] = rows
            text = text_of(rows, self.app.tones)
            self.query_one(where, Static).update(text, layout=False)

    # Common to all pages

    def compose(self) -> ComposeResult:
        """The top bar, the banner, the page's panes, pending commands, prompt and footer."""
        yield TopBar()
        yield Static(id="banner", markup=False)
        yield from self.panes()
        yield PendingCommands()
        yield PromptLine()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Show what is known already."""
        self.renew()

    def on_screen_resume(self) -> None:
        """Show what has changed while another page was on top."""
        if self.is_mounted:
            self.renew()

    def renew(self) -> None:
        """Show everything that is known."""
        self.draw_trouble(self.app.trouble)
        snapshot = self.app.snapshot
        if snapshot is not None and snapshot is not self._drawn:
            self._drawn = snapshot
            self.draw(snapshot)
        self.draw_heartbeat(self.app.heartbeat)
        self.draw_tabs()
        self.draw_trail()
        self.draw_pending()
        self.draw_focus(self.app.focused_on)

    def repaint(self) -> None:
        """Paint everything anew: colours have changed."""
        self._drawn = None
        self._put.clear()
        self.renew()
        self.repaint_lines()

    def repaint_lines(self) -> None:
        """Paint all lists anew."""
        for lines in self.query(VirtualList):
            lines.repaint()

    def draw_tabs(self) -> None:
        """Draw the tabs of the top bar."""
        self.query_one(TopBar).draw_tabs()

    def draw_trail(self) -> None:
        """Draw the focus and the mark in the top bar."""
        self.query_one(TopBar).draw_trail()

    def draw_pending(self) -> None:
        """Draw the pending commands and the export."""
        self.query_one(PendingCommands).draw()

    def draw_trouble(self, words: str | None) -> None:
        """Show why the archive cannot be read; None hides the banner."""
        banner = self.query_one("#banner", Static)
        banner.display = words is not None
        banner.update(escaped(words or ""), layout=False)

    def on_answered(self, message: Answered) -> None:
        """Show an answer."""
        message.take(message.answer)

    def on_refused(self, message: Refused) -> None:
        """Say why there is no answer."""
        self.notify(message.words, severity="warning", markup=False)

    def on_virtual_list_opened(self, message: VirtualList.Opened) -> None:
        """Show everything about a model."""
        if message.model is not None:
            self.app.open(message.model)

    # Finding

    def action_find(self) -> None:
        """Ask for a model or a filter."""
        self.query_one(PromptLine).open("find", self._find)

    def _find(self, text: str) -> None:
        text = text.strip()
        snapshot = self.app.snapshot
        if snapshot is None or not text:
            return
        named = {name: model for model, name in snapshot.columns.names.items()}
        if text == "champion" and snapshot.champion:
            self.app.action_go(snapshot.champion)
        elif re.fullmatch(r"#?\d{1,9}", text):
            self.app.action_go(int(text.removeprefix("#")))
        elif text in named:
            self.app.action_go(named[text])
        else:
            self.ask("find", partial(_found, text=text), self._show_found, after_s=0.0)

    def keys_of(self, ids: Collection[int]) -> Collection[Hashable]:
        """The keys, in the list that is searched, of models that were found."""
        return ids

    def _show_found(self, ids: list[int]) -> None:
        lines = self.lines
        hits = 0 if lines is None else lines.search(self.keys_of(ids))
        here = (
            f", {hits:,} of them here: n and N go through them" if hits else ", none of them here"
        )
        self.notify(f"{len(ids):,} found{here if ids else ''}", timeout=4)


def framed(name: str, nothing: str) -> VirtualList:
    """A list in a frame.

    Args:
        name: its id and title.
        nothing: text shown while there are no rows.
    """
    lines = VirtualList(id=name, nothing=nothing)
    lines.border_title = heading(name)
    lines.add_class("pane")
    return lines


def _found(archive: "Archive", text: str) -> list[int]:
    from lineage.queries.find import find  # noqa: PLC0415 - in a thread, when first asked

    return find(archive, text, sort="id", ascending=True).ids
