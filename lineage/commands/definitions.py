"""Orders: what whoever watches asks of a campaign, and what came of it.

Anybody may give an order at any time, under a lease. The campaign looks for open ones between two
generations and carries each out or refuses it, in one transaction with all that it changes
(`lineage.commands.outcome`); a mating is carried out in the generation that breeds the child, and
settled as that is committed. So a process that is killed neither loses an order nor obeys it twice.

What makes no sense is refused when it is given, as if all that is still open were done by then; and
again when its turn comes, since the colony has gone on meanwhile (`lineage.commands.validation`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import duckdb

from lineage.archive.archive import Archive
from lineage.archive.generation_writer import last_generation
from lineage.commands.validation import PAUSED, PINNED, Affairs, affairs, refusal
from lineage.errors import CommandError
from lineage.records import Command, OrderKind

_ORDERS = """
SELECT id, kind, models, argument, given_at, given, settled, outcome, answer
FROM orders WHERE (outcome IS NULL OR NOT $open) ORDER BY id
"""


@dataclass(frozen=True)
class CommandRequest:
    """What was asked of a campaign, and how things stand for whoever wants to ask more.

    Attributes:
        orders: all that were ever given, oldest first.
        affairs: what another one is held against: as if all that is open were done.
    """

    orders: tuple[Command, ...]
    affairs: Affairs

    @property
    def open(self) -> list[Command]:
        """Those that are not settled."""
        return [order for order in self.orders if order.outcome is None]


def give(
    archive: Archive, kind: OrderKind, models: Sequence[int] = (), argument: str | None = None
) -> Command:
    """Give an order.

    >>> give(archive, "mate", [237, 333]).words
    'mate #237 with #333'
    >>> give(archive, "budget", argument="500000").id
    2

    Args:
        archive: of the campaign; it need not be running.
        kind: what to do.
        models: ids of whom it names: two to mate, one to pin, unpin or cull.
        argument: where a founder lies that is to be added (as `colony run` takes it; what is on
            this disk is written down as an absolute path), or the new budget.

    Raises:
        OrderError: it makes no sense as things stand; nothing was written.
        ArchiveError: the archive cannot be written.
    """
    if kind not in get_args(OrderKind):
        raise CommandError(f"no order is {kind!r}; there are {', '.join(get_args(OrderKind))}")
    if kind == "add-founder" and argument and Path(argument).exists():
        argument = str(Path(argument).resolve())
    with archive.writing() as db:
        ((number, now),) = db.execute(
            "SELECT coalesce(max(id), 0) + 1, current_timestamp::TIMESTAMP FROM orders"
        ).fetchall()
        order = Command(number, kind, tuple(models), argument, now, last_generation(db))
        if reason := refusal(db, order, ahead=True):
            raise CommandError(reason)
        db.execute(
            "INSERT INTO orders (id, kind, models, argument, given_at, given) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [number, kind, list(order.models), argument, now, order.given],
        )
    return order


def orders(archive: Archive, *, only_open: bool = False) -> list[Command]:
    """All orders that were ever given, or those that are not settled, oldest first."""
    with archive.reading() as db:
        return _given(db, only_open=only_open)


def asked(db: duckdb.DuckDBPyConnection) -> CommandRequest:
    """What was asked so far, under a lease."""
    return CommandRequest(tuple(_given(db)), affairs(db, ahead=True))


def pinned(archive: Archive) -> list[int]:
    """Ids of those who keep their place whatever they score, ascending."""
    with archive.reading() as db:
        return [row[0] for row in db.execute(PINNED, {"ahead": False}).fetchall()]


def paused(archive: Archive) -> bool:
    """Whether the campaign is to wait between two generations."""
    with archive.reading() as db:
        return bool(db.execute(PAUSED, {"ahead": False}).fetchone() == ("pause",))


def _given(db: duckdb.DuckDBPyConnection, *, only_open: bool = False) -> list[Command]:
    rows = db.execute(_ORDERS, {"open": only_open}).fetchall()
    return [Command(number, kind, tuple(models), *rest) for number, kind, models, *rest in rows]
