"""The Arena page: matches with their judgements, and how reliable each judge is."""

from collections.abc import Collection, Hashable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Static

from lineage.errors import ArchiveError
from tui.app.pages.page import Page, framed
from tui.app.widgets.chrome import PromptLine
from tui.app.widgets.virtual_list import GUTTER, VirtualList
from tui.shared.styling import Piece

if TYPE_CHECKING:
    from lineage.queries.match_detail import MatchDetail
    from lineage.queries.matches import Match
    from tui.app.data.arena import ArenaQuery, ArenaView
    from tui.app.data.focus import Focus
    from tui.app.data.snapshot import Snapshot


class ArenaPage(Page):
    """Matches and judges, of the last round or of an earlier one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "turn", "Judges", id="arena.view", tooltip="Matches, or judges"),
        Binding(
            "F", "filter", "Task", id="arena.filter", tooltip="Show one task alone"
        ),
        Binding(
            "o", "only", "Only", id="arena.only",
            tooltip="Only matches of the model in focus, or all again",
        ),
        Binding(
            "comma", "older", "Older", id="arena.older", key_display=",",
            tooltip="The round before",
        ),
        Binding(
            "full_stop", "newer", "Newer", id="arena.newer", key_display=".",
            tooltip="The round after; past the last one, follow new rounds",
        ),
    ]  # fmt: skip

    DEFAULT_CSS = """
    ArenaPage #round { height: 1; text-wrap: nowrap; background: $surface; }
    ArenaPage #arena { layout: grid; grid-size: 1 2; grid-rows: 2fr 3fr; }
    ArenaPage #heads { height: 1; text-wrap: nowrap; }
    ArenaPage #matches, ArenaPage #match, ArenaPage #judging, ArenaPage #judge { height: 100%; }
    ArenaPage #judging, ArenaPage #judge { display: none; }
    ArenaPage.-judges #judging, ArenaPage.-judges #judge { display: block; }
    ArenaPage.-judges #matches, ArenaPage.-judges #match { display: none; }
    ArenaPage.-narrow .pane { padding: 0; }

    ArenaPage.-wide #arena, ArenaPage.-very-wide #arena {
        grid-size: 2 1; grid-columns: 1fr 1fr; grid-rows: 1fr;
    }
    ArenaPage.-wide.-tall #arena, ArenaPage.-very-wide.-tall #arena {
        grid-size: 2 2; grid-rows: 3fr 2fr;
    }
    ArenaPage.-wide.-tall #judging, ArenaPage.-very-wide.-tall #judging { display: block; }
    ArenaPage.-wide.-tall #judge, ArenaPage.-very-wide.-tall #judge { display: block; }
    ArenaPage.-wide.-tall #matches, ArenaPage.-very-wide.-tall #matches { display: block; }
    ArenaPage.-wide.-tall #match, ArenaPage.-very-wide.-tall #match { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._query: ArenaQuery | None = None
        self._view: ArenaView | None = None
        self._match: tuple[MatchDetail, dict[int, int | None]] | None = None

    def panes(self) -> ComposeResult:
        """The round; matches and one of them; judges and one of them."""
        yield Static(id="round", markup=False)
        with Container(id="arena"):
            yield framed("matches", "no round of the arena was played yet")
            yield framed("match", "no match is chosen")
            with Container(id="judging", classes="pane") as judging:
                judging.border_title = "judges: trust by mode, 0 for guessing"
                yield Static(id="heads", markup=False)
                yield VirtualList(id="judges", nothing="no model has judged")
            yield framed("judge", "no judge is chosen")

    def draw(self, snapshot: "Snapshot") -> None:
        """Ask for the round that is shown."""
        from tui.app.data.arena import ArenaQuery  # noqa: PLC0415 - numpy, after the first paint

        if self._query is None:
            self._query = ArenaQuery()
        self._ask_for_round(self._query)

    def draw_focus(self, focus: "Focus") -> None:
        """Put the cursors on a match and a judge of the model in focus, unless it is a glance."""
        if focus.model is None or self._view is None:
            return
        judges, matches = (
            self.query_one("#judges", VirtualList),
            self.query_one("#matches", VirtualList),
        )
        if judges.key != focus.model and judges.go(focus.model):
            self._show_judge()
        if focus.glance is None and not self._is_in_match(focus.model) and matches.go(focus.model):
            self._ask_for_match()

    def on_resize(self) -> None:
        """Draw what fits."""
        if self._view is not None:
            self._show(self._view)

    # Queries and answers

    def _ask_for_round(self, query: "ArenaQuery") -> None:
        from tui.app.data.arena import arena_view  # noqa: PLC0415 - see draw

        self._query = query
        self.ask("arena", partial(arena_view, query=query), self._show)

    def _show(self, view: "ArenaView") -> None:
        from tui.app.drawing.arena_rows import MatchRows  # noqa: PLC0415 - see draw
        from tui.app.drawing.judge_rows import judge_heads, judge_rows  # noqa: PLC0415

        snapshot = self.app.snapshot
        if snapshot is None or view.newest > snapshot.newest:
            return  # a snapshot that knows them is on its way, and asks again
        self._view = view
        self.query_one("#matches", VirtualList).show(MatchRows(view.matches, self.app.signs))
        self.query_one("#judges", VirtualList).show(judge_rows(view, snapshot, self.app.signs))
        self.put("#heads", [[Piece(" " * GUTTER), *judge_heads(view)]])
        self._draw_round(view)
        self._ask_for_match()
        self._show_judge()

    def _draw_round(self, view: "ArenaView") -> None:
        summary, query = view.summary, self._query
        pieces = [Piece("  no round yet", "dim")]
        if summary is not None and query is not None:
            kind = "offline" if summary.epoch is None else f"of generation {summary.generation}"
            pieces = [
                Piece(f"  round {summary.round}", "strong"),
                Piece(f" of {summary.last}, {kind}   "),
                Piece(
                    f"{summary.items} items, {summary.checkable} with keys, "
                    f"{summary.hidden} hidden   "
                    f"{summary.contestants} contestants   {summary.tokens:,} tokens "
                    f"({summary.predicted:,} expected)",
                    "dim",
                ),
            ]
            if query.task is not None:
                pieces.insert(2, Piece(f"only {query.task}   ", "bar"))
            if query.model is not None:
                pieces.insert(2, Piece(f"only #{query.model}   ", "bar"))
        self.put("#round", [pieces])

    def _ask_for_match(self) -> None:
        """Ask for the details of the match under the cursor."""
        from tui.app.data.arena import match_with_kin  # noqa: PLC0415 - see draw

        snapshot, match = self.app.snapshot, self._match_under_cursor()
        if snapshot is None or match is None:
            self._match = None
            self._show_match()
        else:
            query = partial(match_with_kin, name=match.name, snapshot=snapshot)
            self.ask("match", query, self._store_match)

    def _store_match(self, answer: "tuple[MatchDetail, dict[int, int | None]]") -> None:
        self._match = answer
        self._show_match()

    def _show_match(self) -> None:
        from tui.app.drawing.arena_rows import match_rows  # noqa: PLC0415 - see draw
        from tui.app.drawing.rows import ListedRows  # noqa: PLC0415

        lines, snapshot = self.query_one("#match", VirtualList), self.app.snapshot
        answer = self._match
        if answer is None or snapshot is None or answer[0].newest > snapshot.newest:
            lines.show(ListedRows())
        else:
            lines.show(match_rows(*answer, snapshot, self.app.signs, lines.room))

    def _show_judge(self) -> None:
        """Show the judge under the cursor."""
        from tui.app.drawing.judge_rows import one_judge_rows  # noqa: PLC0415 - see draw
        from tui.app.drawing.rows import ListedRows  # noqa: PLC0415

        lines, snapshot = self.query_one("#judge", VirtualList), self.app.snapshot
        judge = self.query_one("#judges", VirtualList).key
        if self._view is None or snapshot is None:
            return
        if not isinstance(judge, int) or not snapshot.has(judge):
            lines.show(ListedRows())
            return
        lines.show(one_judge_rows(self._view, judge, snapshot, self.app.signs, lines.room))

    def _match_under_cursor(self) -> "Match | None":
        """The match under the cursor."""
        row = self.query_one("#matches", VirtualList).row
        listed = self._view.matches if self._view is not None else ()
        return listed[row] if row < len(listed) else None

    def _is_in_match(self, model: int) -> bool:
        match = self._match_under_cursor()
        return match is not None and model in (match.a.model, match.b.model)

    # Cursors

    def on_virtual_list_moved(self, message: VirtualList.Moved) -> None:
        """Show what the cursor is on."""
        if message.lines.id == "matches":
            self._ask_for_match()
        elif message.lines.id == "judges":
            self._show_judge()

    def on_virtual_list_opened(self, message: VirtualList.Opened) -> None:
        """Move the focus from a match or judge to its details."""
        detail = {"matches": "#match", "judges": "#judge"}.get(message.lines.id or "")
        if detail is not None:
            message.prevent_default()  # of opening the model's page
            self.query_one(detail, VirtualList).focus()

    def keys_of(self, ids: Collection[int]) -> Collection[Hashable]:
        """The keys of matches in which models that were found took part."""
        lines = self.lines
        if lines is None or lines.id != "matches" or self._view is None:
            return ids
        chosen = set(ids)
        return [
            str(match.name)
            for match in self._view.matches
            if chosen & {match.a.model, match.b.model}
        ]

    # Keys

    def action_turn(self) -> None:
        """Show judges instead of matches, where there is no room for both."""
        self.toggle_class("-judges")
        first = "#judges" if self.has_class("-judges") else "#matches"
        self.query_one(first, VirtualList).focus()

    def action_filter(self) -> None:
        """Ask for a task."""
        task = self._query.task if self._query else None
        self.query_one(PromptLine).open("task (empty shows all)", self._filter_by, task or "")

    def _filter_by(self, text: str) -> None:
        from lineage.queries.tasks import check_task  # noqa: PLC0415 - see draw

        task = text.strip() or None
        if task is None:
            self._show_task(None)
        else:
            self.ask("task", partial(check_task, task=task), lambda _: self._show_task(task), 0.0)

    def _show_task(self, task: str | None) -> None:
        if self._query is not None:
            self._ask_for_round(replace(self._query, task=task))

    def action_only(self) -> None:
        """Show the matches of the model in focus alone, or all again."""
        if self._query is not None:
            model = None if self._query.model is not None else self.app.focused_on.model
            self._ask_for_round(replace(self._query, model=model))

    def action_older(self) -> None:
        """Show the round before."""
        summary = self._view.summary if self._view else None
        if summary is not None and self._query is not None and summary.round > 1:
            self._ask_for_round(replace(self._query, round=summary.round - 1))

    def action_newer(self) -> None:
        """Show the round after; after the last one, follow new rounds."""
        summary = self._view.summary if self._view else None
        if summary is not None and self._query is not None:
            after = summary.round + 1
            self._ask_for_round(replace(self._query, round=after if after < summary.last else None))

    def _find(self, text: str) -> None:
        """Go to a match by its name; any other text finds models."""
        from lineage.queries.matches import MatchName  # noqa: PLC0415 - see draw

        try:
            name = MatchName.read(text)
        except ArchiveError:
            super()._find(text)
            return
        if self.query_one("#matches", VirtualList).go(str(name)):
            self._ask_for_match()
        else:
            self.notify(f"{name} is not among the matches that are listed", severity="warning")
