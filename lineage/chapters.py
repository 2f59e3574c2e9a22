"""How a generation is written: whole arrays at once, inside somebody else's transaction."""

from collections.abc import Iterable
from dataclasses import astuple
from typing import Any

import duckdb
import numpy as np

from lineage.records import Chapter, Scores


def write_chapter(db: duckdb.DuckDBPyConnection, chapter: Chapter) -> None:
    """Write everything that a generation adds."""
    summary = chapter.summary
    _insert_births(db, chapter)
    for death in chapter.deaths:
        db.execute(
            "UPDATE models SET died = ?, cause = ? WHERE id = ?",
            [summary.generation, death.cause, death.id],
        )
    _insert_items(db, chapter)
    for scores in chapter.scores:
        _insert_scores(db, scores)
    _insert_arena(db, chapter)
    for event in chapter.events:
        db.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?)",
            [summary.generation, event.kind, event.model, event.detail],
        )
    db.execute("INSERT INTO generations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", list(astuple(summary)))


def insert(db: duckdb.DuckDBPyConnection, statement: str, **columns: Any) -> None:
    """Run an insert that selects from `columns`: whole arrays at once, a row at a time is slow."""
    db.register("columns", columns)
    try:
        db.execute(statement)
    finally:
        db.unregister("columns")


def texts(values: Iterable[str]) -> np.ndarray[Any, np.dtype[np.object_]]:
    """Texts as a column for `insert`."""
    return np.array(list(values), dtype=object)


def _insert_births(db: duckdb.DuckDBPyConnection, chapter: Chapter) -> None:
    generation = chapter.summary.generation
    for birth in chapter.births:
        db.execute(
            "INSERT INTO models VALUES (?, 'offspring', NULL, ?, ?, ?, NULL, NULL)",
            [birth.id, generation, birth.operator, birth.weights_sha256],
        )
        db.execute(
            "INSERT INTO recipes VALUES (?, 'linear', NULL, ?)",
            [birth.id, birth.genome.ravel().tolist()],
        )
    links = [(birth.id, parent) for birth in chapter.births for parent in birth.parents]
    if links:
        insert(
            db,
            "INSERT INTO parents SELECT c, p, s, r FROM columns",
            c=np.array([child for child, _ in links]),
            p=np.array([parent.id for _, parent in links]),
            s=np.array([parent.share for _, parent in links]),
            r=texts(parent.role for _, parent in links),
        )


def _insert_items(db: duckdb.DuckDBPyConnection, chapter: Chapter) -> None:
    if chapter.items:
        insert(
            db,
            "INSERT OR IGNORE INTO items SELECT i, t, s, p, k FROM columns",
            i=texts(item.id for item in chapter.items),
            t=texts(item.task for item in chapter.items),
            s=texts(item.split for item in chapter.items),
            p=texts(item.prompt for item in chapter.items),
            k=texts(item.key for item in chapter.items),
        )
    if chapter.panel:
        insert(
            db,
            "INSERT INTO panels SELECT e, n, i FROM columns",
            e=np.full(len(chapter.panel), chapter.summary.epoch),
            n=np.arange(len(chapter.panel)),
            i=texts(chapter.panel),
        )


def _insert_scores(db: duckdb.DuckDBPyConnection, scores: Scores) -> None:
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


def _insert_arena(db: duckdb.DuckDBPyConnection, chapter: Chapter) -> None:
    generation, epoch = chapter.summary.generation, chapter.summary.epoch
    if answers := chapter.answers:
        insert(
            db,
            "INSERT INTO answers SELECT e, i, m, a FROM columns",
            e=np.full(len(answers), epoch),
            i=texts(answer.item for answer in answers),
            m=np.array([answer.model for answer in answers]),
            a=texts(answer.answer for answer in answers),
        )
    if readings := chapter.readings:
        insert(
            db,
            "INSERT INTO readings SELECT e, i, j, a, l FROM columns",
            e=np.full(len(readings), epoch),
            i=texts(reading.item for reading in readings),
            j=np.array([reading.judge for reading in readings]),
            a=texts(reading.answer for reading in readings),
            l=np.array([reading.log_likelihood for reading in readings]),
        )
    if verdicts := chapter.verdicts:
        insert(
            db,
            "INSERT INTO verdicts SELECT g, i, m, s FROM columns",
            g=np.full(len(verdicts), generation),
            i=texts(verdict.item for verdict in verdicts),
            m=np.array([verdict.model for verdict in verdicts]),
            s=np.array([verdict.support for verdict in verdicts]),
        )
    if trust := chapter.trust:
        insert(
            db,
            "INSERT INTO trust SELECT g, j, m, h, w FROM columns",
            g=np.full(len(trust), generation),
            j=np.array([record.judge for record in trust]),
            m=texts(record.mode for record in trust),
            h=np.array([record.hits for record in trust]),
            w=np.array([record.misses for record in trust]),
        )
    if ratings := chapter.ratings:
        insert(
            db,
            "INSERT INTO ratings SELECT g, m, r, d, p FROM columns",
            g=np.full(len(ratings), generation),
            m=np.array([rating.model for rating in ratings]),
            r=np.array([rating.rating for rating in ratings]),
            d=np.array([rating.deviation for rating in ratings]),
            p=np.array([rating.prior for rating in ratings]),
        )
