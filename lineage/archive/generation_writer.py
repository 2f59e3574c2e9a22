"""Writing a generation: whole arrays at once, inside the caller's transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from typing import Any

import duckdb
import numpy as np

from lineage.cleanup import afterwards
from lineage.errors import ArchiveError
from lineage.records import (
    Birth,
    CommandOutcome,
    Death,
    GenerationRecord,
    Item,
    MatchOutcome,
    Round,
    Scores,
)

FOUNDING = "founding"
"""Key in `meta` while generation 0 is being made, see `lineage.archive.unfinished`."""


def last_generation(db: duckdb.DuckDBPyConnection) -> int:
    """The number of the last complete generation; -1 before the first."""
    ((last,),) = db.execute("SELECT coalesce(max(generation), -1) FROM generations").fetchall()
    return int(last)


def write_generation(db: duckdb.DuckDBPyConnection, record: GenerationRecord) -> None:
    """Write everything that a generation adds.

    Args:
        db: a lease for writing.
        record: of the generation.

    Raises:
        ArchiveError: its births are not numbered on from the newest model.
    """
    summary = record.summary
    insert_births(db, record.births, summary.generation)
    if record.champion_sha256:
        write_sha256(db, summary.champion, record.champion_sha256)
    write_deaths(db, record.deaths, summary.generation)
    insert_items(db, record.items)
    _insert_panel(db, record)
    for scores in record.scores:
        insert_scores(db, scores)
    if record.round:
        write_round(db, record.round, summary.generation, summary.epoch)
    _insert_records(db, "juries", summary.epoch, record.jury)
    _insert_records(db, "labels", summary.epoch, record.labels)
    for event in record.events:
        db.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?)",
            [summary.generation, event.kind, event.model, event.detail],
        )
    for outcome in record.command_outcomes:
        write_outcome(db, outcome, summary.generation)
    if record.search:
        values = [
            value.tolist() if isinstance(value, np.ndarray) else value
            for value in (getattr(record.search, part.name) for part in fields(record.search))
        ]
        _insert_row(db, "searches", [summary.generation, *values])
    _insert_records(db, "operators", summary.generation, record.operators)
    _insert_row(db, "generations", list(astuple(summary)))
    if summary.generation == 0:
        db.execute("DELETE FROM meta WHERE key = ?", [FOUNDING])


def write_outcome(db: duckdb.DuckDBPyConnection, outcome: CommandOutcome, generation: int) -> None:
    """Write the outcome of a command, in its row and as an event.

    Args:
        db: a lease for writing.
        outcome: of the command.
        generation: after which (a mating: in which) it was carried out or refused.
    """
    command = outcome.command
    db.execute(
        "UPDATE orders SET settled = ?, outcome = ?, answer = ? WHERE id = ?",
        [generation, outcome.outcome, outcome.answer, command.id],
    )
    detail = f"command {command.id} ({command.words}) {outcome.outcome}: {outcome.answer}"
    db.execute(
        "INSERT INTO events VALUES (?, 'intervention', ?, ?)", [generation, outcome.model, detail]
    )


def _insert_row(db: duckdb.DuckDBPyConnection, table: str, values: Sequence[Any]) -> None:
    places = ", ".join("?" * len(values))
    db.execute(f"INSERT INTO {table} VALUES ({places})", list(values))  # noqa: S608


def insert(db: duckdb.DuckDBPyConnection, statement: str, **columns: Any) -> None:
    """Run an insert statement that selects from `columns`; row by row would be slow.

    Args:
        db: a lease for writing.
        statement: `INSERT INTO ... SELECT ... FROM columns`.
        columns: arrays of one length, by name.
    """
    db.register("columns", columns)
    with afterwards(lambda: db.unregister("columns")):
        db.execute(statement)


def texts(values: Iterable[str | None]) -> np.ndarray[Any, np.dtype[np.object_]]:
    """Texts as a column for `insert`: objects of shape (texts,), so that None becomes NULL."""
    return np.array(list(values), dtype=object)


def insert_births(db: duckdb.DuckDBPyConnection, births: Sequence[Birth], generation: int) -> None:
    """Write births of a generation.

    Ids have no gaps, so every model with a smaller id exists and may be a parent.

    Args:
        db: a lease for writing.
        births: numbered on from the newest model.
        generation: of birth.

    Raises:
        ArchiveError: the ids are not the next ones.
    """
    if not births:
        return
    ((newest,),) = db.execute("SELECT coalesce(max(id), 0) FROM models").fetchall()
    if [birth.id for birth in births] != list(range(newest + 1, newest + 1 + len(births))):
        raise ArchiveError(
            f"the next births are numbered from {newest + 1}; "
            f"got {births[0].id} to {births[-1].id}, or not in order"
        )
    db.execute(
        """
        INSERT INTO models BY NAME SELECT
            unnest($ids) AS id, 'offspring' AS kind, $generation AS generation,
            unnest($operators) AS operator, unnest($fingerprints::VARCHAR[]) AS fingerprint,
            unnest($hashes::VARCHAR[]) AS weights_sha256,
            unnest($parents) AS parents, unnest($shares) AS shares, unnest($roles) AS roles,
            unnest($methods) AS method, unnest($genomes) AS genome
        """,
        {
            "ids": [birth.id for birth in births],
            "generation": generation,
            "operators": [birth.operator for birth in births],
            "fingerprints": [birth.fingerprint for birth in births],
            "hashes": [birth.weights_sha256 for birth in births],
            "parents": [[parent.id for parent in birth.parents] for birth in births],
            "shares": [[parent.share for parent in birth.parents] for birth in births],
            "roles": [[parent.role for parent in birth.parents] for birth in births],
            "methods": [birth.method for birth in births],
            "genomes": [birth.genome.ravel().tolist() for birth in births],
        },
    )


def write_sha256(db: duckdb.DuckDBPyConnection, model: int, sha256: str) -> None:
    """Write the SHA-256 of a model's weights; one that is there already stays."""
    db.execute(
        "UPDATE models SET weights_sha256 = ? WHERE id = ? AND weights_sha256 IS NULL",
        [sha256, model],
    )


