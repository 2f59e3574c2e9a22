"""What is under way: open orders and an export, on a line of every page; and all orders."""

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

NAMED = 2
"""Open orders that the line names; of more it says how many."""


def settled_between(before: "CommandState | None", now: "CommandState") -> "list[Command]":
    """Orders that were settled in between; none where now it is another archive."""
    older = before.commands if before else ()
    same = [(o.id, o.given_at) for o in older] == [
        (o.id, o.given_at) for o in now.commands[: len(older)]
    ]
    if before is None or not same:
        return []
    settled_before = {order.id for order in older if order.outcome}
    return [order for order in now.commands if order.outcome and order.id not in settled_before]


def outcome_line(order: "Command") -> str:
    """What came of an order, in a line."""
    return f"command {order.id} ({order.words}) {order.outcome}: {order.answer}"


def pending_pieces(
    asked: "CommandState | None", export: "Export | None", *, runs: bool, signs: Signs
) -> list[Piece]:
    """What somebody waits for, as a line; empty if nobody does.

    Args:
        asked: of the campaign.
        export: that is running.
        runs: whether a campaign does.
        signs: what to draw with.
    """
    pieces: list[Piece] = []
    if export is not None:
        pieces += [
            Piece(f"export #{export.model}: {export.what} "),
            Piece(bar(export.part, 10, signs), "bar"),
            Piece(f" {export.part:.0%}   ", "strong"),
        ]
    if asked is None:
        return pieces
    if orders := asked.open:
        named = ", ".join(order.words for order in orders[:NAMED])
        more = f" and {len(orders) - NAMED} more" if len(orders) > NAMED else ""
        when = "heard between two generations" if runs else "waits for colony run"
        pieces += [
            Piece("asked: ", "dim"),
            Piece(named + more, "strong"),
            Piece(f"; {when}", "dim"),
        ]
    elif asked.context.paused:
        pieces += [Piece("paused", "warning"), Piece(" until it is told to resume", "dim")]
    return pieces


class PendingCommands(Static):
    """A line above the footer, that is there as long as something is under way."""

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
        """Show what is under way now."""
        app = self.app
        runs = app.heartbeat is not None and app.heartbeat.running
        pieces = pending_pieces(app.asked, app.exporting, runs=runs, signs=app.signs)
        self.display = bool(pieces)
        self.update(text_of([pieces], app.tones), layout=False)


class CommandsDialog(Dialog[None]):
    """Everything that was asked of the campaign, the newest first, as it comes about."""

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
            box.border_title = "orders"
            yield Static(id="orders", markup=False)

    def on_mount(self) -> None:
        """Show what is known already."""
        self.draw()

    def draw(self) -> None:
        """Show what was asked by now, and what came of it."""
        from tui.shared.control_tables import commands_table  # noqa: PLC0415 - few look at it

        asked = self.app.asked
        table = self.query_one("#orders", Static)
        if asked is not None and asked.commands:
            table.update(commands_table(asked.commands[::-1], ascii_only=self.app.settings.ascii))
        else:
            table.update(Text("nothing was asked of this campaign"))
