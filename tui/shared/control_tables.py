"""What was asked of a campaign, and what came of it, as a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from lineage.escaping import escaped

if TYPE_CHECKING:
    from lineage.records import Command

_COLOURS = {"done": "green", "refused": "red"}


def orders_table(orders: "Sequence[Command]", *, ascii_only: bool = False) -> Table:
    """Orders in the order in which they are given here."""
    table = Table(box=box.ASCII if ascii_only else box.SIMPLE_HEAD)
    table.add_column("order", justify="right")
    table.add_column("what", overflow="fold")
    table.add_column("given")
    table.add_column("outcome")
    table.add_column("gen", justify="right")
    table.add_column("what came of it", overflow="fold")
    for order in orders:
        state = order.outcome or "open"
        table.add_row(
            str(order.id),
            Text(escaped(order.words)),
            f"{order.given_at:%m-%d %H:%M}",
            Text(state, _COLOURS.get(state, "yellow")),
            "" if order.settled is None else str(order.settled),
            Text(escaped(order.answer or "")),
        )
    return table
