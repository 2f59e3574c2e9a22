"""The model: everything about the one in focus."""

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from tui.app.pages.pinned_page import RootedPage
from tui.app.widgets.plot import Plot
from tui.app.widgets.virtual_list import GUTTER, Lines
from tui.shared.styling import heading, text_of

if TYPE_CHECKING:
    from tui.app.data.model_detail import Portrait
    from tui.app.data.snapshot import Snapshot


class ModelPage(RootedPage):
    """Recipe, founders by block, scores, rating, children."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "children", "Children", id="model.children", tooltip="To its children"),
        Binding("p", "parent(0)", "Parent", id="model.parent", tooltip="The fitter parent"),
        Binding("P", "parent(1)", "Other parent", id="model.other", show=False,
                tooltip="The other parent"),
        Binding("escape,backspace", "app.pop_screen", "Back", id="model.back", key_display="esc",
                tooltip="To where one came from"),
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
        self._portrait: Portrait | None = None

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
        """Show the model in a newer colony."""
        if self.root is not None and snapshot.has(self.root):
            self.draw_root()

    def draw_root(self) -> None:
        """Show what the snapshot knows at once, and ask for the rest."""
        snapshot, model = self.app.snapshot, self.root
        if snapshot is None or model is None:
            return
        from tui.app.data.kin import children  # noqa: PLC0415 - numpy, after the first paint
        from tui.app.data.model_detail import portrait_of  # noqa: PLC0415
        from tui.app.drawing.lineage_rows import FewRows  # noqa: PLC0415

        lines, found = self.query_one("#children", Lines), children(snapshot, model)
        alive = sum(map(snapshot.lives, found.tolist()))
        count = f": {len(found):,}, {alive:,} alive" if len(found) else ""
        lines.border_title = heading(f"children{count}")
        lines.show(FewRows(snapshot, found, self.app.signs))
        if self._portrait is not None and self._portrait.sides.sides[0].model.id != model:
            self._portrait = None
        self._draw_portrait()
        question = partial(portrait_of, snapshot=snapshot, model=model)
        self.ask("portrait", question, self._take)

    def on_resize(self) -> None:
        """Draw what fits."""
        self.call_after_refresh(self._draw_portrait)

    def _take(self, portrait: "Portrait") -> None:
        if portrait.sides.sides[0].model.id == self.root:
            self._portrait = portrait
            self._draw_portrait()

    def _draw_portrait(self) -> None:
        snapshot, model, portrait = self.app.snapshot, self.root, self._portrait
        if snapshot is None or model is None or not snapshot.has(model):
            return
        from tui.app.drawing import detail_rows as told  # noqa: PLC0415 - see draw_root

        signs = self.app.signs
        head = text_of([told.head(snapshot, model, portrait, signs)], self.app.tones)
        self.query_one("#head", Static).update(head, layout=False)
        if portrait is None:
            return
        recipe, made, scores = (
            self.query_one(f"#{name}", Lines) for name in ("recipe", "made", "scores")
        )
        recipe.show(told.recipe(portrait, snapshot, signs))
        made.show(told.made_of(portrait, signs, made.content_size.width - GUTTER - 1))
        width = scores.content_size.width - GUTTER - 1
        scores.show(told.scores(portrait, signs, width))
        self.query_one(Plot).show(told.rating(portrait), nothing="never rated")

    def action_children(self) -> None:
        """Go to the list of children."""
        self.set_focus(self.query_one("#children", Lines))

    def action_parent(self, which: int) -> None:
        """Turn to the fitter parent, or to the other one."""
        snapshot, model = self.app.snapshot, self.root
        if snapshot is None or model is None:
            return
        from tui.app.data.kin import family_of  # noqa: PLC0415 - see draw_root

        parents = family_of(snapshot, [model]).parents(model)
        if which < len(parents):
            self.enter(parents[which])


def _pane(name: str, title: str) -> Lines:
    lines = Lines(id=name, nothing="none" if name == "children" else "asking the archive")
    lines.border_title = heading(title)
    lines.add_class("pane")
    return lines
