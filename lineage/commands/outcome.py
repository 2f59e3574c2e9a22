"""Recording the outcome of commands together with what they changed, in one transaction.

Only the campaign does this, between two generations, so everything here happens after the last
complete generation, and a fork at that generation includes it.
"""

import json
from typing import Any

from lineage.archive.archive import Archive
from lineage.archive.generation_writer import last_generation, write_outcome, write_round
from lineage.archive.newcomers import NewFounder, add_founder
from lineage.commands.validation import CULLED, refusal
from lineage.records import Command, CommandOutcome, Round


def current_refusal(archive: Archive, command: Command) -> str | None:
    """Why an open command cannot be carried out now, or None."""
    with archive.reading() as db:
        return refusal(db, command)


def record_outcome(
    archive: Archive,
    outcome: CommandOutcome,
    *,
    culled: int | None = None,
    config: dict[str, Any] | None = None,
    new_founder: NewFounder | None = None,
    offline_round: Round | None = None,
) -> None:
    """Record the outcome of a command, and what it changed, in one transaction.

    Args:
        archive: where the command was submitted.
        outcome: of the command.
        culled: id of a model that becomes a fossil.
        config: the configuration, if the command changed it.
        new_founder: a founder, whose task vector becomes the last row of genomes.
        offline_round: an arena round on items of its own.

    Raises:
        ArchiveError: the archive cannot be written.
    """
    with archive.writing() as db:
        last = last_generation(db)
        write_outcome(db, outcome, last)
        if culled is not None:
            db.execute("UPDATE models SET died = ?, cause = ? WHERE id = ?", [last, CULLED, culled])
        if config is not None:
            db.execute("UPDATE campaigns SET config = ? WHERE id = 1", [json.dumps(config)])
        if new_founder is not None:
            add_founder(db, new_founder, last)
        if offline_round is not None:
            write_round(db, offline_round, last, None)
