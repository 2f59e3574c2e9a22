"""Founders that come when a campaign has begun."""

from dataclasses import dataclass

import duckdb

from lineage.archive.creation import insert_founder
from lineage.archive.generation_writer import insert_scores
from lineage.records import Founder, Scores


@dataclass(frozen=True)
class NewFounder:
    """A founder that joins a campaign in the middle.

    Attributes:
        founder: its checkpoint and hash.
        scores: of this one model on the present panel, under its new id.
        evaluations: item evaluations that scoring took; they are added to the last generation.
    """

    founder: Founder
    scores: Scores
    evaluations: int


def add_founder(
    db: duckdb.DuckDBPyConnection, new_founder: NewFounder, last: int, operator: str = "founding"
) -> None:
    """Write a founder whose task vector becomes the last row of genomes.

    Args:
        db: a lease for writing.
        new_founder: with its scores.
        last: the last generation that is complete.
        operator: how it came to be.
    """
    (model,) = new_founder.scores.models
    insert_founder(db, model, new_founder.founder, last, operator)
    db.execute("INSERT INTO basis SELECT max(position) + 1, ? FROM basis", [model])
    insert_scores(db, new_founder.scores)
    db.execute(
        "UPDATE generations SET evaluations = evaluations + ? WHERE generation = ?",
        [new_founder.evaluations, last],
    )
