"""The dialog before an action: a line to type into, or a confirmation."""

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
    """Asks, and stays until what was typed is accepted; escape closes it.

    Args:
        title: the action.
        explanation: what it will do.
        take: gets what was typed, and this dialog, for `refuse` or `dismiss`.
        example: of what is to be typed; without one there is only yes or no.
        value: text to start with.
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
        explanation: str,
        take: "Callable[[str, PromptDialog], None]",
        example: str = "",
        value: str = "",
    ) -> None:
        super().__init__()
        self._title, self._explanation, self._take = title, explanation, take
        self._example, self._value = example, value
        self._pending = False

    def compose(self) -> ComposeResult:
        """The explanation, the line, the reason of a refusal, and two buttons."""
        with Vertical() as box:
            box.border_title = heading(self._title)
            yield Static(escaped(self._explanation), markup=False)
            if self._example:
                yield Input(self._value, self._example)
            yield Static(id="reason", markup=False)
            with Horizontal():
                # Enter alone does not confirm what cannot be undone.
                yes, no = ("enter", "esc") if self._example else ("y", "n")
                yield Button(f"{yes}  Do it", variant="warning", id="go", compact=True)
                yield Button(f"{no}  Cancel", id="leave", compact=True)

    def on_mount(self) -> None:
        """Focus the line, or the button that does nothing."""
        self.query_one("Input" if self._example else "#leave").focus()

    def refuse(self, reason: str) -> None:
        """Show why it cannot be done; what was typed stays."""
        self._pending = False
        self._show_reason(reason)

    def action_go(self) -> None:
        """Submit what was typed, unless an earlier submission is pending."""
        if self._pending:
            return
        self._pending = True
        self._show_reason("")
        self._take(self.query_one(Input).value.strip() if self._example else "", self)
        if self._pending and self.is_current:
            self._show_reason("a moment ...")

    def action_leave(self) -> None:
        """Close the dialog; what was submitted already is still carried out."""
        self.dismiss()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Submit on enter."""
        event.stop()
        self.action_go()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer by a button."""
        if event.button.id == "go":
            self.action_go()
        else:
            self.action_leave()

    def _show_reason(self, reason_text: str) -> None:
        reason = self.query_one("#reason", Static)
        reason.display = bool(reason_text)
        reason.update(escaped(reason_text, keep="\n"))
