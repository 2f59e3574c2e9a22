"""The Model page: everything about the model in focus."""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from tui.app.pages.pinned_page import PinnedPage
from tui.app.widgets.plot import Plot
from tui.app.widgets.virtual_list import GUTTER, VirtualList
from tui.shared.styling import heading, text_of

if TYPE_CHECKING:
    from tui.app.data.model_detail import ModelDetail
    from tui.app.data.snapshot import Snapshot


class ModelPage(PinnedPage):
    """Recipe, founders by block, scores, rating, children."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "children", "Children", id="model.children", tooltip="To its children"),
        Binding("p", "parent(0)", "Parent", id="model.parent", tooltip="The fitter parent"),
        Binding("P", "parent(1)", "Other parent", id="model.other", show=False,
                tooltip="The other parent"),
        Binding("escape,backspace", "app.pop_screen", "Back", id="model.back", key_display="esc",
                tooltip="Back to the page before"),
    ]  # fmt: skip

    AUTO_FOCUS = "#recipe"

    DEFAULT_CSS = """
    ModelPage #head { height: 1; text-wrap: nowrap; padding: 0 1; }
    ModelPage #columns { layout: horizontal; height: 1fr; overflow-y: hidden; }
    ModelPage #columns Vertical { height: 100%; width: 1fr; }
    ModelPage #recipe { height: 10; }
    ModelPage #made { height: 13; }
    ModelPage #scores { height: 17; }
    ModelPage #children, ModelPage #over { height: 1fr; }
    ModelPage.-narrow #columns { layout: vertical; overflow-y: auto; }
    ModelPage.-narrow #columns Vertical { height: auto; }
    ModelPage.-narrow #children, ModelPage.-narrow #over { height: 10; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._detail: ModelDetail | None = None

    def panes(self) -> ComposeResult:
        """Two columns, or one where it is narrow."""
        yield Static(id="head", markup=False)
        with VerticalScroll(id="columns", can_focus=False):
            with Vertical():
                yield _pane("recipe", "recipe")
                yield _pane("made", "made of: weights of the founders by block")
                yield _pane("children", "children")
            with Vertical():
                yield _pane("scores", "scores: exact match, beside the fittest parents")
                with Horizontal(id="over", classes="pane") as over:
                    over.border_title = "rating over generations, in points"
                    yield Plot(id="rating", nothing="asking the archive")

    def draw(self, snapshot: "Snapshot") -> None:
        """Show the model in a newer snapshot."""
        if self.root is not None and snapshot.has(self.root):
            self.draw_root()

    def draw_root(self) -> None:
        """Show what the snapshot knows at once, and ask for the rest."""
        snapshot, model = self.app.snapshot, self.root
        if snapshot is None or model is None:
            return
        from tui.app.data.kin import children  # noqa: PLC0415 - numpy, after the first paint
        from tui.app.data.model_detail import model_detail_of  # noqa: PLC0415
        from tui.app.drawing.lineage_rows import BriefModelRows  # noqa: PLC0415

        lines, child_ids = self.query_one("#children", VirtualList), children(snapshot, model)
        alive = sum(map(snapshot.is_living, child_ids.tolist()))
        count = f": {len(child_ids):,}, {alive:,} alive" if len(child_ids) else ""
        lines.border_title = heading(f"children{count}")
        lines.show(BriefModelRows(snapshot, child_ids, self.app.signs))
        if self._detail is not None and self._detail.sides.sides[0].model.id != model:
            self._detail = None
        self._draw_detail()
        question = partial(model_detail_of, snapshot=snapshot, model=model)
        self.ask("detail", question, self._store_detail)

    def on_resize(self) -> None:
        """Draw what fits."""
        self.call_after_refresh(self._draw_detail)

    def _store_detail(self, detail: "ModelDetail") -> None:
        if detail.sides.sides[0].model.id == self.root:
            self._detail = detail
            self._draw_detail()

    def _draw_detail(self) -> None:
        snapshot, model, detail = self.app.snapshot, self.root, self._detail
        if snapshot is None or model is None or not snapshot.has(model):
            return
        from tui.app.drawing import detail_rows  # noqa: PLC0415 - see draw_root

        signs = self.app.signs
        head = text_of([detail_rows.head(snapshot, model, detail, signs)], self.app.tones)
        self.query_one("#head", Static).update(head, layout=False)
        if detail is None:
            return
        recipe, made, scores = (
            self.query_one(f"#{name}", VirtualList) for name in ("recipe", "made", "scores")
        )
        recipe.show(detail_rows.recipe(detail, snapshot, signs))
        made.show(detail_rows.made_of(detail, signs, made.content_size.width - GUTTER - 1))
        width = scores.content_size.width - GUTTER - 1
        scores.show(detail_rows.scores(detail, signs, width))
        self.query_one(Plot).show(detail_rows.rating(detail), nothing="never rated")

    def action_children(self) -> None:
        """Go to the list of children."""
        self.set_focus(self.query_one("#children", VirtualList))

    def action_parent(self, which: int) -> None:
        """Turn to the fitter parent, or to the other one."""
        snapshot, model = self.app.snapshot, self.root
        if snapshot is None or model is None:
            return
        from tui.app.data.kin import family_of  # noqa: PLC0415 - see draw_root

        parents = family_of(snapshot, [model]).parents(model)
        if which < len(parents):
            self.enter(parents[which])


def _pane(name: str, title: str) -> VirtualList:
    lines = VirtualList(id=name, nothing="none" if name == "children" else "asking the archive")
    lines.border_title = heading(title)
    lines.add_class("pane")
    return lines
