"""Pending commands and the export, on a line of every page; and a dialog with all commands."""

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from tui.app.widgets.dialogs import Dialog
from tui.shared.styling import Piece, Signs, bar, text_of

if TYPE_CHECKING:
    from lineage.commands.definitions import CommandState
    from lineage.records import Command
    from tui.app.app import ColonyApp
    from tui.app.exporting import Export

MOST_NAMED = 2
"""Open commands that the line names, at most; for more it says how many."""


def settled_between(before: "CommandState | None", now: "CommandState") -> "list[Command]":
    """Commands that were carried out or refused between two states; none for another archive."""
    older = before.commands if before else ()
    same = [(o.id, o.given_at) for o in older] == [
        (o.id, o.given_at) for o in now.commands[: len(older)]
    ]
    if before is None or not same:
        return []
    settled_before = {command.id for command in older if command.outcome}
    return [
        command for command in now.commands if command.outcome and command.id not in settled_before
    ]


def outcome_line(command: "Command") -> str:
    """The outcome of a command, in a line."""
    return f"command {command.id} ({command.words}) {command.outcome}: {command.answer}"


def pending_pieces(
    command_state: "CommandState | None", export: "Export | None", *, runs: bool, signs: Signs
) -> list[Piece]:
    """Open commands and a running export, as a line; empty if there are none.

    Args:
        command_state: commands given so far; None before the archive was read.
        export: that is running, if one is.
        runs: whether a campaign does.
        signs: to draw with.
    """
    pieces: list[Piece] = []
    if export is not None:
        pieces += [
            Piece(f"export #{export.model}: {export.what} "),
            Piece(bar(export.part, 10, signs), "bar"),
            Piece(f" {export.part:.0%}   ", "strong"),
        ]
    if command_state is None:
        return pieces
    if open_commands := command_state.open:
        named = ", ".join(command.words for command in open_commands[:MOST_NAMED])
        more = (
            f" and {len(open_commands) - MOST_NAMED} more"
            if len(open_commands) > MOST_NAMED
            else ""
        )
        when = "carried out between two generations" if runs else "waits for colony run"
        pieces += [
            Piece("asked: ", "dim"),
            Piece(named + more, "strong"),
            Piece(f"; {when}", "dim"),
        ]
    elif command_state.context.paused:
        pieces += [Piece("paused", "warning"), Piece(" until it is told to resume", "dim")]
    return pieces


class PendingCommands(Static):
    """A line above the footer, shown while a command or an export is pending."""

    DEFAULT_CSS = """
    PendingCommands {
        dock: bottom; margin-bottom: 1; height: 1; padding: 0 1; display: none;
        text-wrap: nowrap; text-overflow: ellipsis; background: $surface;
    }
    """

    app: "ColonyApp"

    def __init__(self) -> None:
        super().__init__(markup=False)

    def draw(self) -> None:
        """Show what is pending now."""
        app = self.app
        runs = app.heartbeat is not None and app.heartbeat.running
        pieces = pending_pieces(app.command_state, app.exporting, runs=runs, signs=app.signs)
        self.display = bool(pieces)
        self.update(text_of([pieces], app.tones), layout=False)


class CommandsDialog(Dialog[None]):
    """All commands given to the campaign, the newest first; updated as they are carried out."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,O,q", "dismiss", "Close", id="orders.close", key_display="esc")
    ]

    DEFAULT_CSS = """
    CommandsDialog { align: center middle; }
    CommandsDialog VerticalScroll {
        width: 100; max-width: 100%; height: auto; max-height: 90%;
        background: $surface; border: round $primary; border-title-color: $primary; padding: 0 1;
    }
    """

    app: "ColonyApp"

    def compose(self) -> ComposeResult:
        """One table."""
        with VerticalScroll(can_focus=True) as box:
            box.border_title = "commands"
            yield Static(id="commands", markup=False)

    def on_mount(self) -> None:
        """Show what is known already."""
        self.draw()

    def draw(self) -> None:
        """Show all commands and their outcomes."""
        from tui.shared.control_tables import commands_table  # noqa: PLC0415 - few look at it

        command_state = self.app.command_state
        table = self.query_one("#commands", Static)
        if command_state is not None and command_state.commands:
            table.update(
                commands_table(command_state.commands[::-1], ascii_only=self.app.settings.ascii)
            )
        else:
            table.update(Text("nothing was asked of this campaign"))
