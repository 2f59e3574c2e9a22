"""What is above and below every page: the top bar and the prompt."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input, Static

from tui.app.data.page_registry import PAGES
from tui.shared.styling import Piece, text_of

if TYPE_CHECKING:
    from tui.app.app import ColonyApp


class TopBar(Horizontal):
    """All pages with the one that is shown, and on the right the focus and the mark."""

    DEFAULT_CSS = """
    TopBar { dock: top; height: 1; background: $panel; }
    TopBar Static { text-wrap: nowrap; width: 1fr; }
    TopBar #trail { width: 32; text-align: right; padding-right: 1; }
    TopBar.-narrow #trail { width: 20; }
    """

    app: "ColonyApp"

    def compose(self) -> ComposeResult:
        """The tabs, which hardly ever change, and the focus."""
        yield Static(id="tabs", markup=False)
        yield Static(id="trail", markup=False)

    def draw_tabs(self) -> None:
        """Show the tabs of all pages, and whether a campaign runs."""
        app, signs = self.app, self.app.signs
        beats = app.heartbeat is not None and app.heartbeat.running
        text = text_of(
            [[Piece(f" {signs.running if beats else signs.at_rest} ", "best" if beats else "dim")]],
            app.tones,
        )
        for page in PAGES:
            if page.key:
                here = page.name == app.current_mode
                style = app.tones["here" if here else "plain"]
                link = Style.from_meta({"@click": f"app.page({page.name!r})"})
                text.append(f" {page.key} {page.title} ", style + link)
        self.query_one("#tabs", Static).update(text, layout=False)

    def draw_trail(self) -> None:
        """Show the last model of the history, and the marked one.

        The model under the cursor is not shown here: painting a second place at every key press
        takes as long as the first.
        """
        focus, snapshot, signs = self.app.focused_on, self.app.snapshot, self.app.signs
        pieces = []
        if focus.mark is not None:
            pieces.append(Piece(f"{signs.mark} #{focus.mark}  ", "accent"))
        if focus.trail and snapshot is not None:
            model = focus.trail[focus.place]
            pieces += [*model_sign(self.app, model), Piece(snapshot.name(model))]
        text = text_of([pieces], self.app.tones)
        self.query_one("#trail", Static).update(text, layout=False)


def model_sign(app: "ColonyApp", model: int) -> list[Piece]:
    """What a model is, as one sign: champion, founder, living or fossil."""
    snapshot = app.snapshot
    assert snapshot is not None
    return [Piece(snapshot.sign(model, app.signs) + " ", snapshot.tone(model))]


class PromptLine(Input):
    """A line to type into; hidden until it is opened."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Leave", id="prompt.close", show=False)
    ]

    DEFAULT_CSS = """
    PromptLine { dock: bottom; height: 1; border: none; display: none; padding: 0 1; }
    PromptLine:focus { border: none; }
    """

    app: "ColonyApp"

    def __init__(self) -> None:
        super().__init__(select_on_focus=True)
        self.can_focus = False
        self._take: Callable[[str], None] | None = None
        self._before: Widget | None = None

    def open(self, what: str, take: Callable[[str], None], value: str = "") -> None:
        """Show the line and focus it.

        Args:
            what: the placeholder.
            take: gets what was typed.
            value: text to start with.
        """
        self._take, self._before = take, self.screen.focused
        self.placeholder = what
        self.value = value
        self.display = True
        self.can_focus = True
        self.focus()

    def action_close(self) -> None:
        """Hide the line."""
        self.display = False
        self.can_focus = False
        self.screen.set_focus(self._before)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Pass on what was typed."""
        event.stop()
        self.action_close()
        if self._take is not None:
            self._take(event.value)
