"""The commands given to a campaign and their outcomes, as a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from lineage.escaping import escaped

if TYPE_CHECKING:
    from lineage.records import Command

_COLOURS = {"done": "green", "refused": "red"}


def commands_table(commands: "Sequence[Command]", *, ascii_only: bool = False) -> Table:
    """A table with a row for each command, in the order given.

    Args:
        commands: to show.
        ascii_only: draw the table with ASCII signs.
    """
    table = Table(box=box.ASCII if ascii_only else box.SIMPLE_HEAD)
    table.add_column("command", justify="right")
    table.add_column("what", overflow="fold")
    table.add_column("given")
    table.add_column("outcome")
    table.add_column("gen", justify="right")
    table.add_column("what came of it", overflow="fold")
    for command in commands:
        state = command.outcome or "open"
        table.add_row(
            str(command.id),
            Text(escaped(command.words)),
            f"{command.given_at:%m-%d %H:%M}",
            Text(state, _COLOURS.get(state, "yellow")),
            "" if command.settled is None else str(command.settled),
            Text(escaped(command.answer or "")),
        )
    return table
