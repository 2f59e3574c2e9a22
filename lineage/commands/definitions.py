"""Submitting commands to a campaign, and listing them.

Any process may submit a command at any time, under a lease. The campaign looks for open commands
between two generations and carries each out or refuses it, in one transaction with all that it
changes (`lineage.commands.outcome`). A mating is carried out in the generation that breeds the
child, and its outcome is recorded as that is committed. So a process that is killed neither loses
a command nor carries it out twice.

A command that makes no sense is refused when it is submitted, as if all open ones were done by
then; and again before it is carried out, since the population has changed meanwhile
(`lineage.commands.validation`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import duckdb

from lineage.archive.archive import Archive
from lineage.archive.generation_writer import last_generation
from lineage.commands.validation import PAUSED, PINNED, CommandContext, command_context, refusal
from lineage.errors import CommandError
from lineage.records import Command, CommandKind

_COMMANDS = """
SELECT id, kind, models, argument, given_at, given, settled, outcome, answer
FROM orders WHERE (outcome IS NULL OR NOT $open) ORDER BY id
"""


@dataclass(frozen=True)
class CommandState:
    """All commands of a campaign, and the context that the next one is validated in.

    Attributes:
        commands: all that were ever submitted, oldest first.
        context: what the next command is validated against: as if all open ones were done.
    """

    commands: tuple[Command, ...]
    context: CommandContext

    @property
    def open(self) -> list[Command]:
        """Commands without an outcome, oldest first."""
        return [command for command in self.commands if command.outcome is None]


def submit(
    archive: Archive, kind: CommandKind, models: Sequence[int] = (), argument: str | None = None
) -> Command:
    """Record a command for a campaign.

    >>> submit(archive, "mate", [237, 333]).words
    'mate #237 with #333'
    >>> submit(archive, "budget", argument="500000").id
    2

    Args:
        archive: of the campaign; it need not be running.
        kind: what to do.
        models: ids of the models that it names: two to mate, one to pin, unpin or cull.
        argument: the checkpoint of a founder that is to be added (as `colony run` takes it; a path
            on this disk is stored as an absolute path), or the new budget.

    Returns:
        The command as it was recorded.

    Raises:
        CommandError: it makes no sense at present; nothing was written.
        ArchiveError: the archive cannot be written.
    """
    if kind not in get_args(CommandKind):
        raise CommandError(f"no command is {kind!r}; there are {', '.join(get_args(CommandKind))}")
    if kind == "add-founder" and argument and Path(argument).exists():
        argument = str(Path(argument).resolve())
    with archive.writing() as db:
        ((number, now),) = db.execute(
            "SELECT coalesce(max(id), 0) + 1, current_timestamp::TIMESTAMP FROM orders"
        ).fetchall()
        command = Command(number, kind, tuple(models), argument, now, last_generation(db))
        if reason := refusal(db, command, ahead=True):
            raise CommandError(reason)
        db.execute(
            "INSERT INTO orders (id, kind, models, argument, given_at, given) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [number, kind, list(command.models), argument, now, command.given],
        )
    return command


def all_commands(archive: Archive, *, only_open: bool = False) -> list[Command]:
    """All commands that were ever submitted, or those without an outcome, oldest first."""
    with archive.reading() as db:
        return _read_commands(db, only_open=only_open)


def command_state(db: duckdb.DuckDBPyConnection) -> CommandState:
    """All commands and the context for the next one.

    Args:
        db: a lease of the archive.
    """
    return CommandState(tuple(_read_commands(db)), command_context(db, ahead=True))


def pinned(archive: Archive) -> list[int]:
    """Ids of the models that keep their place whatever they score, ascending."""
    with archive.reading() as db:
        return [row[0] for row in db.execute(PINNED, {"ahead": False}).fetchall()]


def paused(archive: Archive) -> bool:
    """Whether the campaign is to wait between two generations."""
    with archive.reading() as db:
        return bool(db.execute(PAUSED, {"ahead": False}).fetchone() == ("pause",))


def _read_commands(db: duckdb.DuckDBPyConnection, *, only_open: bool = False) -> list[Command]:
    rows = db.execute(_COMMANDS, {"open": only_open}).fetchall()
    return [Command(number, kind, tuple(models), *rest) for number, kind, models, *rest in rows]
