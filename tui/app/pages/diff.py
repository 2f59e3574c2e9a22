"""The Diff page: the model in focus beside the marked one, or between its parents."""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from tui.app.pages.page import Page
from tui.app.widgets.virtual_list import GUTTER, VirtualList
from tui.shared.styling import Piece, text_of

if TYPE_CHECKING:
    from tui.app.data.comparison import ModelComparison
    from tui.app.data.focus import Focus
    from tui.app.data.snapshot import Snapshot
    from tui.app.drawing.diff_rows import DiffLine


class ChangeList(VirtualList, inherit_bindings=False):
    """A list on a page where `n` and `N` go from change to change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        binding
        for binding in VirtualList.BINDINGS
        if isinstance(binding, Binding)
        and binding.id not in ("list.next", "list.before", "list.follow", "list.open")
    ]


class DiffPage(Page):
    """Recipes by block, scores by task, shares of founders, kinship."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "change(1)", "Next change", id="diff.next", tooltip="The next change"),
        Binding("N", "change(-1)", "Change before", id="diff.before", show=False,
                tooltip="The change before"),
        Binding("o", "only", "Only changes", id="diff.only", tooltip="Only changes, or all"),
        Binding("s", "swap", "Swap", id="diff.swap", tooltip="Swap the sides"),
        Binding("escape,backspace", "app.pop_screen", "Back", id="diff.back", key_display="esc",
                tooltip="Back to the page before"),
    ]  # fmt: skip

    DEFAULT_CSS = "DiffPage #heads { height: 1; text-wrap: nowrap; background: $surface; }"

    def __init__(self) -> None:
        super().__init__()
        self._pair: tuple[int | None, int | None] | None = None
        self._comparison: ModelComparison | None = None
        self._lines: list[DiffLine] = []
        self._only = False

    def panes(self) -> ComposeResult:
        """The models, and a row for everything that is compared."""
        yield Static(id="heads", markup=False)
        yield ChangeList(id="rows", nothing="asking the archive")

    def draw(self, snapshot: "Snapshot") -> None:
        """Compare again in a newer snapshot."""
        self._pair = None
        self.draw_focus(self.app.focused_on)

    def draw_focus(self, focus: "Focus") -> None:
        """Compare the model that is in focus now."""
        snapshot, model = self.app.snapshot, focus.model
        mark = None if focus.mark == model else focus.mark
        if snapshot is None or model is None or self._pair == (model, mark):
            return
        self._pair = model, mark
        if mark is None and not snapshot.parents(model):
            self._show_message(f"{snapshot.name(model)} has no parents; mark another model with m")
            return
        from tui.app.data.comparison import compare_models  # noqa: PLC0415 - numpy, after the first paint

        question = partial(compare_models, snapshot=snapshot, one=model, two=mark)
        self.ask("diff", question, partial(self._store_comparison, self._pair))

    def on_resize(self) -> None:
        """Draw what fits."""
        self.call_after_refresh(self._draw_rows)

    def _store_comparison(
        self, pair: tuple[int | None, int | None], comparison: "ModelComparison"
    ) -> None:
        if pair == self._pair:
            self._comparison = comparison
            self._draw_rows()

    def _show_message(self, words: str) -> None:
        from tui.app.drawing.rows import ListedRows  # noqa: PLC0415 - see draw_focus

        self._comparison = None
        self.query_one("#heads", Static).update("", layout=False)
        self.query_one(ChangeList).show(ListedRows([("none", None, [Piece(words, "dim")])]))

    def _draw_rows(self) -> None:
        snapshot, comparison = self.app.snapshot, self._comparison
        if snapshot is None or comparison is None:
            return
        from tui.app.drawing import diff_rows  # noqa: PLC0415 - see draw_focus

        lines, signs = self.query_one(ChangeList), self.app.signs
        width = lines.size.width - GUTTER - 1
        all_lines = diff_rows.all_rows(comparison, snapshot, signs)
        self._lines = diff_rows.only_changes(all_lines) if self._only else all_lines
        heads = [Piece(" " * GUTTER), *diff_rows.heads(comparison, snapshot, signs, width)]
        self.query_one("#heads", Static).update(text_of([heads], self.app.tones), layout=False)
        lines.show(diff_rows.rows(self._lines, comparison, width, signs))

    def action_change(self, by: int) -> None:
        """Go to the next change, or to the one before; past the last is the first."""
        lines = self.query_one(ChangeList)
        changed = [row for row, line in enumerate(self._lines) if line.changed]
        ahead = [row for row in changed if (row - lines.row) * by > 0]
        if changed:
            row = (ahead or changed)[0 if by > 0 else -1]
            lines.go(self._lines[row].key)

    def action_only(self) -> None:
        """Show changes alone, or everything."""
        self._only = not self._only
        self._draw_rows()

    def action_swap(self) -> None:
        """Swap the sides."""
        if self._comparison is not None:
            self._comparison = self._comparison.swapped()
            self._draw_rows()
