"""Settling orders: what is done, and that it was done, in one transaction.

The campaign alone does this, between two generations, so everything here happens after the last
complete generation, and a fork at that generation has it.
"""

import json
from dataclasses import dataclass
from typing import Any

import duckdb

from lineage.archive.archive import Archive
from lineage.archive.creation import insert_founder
from lineage.archive.generation_writer import (
    insert_scores,
    last_generation,
    write_round,
    write_settled,
)
from lineage.commands.validation import CULLED, refusal
from lineage.records import Command, CommandOutcome, Founder, Round, Scores


@dataclass(frozen=True)
class Joining:
    """A founder that joins.

    Attributes:
        founder: its checkpoint and hash.
        scores: on the panel that the living are compared on, under its new id.
        evaluations: what that took; the last generation bears it.
    """

    founder: Founder
    scores: Scores
    evaluations: int


def refused(archive: Archive, order: Command) -> str | None:
    """Why an open order cannot be carried out now, or None."""
    with archive.reading() as db:
        return refusal(db, order)


def settle(
    archive: Archive,
    settled: CommandOutcome,
    *,
    culled: int | None = None,
    config: dict[str, Any] | None = None,
    joining: Joining | None = None,
    played: Round | None = None,
) -> None:
    """Write down what came of an order, and what it changed.

    Args:
        archive: where it was given.
        settled: what came of it.
        culled: id of a model that becomes a fossil.
        config: the configuration, if it is another one now.
        joining: a founder, whose task vector becomes the last row of genomes.
        played: a tournament.
    """
    with archive.writing() as db:
        last = last_generation(db)
        write_settled(db, settled, last)
        if culled is not None:
            db.execute("UPDATE models SET died = ?, cause = ? WHERE id = ?", [last, CULLED, culled])
        if config is not None:
            db.execute("UPDATE campaigns SET config = ? WHERE id = 1", [json.dumps(config)])
        if joining is not None:
            _join(db, joining, last)
        if played is not None:
            write_round(db, played, last, None)


def _join(db: duckdb.DuckDBPyConnection, joining: Joining, last: int) -> None:
    (model,) = joining.scores.models
    insert_founder(db, model, joining.founder, last)
    db.execute("INSERT INTO basis SELECT max(position) + 1, ? FROM basis", [model])
    insert_scores(db, joining.scores)
    db.execute(
        "UPDATE generations SET evaluations = evaluations + ? WHERE generation = ?",
        [joining.evaluations, last],
    )
