"""All models of an archive as columns: what a front end holds in memory, updated incrementally.

A million models take some sixty megabytes. Ids are row numbers, and row 0 is unused. Values of a
model never change, but for its death, its fitness and its rating; so newer columns share what they
can with older ones, and neither is ever written to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from lineage.ancestry.parent_edges import Ids, ParentEdges, read_parent_edges
from lineage.queries.fitness import read_fitness
from lineage.records import Event, Generation

Codes = npt.NDArray[np.int16]
Singles = npt.NDArray[np.float32]

TREND = 12
"""Number of last generations whose ratings are kept for the living."""

LIVING = -1
"""Stands for the generation of death of a living model."""


@dataclass(frozen=True)
class Columns:
    """All models, by id. Arrays have shape `[newest + 1]` unless said otherwise.

    Attributes:
        generation: generation of birth.
        operator: as an index into `vocabulary`.
        died: the generation in which it became a fossil, or `LIVING`.
        cause: of death, as an index into `vocabulary`; -1 for the living.
        fitness: see `lineage.queries.fitness`; NaN for models that were never scored.
        rating: as of the last generation, in logits (see `lineage.points`); NaN without a rating.
        deviation: standard error of the rating, in logits.
        parent_edges: of all models.
        vocabulary: names of operators and causes of death.
        names: of the founders, by id.
        trend: by id of the living, ratings of the last generations in logits, oldest first.
        history: all generations: their columns by name, each of shape `[generations]`; NaN where
            nothing was recorded.
        events: (generation, event), oldest first.
        champion_scores: by id of every model that was ever champion, its score on the selection
            split; empty where a jury chooses the champion.
        scores: number of rows of scores that were read.
        rounds: number of arena rounds that were read.
    """

    generation: Ids
    operator: Codes
    died: Ids
    cause: Codes
    fitness: Singles
    rating: Singles
    deviation: Singles
    parent_edges: ParentEdges
    vocabulary: tuple[str, ...]
    names: Mapping[int, str]
    trend: Mapping[int, tuple[float, ...]]
    history: Mapping[str, npt.NDArray[Any]]
    events: tuple[tuple[int, Event], ...]
    champion_scores: Mapping[int, float]
    scores: int
    rounds: int

    @property
    def newest(self) -> int:
        """The highest id."""
        return len(self.generation) - 1

    @property
    def last(self) -> int:
        """The last committed generation; -1 before the first."""
        return len(self.history["generation"]) - 1


def empty_columns() -> Columns:
    """The columns before anything has been read."""
    unused = np.zeros(1, np.int32)
    unknown = np.full(1, np.nan, np.float32)
    return Columns(
        generation=unused,
        operator=np.zeros(1, np.int16),
        died=unused,
        cause=np.full(1, -1, np.int16),
        fitness=unknown,
        rating=unknown,
        deviation=unknown,
        parent_edges=ParentEdges(0, unused[:0], unused[:0], unused[:0], np.zeros(0)),
        vocabulary=(),
        names={},
        trend={},
        history={
            part.name: np.zeros(0, part.type if part.type is int else float)
            for part in fields(Generation)
        },
        events=(),
        champion_scores={},
        scores=0,
        rounds=0,
    )


def is_outdated(db: duckdb.DuckDBPyConnection, columns: Columns) -> bool:
    """Whether the archive holds more than the columns; takes well under a millisecond."""
    ((newest, last, events, scores, rounds),) = db.execute(
        "SELECT (SELECT coalesce(max(id), 0) FROM models), "
        "(SELECT coalesce(max(generation), -1) FROM generations), "
        "(SELECT count(*) FROM events), (SELECT count(*) FROM scores), "
        "(SELECT count(*) FROM rounds)"
    ).fetchall()
    return bool(
        (newest, last, events, scores, rounds)
        != (columns.newest, columns.last, len(columns.events), columns.scores, columns.rounds)
    )


def updated(db: duckdb.DuckDBPyConnection, columns: Columns) -> Columns:
    """The columns with everything that was added to the archive since, except the fitness.

    Fitness has to be averaged over all scores, which takes longer than all the rest: see
    `with_fitness`.

    Args:
        db: a lease of the archive.
        columns: an earlier state, or `empty_columns()`.
    """
    vocabulary = _extended_vocabulary(db, columns)
    births = db.execute(
        "SELECT generation, list_position($words, operator) - 1 AS operator, "
        "coalesce(died, $living) AS died, coalesce(list_position($words, cause) - 1, -1) AS cause "
        "FROM models WHERE id > $newest ORDER BY id",
        {"newest": columns.newest, "living": LIVING, "words": vocabulary},
    ).fetchnumpy()
    named = db.execute(
        "SELECT id, name FROM models WHERE id > ? AND name IS NOT NULL", [columns.newest]
    ).fetchall()
    died = np.concatenate([columns.died, births["died"]], dtype=np.int32)
    cause = np.concatenate([columns.cause, births["cause"]], dtype=np.int16)
    deaths = db.execute(
        "SELECT id, died, list_position($words, cause) - 1 AS cause FROM models "
        "WHERE died >= $last AND id <= $newest",
        {"last": max(0, columns.last), "newest": columns.newest, "words": vocabulary},
    ).fetchnumpy()
    died[deaths["id"]] = deaths["died"]
    cause[deaths["id"]] = deaths["cause"]
    history = db.execute(
        "SELECT * FROM generations WHERE generation > ? ORDER BY generation", [columns.last]
    ).fetchnumpy()
    events = db.execute(
        "SELECT generation, kind, model, detail FROM events WHERE rowid >= ? ORDER BY rowid",
        [len(columns.events)],
    ).fetchall()
    born = len(births["generation"])
    unknown = np.full(born, np.nan, np.float32)
    later = replace(
        columns,
        generation=np.concatenate([columns.generation, births["generation"]], dtype=np.int32),
        operator=np.concatenate([columns.operator, births["operator"]], dtype=np.int16),
        died=died,
        cause=cause,
        fitness=np.concatenate([columns.fitness, unknown]),
        parent_edges=_joined_edges(columns.parent_edges, read_parent_edges(db, columns.newest)),
        vocabulary=tuple(vocabulary),
        names={**columns.names, **dict(named)},
        history={
            name: np.concatenate([past, _without_nulls(history[name])])
            for name, past in columns.history.items()
        },
        events=columns.events + tuple((row[0], Event(*row[1:])) for row in events),
    )
    later = replace(later, champion_scores=_champion_scores(db, later))
    return _with_ratings(db, later)


def _without_nulls(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A column with NaN for NULL."""
    return values.filled(np.nan) if isinstance(values, np.ma.MaskedArray) else values


