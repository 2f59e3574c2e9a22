"""How a generation is written: whole arrays at once, inside somebody else's transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from typing import Any

import duckdb
import numpy as np

from lineage.cleanup import afterwards
from lineage.errors import ArchiveError
from lineage.records import Birth, CommandOutcome, Death, GenerationRecord, Item, Round, Scores
from lineage.storage.schema import ROUND_TABLES

FOUNDING = "founding"
"""The fact that tells of generation 0 while it is being made, see `lineage.archive.unfinished`."""


def last_generation(db: duckdb.DuckDBPyConnection) -> int:
    """The last complete generation; -1 before the first."""
    ((last,),) = db.execute("SELECT coalesce(max(generation), -1) FROM generations").fetchall()
    return int(last)


def write_chapter(db: duckdb.DuckDBPyConnection, chapter: GenerationRecord) -> None:
    """Write everything that a generation adds."""
    summary = chapter.summary
    insert_births(db, chapter.births, summary.generation)
    write_deaths(db, chapter.deaths, summary.generation)
    insert_items(db, chapter.items)
    _insert_panel(db, chapter)
    for scores in chapter.scores:
        insert_scores(db, scores)
    if chapter.round:
        write_round(db, chapter.round, summary.generation, summary.epoch)
    _insert_records(db, "juries", summary.epoch, chapter.jury)
    for event in chapter.events:
        db.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?)",
            [summary.generation, event.kind, event.model, event.detail],
        )
    for settled in chapter.settled:
        write_settled(db, settled, summary.generation)
    if chapter.search:
        values = [
            value.tolist() if isinstance(value, np.ndarray) else value
            for value in (getattr(chapter.search, part.name) for part in fields(chapter.search))
        ]
        _insert_row(db, "searches", [summary.generation, *values])
    _insert_records(db, "operators", summary.generation, chapter.operators)
    _insert_row(db, "generations", list(astuple(summary)))
    if summary.generation == 0:
        db.execute("DELETE FROM meta WHERE key = ?", [FOUNDING])


def write_settled(db: duckdb.DuckDBPyConnection, settled: CommandOutcome, generation: int) -> None:
    """Write down what came of an order; it is an event as well."""
    order, outcome, answer = settled.order, settled.outcome, settled.answer
    db.execute(
        "UPDATE orders SET settled = ?, outcome = ?, answer = ? WHERE id = ?",
        [generation, outcome, answer, order.id],
    )
    detail = f"order {order.id} ({order.words}) {outcome}: {answer}"
    db.execute(
        "INSERT INTO events VALUES (?, 'intervention', ?, ?)", [generation, settled.model, detail]
    )


def _insert_row(db: duckdb.DuckDBPyConnection, table: str, values: Sequence[Any]) -> None:
    places = ", ".join("?" * len(values))
    db.execute(f"INSERT INTO {table} VALUES ({places})", list(values))  # noqa: S608


def insert(db: duckdb.DuckDBPyConnection, statement: str, **columns: Any) -> None:
    """Run an insert that selects from `columns`: whole arrays at once, a row at a time is slow."""
    db.register("columns", columns)
    with afterwards(lambda: db.unregister("columns")):
        db.execute(statement)


def texts(values: Iterable[str | None]) -> np.ndarray[Any, np.dtype[np.object_]]:
    """Texts as a column for `insert`."""
    return np.array(list(values), dtype=object)


def insert_births(db: duckdb.DuckDBPyConnection, births: Sequence[Birth], generation: int) -> None:
    """Write births of a generation.

    They are numbered without gaps, so whoever has a smaller number is there to be a parent.

    Raises:
        ArchiveError: these are not the next numbers.
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
            unnest($operators) AS operator, unnest($hashes) AS weights_sha256,
            unnest($parents) AS parents, unnest($shares) AS shares, unnest($roles) AS roles,
            unnest($methods) AS method, unnest($genomes) AS genome
        """,
        {
            "ids": [birth.id for birth in births],
            "generation": generation,
            "operators": [birth.operator for birth in births],
            "hashes": [birth.weights_sha256 for birth in births],
            "parents": [[parent.id for parent in birth.parents] for birth in births],
            "shares": [[parent.share for parent in birth.parents] for birth in births],
            "roles": [[parent.role for parent in birth.parents] for birth in births],
            "methods": [birth.method for birth in births],
            "genomes": [birth.genome.ravel().tolist() for birth in births],
        },
    )


def write_deaths(db: duckdb.DuckDBPyConnection, deaths: Sequence[Death], generation: int) -> None:
    """Write who died in a generation, and of what."""
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
            "INSERT OR IGNORE INTO items SELECT i, t, s, p, k, f FROM columns",
            i=texts(item.id for item in items),
            t=texts(item.task for item in items),
            s=texts(item.split for item in items),
            p=texts(item.prompt for item in items),
            k=texts(item.key for item in items),
            f=texts(item.statement for item in items),
        )


def _insert_panel(db: duckdb.DuckDBPyConnection, chapter: GenerationRecord) -> None:
    if chapter.panel:
        insert(
            db,
            "INSERT INTO panels SELECT e, n, i FROM columns",
            e=np.full(len(chapter.panel), chapter.summary.epoch),
            n=np.arange(len(chapter.panel)),
            i=texts(chapter.panel),
        )


def insert_scores(db: duckdb.DuckDBPyConnection, scores: Scores) -> None:
    """Write what was measured of models on items that the archive has."""
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
    db: duckdb.DuckDBPyConnection, played: Round, generation: int, epoch: int | None
) -> int:
    """Write a round of the arena, and return its number.

    Args:
        db: within somebody else's transaction.
        played: what was played.
        generation: after which.
        epoch: whose panel it was played on; None for a tournament on other items, which nobody
            has counted yet: the generation bears what it took.
    """
    ((number,),) = db.execute("SELECT coalesce(max(round), 0) + 1 FROM rounds").fetchall()
    _insert_row(db, "rounds", [number, generation, epoch, played.predicted, played.tokens])
    if epoch is None:
        db.execute(
            "UPDATE generations SET evaluations = evaluations + ? WHERE generation = ?",
            [played.evaluations, generation],
        )
    insert_items(db, played.items)
    for table, records in zip(
        ROUND_TABLES,
        (
            played.asked,
            played.answers,
            played.canaries,
            played.readings,
            played.comparisons,
            played.verdicts,
            played.trust,
            played.audits,
            played.ratings,
        ),
        strict=True,
    ):
        _insert_records(db, table, number, records)
    return int(number)


def _insert_records(
    db: duckdb.DuckDBPyConnection, table: str, when: int, records: Sequence[Any]
) -> None:
    """Insert records whose fields are the table's columns, in order, after one that says when."""
    if not records:
        return
    columns: dict[str, Any] = {"moment": np.full(len(records), when)}
    for field in fields(records[0]):
        values = [getattr(record, field.name) for record in records]
        columns[field.name] = _column(values)
    insert(db, f"INSERT INTO {table} SELECT {', '.join(columns)} FROM columns", **columns)  # noqa: S608


def _column(values: list[Any]) -> np.ndarray[Any, Any]:
    """Values as a column; numbers of which some are missing are objects, so that None is NULL."""
    plain = isinstance(values[0], int | float) and None not in values
    return np.array(values) if plain else np.array(values, dtype=object)
