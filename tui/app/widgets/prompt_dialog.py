"""Asking: a line to type into, or a question to be sure of, before something is done."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Static

from lineage.escaping import escaped
from tui.app.widgets.dialogs import Dialog
from tui.shared.styling import heading

if TYPE_CHECKING:
    from tui.app.app import ColonyApp


class PromptDialog(Dialog[None]):
    """Asks, and stays until it is told that what was typed will do; escape leaves.

    Args:
        title: what is to be done.
        words: what will come of it.
        example: of what is to be typed; without one there is only a yes or a no.
        value: what stands there already.
        take: gets what was typed, and this screen, for `refuse` or `dismiss`.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave", id="ask.leave"),
        Binding("y", "go", "Yes", id="ask.yes"),
        Binding("n", "leave", "No", id="ask.no"),
        Binding("left", "app.focus_previous", "Before", id="ask.before", show=False),
        Binding("right", "app.focus_next", "After", id="ask.after", show=False),
    ]

    DEFAULT_CSS = """
    PromptDialog { align: center middle; }
    PromptDialog Vertical {
        width: 66; max-width: 100%; height: auto; padding: 1 2;
        background: $surface; border: round $primary; border-title-color: $primary;
    }
    PromptDialog Input { height: 1; border: none; margin-top: 1; background: $panel; }
    PromptDialog Input:focus { border: none; }
    PromptDialog #reason { height: auto; margin-top: 1; color: $error; display: none; }
    PromptDialog Horizontal { height: auto; align: center middle; margin-top: 1; }
    PromptDialog Button { margin: 0 1; min-width: 14; }
    """

    app: "ColonyApp"

    def __init__(
        self,
        title: str,
        words: str,
        take: "Callable[[str, PromptDialog], None]",
        example: str = "",
        value: str = "",
    ) -> None:
        super().__init__()
        self._title, self._words, self._take = title, words, take
        self._example, self._value = example, value
        self._waits = False

    def compose(self) -> ComposeResult:
        """What it is about, the line, why not, and two answers."""
        with Vertical() as box:
            box.border_title = heading(self._title)
            yield Static(escaped(self._words), markup=False)
            if self._example:
                yield Input(self._value, self._example)
            yield Static(id="reason", markup=False)
            with Horizontal():
                # What cannot be taken back is not what enter does by itself.
                yes, no = ("enter", "esc") if self._example else ("y", "n")
                yield Button(f"{yes}  Do it", variant="warning", id="go", compact=True)
                yield Button(f"{no}  Cancel", id="leave", compact=True)

    def on_mount(self) -> None:
        """Begin where one types, or on what does nothing."""
        self.query_one("Input" if self._example else "#leave").focus()

    def refuse(self, reason: str) -> None:
        """Say why it cannot be done; what was typed stays."""
        self._waits = False
        self._say(reason)

    def action_go(self) -> None:
        """Hand on what was typed, unless the last is still waited for."""
        if self._waits:
            return
        self._waits = True
        self._say("")
        self._take(self.query_one(Input).value.strip() if self._example else "", self)
        if self._waits and self.is_current:
            self._say("a moment ...")

    def action_leave(self) -> None:
        """Do nothing; what was handed on already takes its course, and is told."""
        self.dismiss()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter does it."""
        event.stop()
        self.action_go()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer by a button."""
        if event.button.id == "go":
            self.action_go()
        else:
            self.action_leave()

    def _say(self, words: str) -> None:
        reason = self.query_one("#reason", Static)
        reason.display = bool(words)
        reason.update(escaped(words, keep="\n"))