def _champion_scores(db: duckdb.DuckDBPyConnection, columns: Columns) -> Mapping[int, float]:
    """Selection scores of champions; only those of new champions are read, as none changes."""
    new = set(columns.history["champion"].tolist()) - columns.champion_scores.keys()
    if not new:
        return columns.champion_scores
    models, scores = read_fitness(db, new, "selection")
    rows = zip(models.tolist(), scores.tolist(), strict=True)
    return {**columns.champion_scores, **{model: score for model, score in rows if model in new}}


def with_fitness(db: duckdb.DuckDBPyConnection, columns: Columns) -> Columns:
    """The columns with the fitness of all models that were scored since.

    Args:
        db: a lease of the archive.
        columns: as `updated` gives them.
    """
    ((scores,),) = db.execute("SELECT count(*) FROM scores").fetchall()
    if scores == columns.scores:
        return columns
    rescored = None
    if columns.scores:
        rows = db.execute(
            "SELECT DISTINCT model FROM scores WHERE rowid >= ?", [columns.scores]
        ).fetchall()
        rescored = [row[0] for row in rows]
    models, values = read_fitness(db, rescored)
    fitness = columns.fitness.copy()
    present = models <= columns.newest  # others were born since the columns were read
    fitness[models[present]] = values[present]
    return replace(columns, fitness=fitness, scores=scores)


def _with_ratings(db: duckdb.DuckDBPyConnection, columns: Columns) -> Columns:
    """The columns with the ratings of the last generation and their trend."""
    rating = np.full(columns.newest + 1, np.nan, np.float32)
    deviation = rating.copy()
    latest = db.execute(
        "SELECT model, arg_max(rating, round) AS rating, arg_max(deviation, round) AS deviation "
        "FROM ratings JOIN rounds USING (round) WHERE generation = ? GROUP BY model",
        [columns.last],
    ).fetchnumpy()
    rating[latest["model"]] = latest["rating"]
    deviation[latest["model"]] = latest["deviation"]
    past = db.execute(
        "SELECT model, list(rating ORDER BY round) FROM ratings JOIN rounds USING (round) "
        "WHERE generation > ? GROUP BY model",
        [columns.last - TREND],
    ).fetchall()
    ((rounds,),) = db.execute("SELECT count(*) FROM rounds").fetchall()
    trend = {model: tuple(ratings) for model, ratings in past if columns.died[model] == LIVING}
    return replace(columns, rating=rating, deviation=deviation, trend=trend, rounds=rounds)


def _extended_vocabulary(db: duckdb.DuckDBPyConnection, columns: Columns) -> list[str]:
    """Names of operators and causes; those that are in the vocabulary keep their places."""
    rows = db.execute(
        "SELECT DISTINCT unnest([operator, cause]) AS word FROM models "
        "WHERE id > $newest OR died >= $last ORDER BY word",
        {"newest": columns.newest, "last": max(0, columns.last)},
    ).fetchall()
    new = (word for (word,) in rows if word is not None)
    return list(dict.fromkeys([*columns.vocabulary, *new]))


def _joined_edges(known: ParentEdges, new: ParentEdges) -> ParentEdges:
    return ParentEdges(
        new.newest,
        np.concatenate([known.founders, new.founders]),
        np.concatenate([known.child, new.child]),
        np.concatenate([known.parent, new.parent]),
        np.concatenate([known.share, new.share]),
    )