def write_deaths(db: duckdb.DuckDBPyConnection, deaths: Sequence[Death], generation: int) -> None:
    """Write the deaths of a generation, with their causes."""
    if deaths:
        db.execute(
            "UPDATE models SET died = $generation, cause = dead.cause "
            "FROM (SELECT unnest($ids) AS id, unnest($causes) AS cause) AS dead "
            "WHERE models.id = dead.id",
            {
                "generation": generation,
                "ids": [death.id for death in deaths],
                "causes": [death.cause for death in deaths],
            },
        )


def insert_items(db: duckdb.DuckDBPyConnection, items: Sequence[Item]) -> None:
    """Write items, unless they are there already."""
    if items:
        insert(
            db,
            "INSERT OR IGNORE INTO items SELECT i, t, s, p, k, f, d FROM columns",
            i=texts(item.id for item in items),
            t=texts(item.task for item in items),
            s=texts(item.split for item in items),
            p=texts(item.prompt for item in items),
            k=texts(item.key for item in items),
            f=texts(item.statement for item in items),
            d=texts(item.details for item in items),
        )


def _insert_panel(db: duckdb.DuckDBPyConnection, record: GenerationRecord) -> None:
    if record.panel:
        insert(
            db,
            "INSERT INTO panels SELECT e, n, i FROM columns",
            e=np.full(len(record.panel), record.summary.epoch),
            n=np.arange(len(record.panel)),
            i=texts(record.panel),
        )


def insert_scores(db: duckdb.DuckDBPyConnection, scores: Scores) -> None:
    """Write scores of models on items that the archive has."""
    if not scores.models:
        return
    insert(
        db,
        "INSERT INTO scores SELECT m, i, e, p FROM columns",
        m=np.repeat(np.array(scores.models), len(scores.items)),
        i=texts(scores.items * len(scores.models)),
        e=scores.exact.ravel(),
        p=scores.probability.ravel(),
    )


def write_round(
    db: duckdb.DuckDBPyConnection, record: Round, generation: int, epoch: int | None
) -> int:
    """Write a round of the arena.

    Args:
        db: a lease for writing.
        record: of the round.
        generation: after which it was played.
        epoch: of the panel it was played on; None for an offline round on other items, whose
            evaluations are added to those of the generation.

    Returns:
        The number of the round.
    """
    ((number,),) = db.execute("SELECT coalesce(max(round), 0) + 1 FROM rounds").fetchall()
    _insert_row(
        db,
        "rounds",
        [number, generation, epoch, record.predicted, record.tokens, record.verifier],
    )
    if epoch is None:
        db.execute(
            "UPDATE generations SET evaluations = evaluations + ?, tokens = tokens + ? "
            "WHERE generation = ?",
            [record.evaluations, record.tokens, generation],
        )
    insert_items(db, record.items)
    added: dict[str, Sequence[Any]] = {
        "round_items": record.asked,
        "answers": record.answers,
        "canaries": record.canaries,
        "readings": record.readings,
        "comparisons": record.comparisons,
        "votes": record.votes,
        "verdicts": record.verdicts,
        "trust": record.trust,
        "audits": record.audits,
        "ratings": record.ratings,
    }
    for table, records in added.items():
        _insert_records(db, table, number, records)
    if record.verdicts:
        _insert_outcomes(db, number, record.matches)
    return int(number)


def _insert_outcomes(
    db: duckdb.DuckDBPyConnection, number: int, matches: Sequence[MatchOutcome]
) -> None:
    """Keep the outcomes that the view `matches` would have otherwise."""
    insert(
        db,
        f"""
        INSERT INTO outcomes
        SELECT {number}, m.item, m.model_a, m.model_b, columns.outcome
        FROM (FROM matches WHERE round = {number}) m LEFT JOIN columns
        ON columns.item = m.item AND columns.a = m.model_a AND columns.b = m.model_b
        WHERE m.outcome IS DISTINCT FROM columns.outcome ORDER BY ALL
        """,  # noqa: S608
        item=texts(match.item for match in matches),
        a=np.array([match.a for match in matches], dtype=np.int32),
        b=np.array([match.b for match in matches], dtype=np.int32),
        outcome=np.array([match.outcome for match in matches], dtype=np.int8),
    )


def _insert_records(
    db: duckdb.DuckDBPyConnection, table: str, number: int, records: Sequence[Any]
) -> None:
    """Insert records whose fields are the table's columns, in order, after the first one.

    The first column is `number` for all: a generation, an epoch or a round.
    """
    if not records:
        return
    columns: dict[str, Any] = {"number": np.full(len(records), number)}
    for field in fields(records[0]):
        values = [getattr(record, field.name) for record in records]
        columns[field.name] = _column(values)
    insert(db, f"INSERT INTO {table} SELECT {', '.join(columns)} FROM columns", **columns)  # noqa: S608


def _column(values: list[Any]) -> np.ndarray[Any, Any]:
    """Values as a column; numbers of which some are missing are objects, so that None is NULL."""
    plain = isinstance(values[0], int | float) and None not in values
    return np.array(values) if plain else np.array(values, dtype=object)
