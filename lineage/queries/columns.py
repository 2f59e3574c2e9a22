"""Everybody as columns: what a front end holds of a whole archive, grown by what is new.

A million models take some sixty megabytes. Ids are row numbers, and row 0 is nobody. What is told
of a model never changes, but for its death, its fitness and its rating; so a newer state of the
columns shares what it can with the older one, and neither is ever written to.
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
"""Generations of ratings that are kept of the living."""

LIVING = -1
"""When the living died."""


@dataclass(frozen=True)
class Columns:
    """Everybody, by id: arrays are of shape (newest + 1,) unless said otherwise.

    Attributes:
        generation: in which a model was born.
        operator: how, as a place in `words`.
        died: the generation in which it became a fossil, or `LIVING`.
        cause: of what, as a place in `words`; -1 for the living.
        fitness: see `lineage.queries.fitness`; NaN for who was never scored.
        rating: as of the last generation, in logits (see `lineage.points`); NaN for who has none.
        deviation: of the rating.
        pedigree: who descends from whom.
        words: what operators and causes are called.
        names: of the founders, by id.
        trend: ratings of the last generations, the oldest first, by id.
        history: all generations: their columns by name, each of shape (generations,).
        events: (generation, event), oldest first.
        crowned: of who was ever champion, the score on the selection split, by id; nobody's where
            a jury crowns.
        scores: how many rows of scores have been read.
        rounds: how many rounds of the arena have been played.
    """

    generation: Ids
    operator: Codes
    died: Ids
    cause: Codes
    fitness: Singles
    rating: Singles
    deviation: Singles
    pedigree: ParentEdges
    words: tuple[str, ...]
    names: Mapping[int, str]
    trend: Mapping[int, tuple[float, ...]]
    history: Mapping[str, npt.NDArray[Any]]
    events: tuple[tuple[int, Event], ...]
    crowned: Mapping[int, float]
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


def empty() -> Columns:
    """The columns before anything has been read."""
    nobody = np.zeros(1, np.int32)
    unknown = np.full(1, np.nan, np.float32)
    return Columns(
        generation=nobody,
        operator=np.zeros(1, np.int16),
        died=nobody,
        cause=np.full(1, -1, np.int16),
        fitness=unknown,
        rating=unknown,
        deviation=unknown,
        pedigree=ParentEdges(0, nobody[:0], nobody[:0], nobody[:0], np.zeros(0)),
        words=(),
        names={},
        trend={},
        history={part.name: np.zeros(0, part.type) for part in fields(Generation)},
        events=(),
        crowned={},
        scores=0,
        rounds=0,
    )


def is_news(db: duckdb.DuckDBPyConnection, known: Columns) -> bool:
    """Whether the archive holds more than is known; costs next to nothing."""
    ((newest, last, events, scores, rounds),) = db.execute(
        "SELECT (SELECT coalesce(max(id), 0) FROM models), "
        "(SELECT coalesce(max(generation), -1) FROM generations), "
        "(SELECT count(*) FROM events), (SELECT count(*) FROM scores), "
        "(SELECT count(*) FROM rounds)"
    ).fetchall()
    return bool(
        (newest, last, events, scores, rounds)
        != (known.newest, known.last, len(known.events), known.scores, known.rounds)
    )


def grown(db: duckdb.DuckDBPyConnection, known: Columns) -> Columns:
    """The columns with everything that has come to the archive since, but for the fitness.

    Fitness alone has to be summed up over all scores, which takes longer than all the rest: see
    `scored`.
    """
    words = _more_words(db, known)
    births = db.execute(
        "SELECT generation, list_position($words, operator) - 1 AS operator, "
        "coalesce(died, $living) AS died, coalesce(list_position($words, cause) - 1, -1) AS cause "
        "FROM models WHERE id > $newest ORDER BY id",
        {"newest": known.newest, "living": LIVING, "words": words},
    ).fetchnumpy()
    named = db.execute(
        "SELECT id, name FROM models WHERE id > ? AND name IS NOT NULL", [known.newest]
    ).fetchall()
    died = np.concatenate([known.died, births["died"]], dtype=np.int32)
    cause = np.concatenate([known.cause, births["cause"]], dtype=np.int16)
    deaths = db.execute(
        "SELECT id, died, list_position($words, cause) - 1 AS cause FROM models "
        "WHERE died >= $last AND id <= $newest",
        {"last": max(0, known.last), "newest": known.newest, "words": words},
    ).fetchnumpy()
    died[deaths["id"]] = deaths["died"]
    cause[deaths["id"]] = deaths["cause"]
    history = db.execute(
        "SELECT * FROM generations WHERE generation > ? ORDER BY generation", [known.last]
    ).fetchnumpy()
    events = db.execute(
        "SELECT generation, kind, model, detail FROM events WHERE rowid >= ? ORDER BY rowid",
        [len(known.events)],
    ).fetchall()
    born = len(births["generation"])
    unknown = np.full(born, np.nan, np.float32)
    later = replace(
        known,
        generation=np.concatenate([known.generation, births["generation"]], dtype=np.int32),
        operator=np.concatenate([known.operator, births["operator"]], dtype=np.int16),
        died=died,
        cause=cause,
        fitness=np.concatenate([known.fitness, unknown]),
        pedigree=_longer(known.pedigree, read_parent_edges(db, known.newest)),
        words=tuple(words),
        names={**known.names, **dict(named)},
        history={
            name: np.concatenate([past, history[name]]) for name, past in known.history.items()
        },
        events=known.events + tuple((row[0], Event(*row[1:])) for row in events),
    )
    return _rated(db, replace(later, crowned=_crowned(db, later)))


def _crowned(db: duckdb.DuckDBPyConnection, known: Columns) -> Mapping[int, float]:
    """Scores of champions: those of new ones are added, as none ever changes."""
    new = set(known.history["champion"].tolist()) - known.crowned.keys()
    if not new:
        return known.crowned
    models, scores = read_fitness(db, new, "selection")
    there = zip(models.tolist(), scores.tolist(), strict=True)
    return {**known.crowned, **{model: score for model, score in there if model in new}}


def scored(db: duckdb.DuckDBPyConnection, known: Columns) -> Columns:
    """The columns with the fitness of everybody who was asked something new."""
    ((scores,),) = db.execute("SELECT count(*) FROM scores").fetchall()
    if scores == known.scores:
        return known
    asked = None
    if known.scores:
        rows = db.execute(
            "SELECT DISTINCT model FROM scores WHERE rowid >= ?", [known.scores]
        ).fetchall()
        asked = [row[0] for row in rows]
    models, values = read_fitness(db, asked)
    fitness = known.fitness.copy()
    there = models <= known.newest  # born since the columns were read
    fitness[models[there]] = values[there]
    return replace(known, fitness=fitness, scores=scores)


def _rated(db: duckdb.DuckDBPyConnection, known: Columns) -> Columns:
    """The columns with the ratings of the last generation, and how they came about."""
    rating = np.full(known.newest + 1, np.nan, np.float32)
    deviation = rating.copy()
    latest = db.execute(
        "SELECT model, arg_max(rating, round) AS rating, arg_max(deviation, round) AS deviation "
        "FROM ratings JOIN rounds USING (round) WHERE generation = ? GROUP BY model",
        [known.last],
    ).fetchnumpy()
    rating[latest["model"]] = latest["rating"]
    deviation[latest["model"]] = latest["deviation"]
    past = db.execute(
        "SELECT model, list(rating ORDER BY round) FROM ratings JOIN rounds USING (round) "
        "WHERE generation > ? GROUP BY model",
        [known.last - TREND],
    ).fetchall()
    ((rounds,),) = db.execute("SELECT count(*) FROM rounds").fetchall()
    trend = {model: tuple(ratings) for model, ratings in past if known.died[model] == LIVING}
    return replace(known, rating=rating, deviation=deviation, trend=trend, rounds=rounds)


def _more_words(db: duckdb.DuckDBPyConnection, known: Columns) -> list[str]:
    """What operators and causes are called: words that were known keep their places."""
    rows = db.execute(
        "SELECT DISTINCT unnest([operator, cause]) AS word FROM models "
        "WHERE id > $newest OR died >= $last ORDER BY word",
        {"newest": known.newest, "last": max(0, known.last)},
    ).fetchall()
    return list(dict.fromkeys([*known.words, *(word for (word,) in rows if word is not None)]))


def _longer(known: ParentEdges, new: ParentEdges) -> ParentEdges:
    return ParentEdges(
        new.newest,
        np.concatenate([known.founders, new.founders]),
        np.concatenate([known.child, new.child]),
        np.concatenate([known.parent, new.parent]),
        np.concatenate([known.share, new.share]),
    )
