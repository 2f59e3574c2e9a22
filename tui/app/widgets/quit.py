"""The dialog of quitting while the campaign of the app runs: stop it, or let it run on."""

from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Static

from tui.app.widgets.dialogs import Dialog

Choice = Literal["stop", "leave", "stay"]


class Quit(Dialog[Choice]):
    """Asks; escape stays."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "choose('stop')", "Stop", id="quit.stop"),
        Binding("l", "choose('leave')", "Leave", id="quit.leave"),
        Binding("escape,c,q", "choose('stay')", "Cancel", id="quit.cancel"),
        Binding("left", "app.focus_previous", "Before", id="quit.before", show=False),
        Binding("right", "app.focus_next", "After", id="quit.after", show=False),
    ]

    DEFAULT_CSS = """
    Quit { align: center middle; }
    Quit Vertical {
        width: 62; max-width: 100%; height: auto; padding: 1 2;
        background: $surface; border: round $primary; border-title-color: $primary;
    }
    Quit Horizontal { height: auto; align: center middle; margin-top: 1; }
    Quit Button { margin: 0 1; min-width: 14; }
    """

    def compose(self) -> ComposeResult:
        """The question and three answers."""
        with Vertical() as box:
            box.border_title = "the campaign is running"
            yield Static(
                "Stopped, it ends after the current model; everything committed stays, and "
                "colony run goes on from there. Left, it runs on by itself.",
                markup=False,
            )
            with Horizontal():
                yield Button("s  Stop it", variant="warning", id="stop", compact=True)
                yield Button("l  Leave it", variant="primary", id="leave", compact=True)
                yield Button("c  Cancel", id="stay", compact=True)

    def action_choose(self, choice: Choice) -> None:
        """Answer by a key."""
        self.dismiss(choice)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer by a button."""
        choices: dict[str | None, Choice] = {"stop": "stop", "leave": "leave"}
        self.dismiss(choices.get(event.button.id, "stay"))
