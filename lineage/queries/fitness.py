"""Fitness: the mean merit of models on the search items that they were scored on.

Breeding goes by it: the mean over tasks of half exact match and half the probability of the key,
over all search items that a model was ever scored on. Every model has some, since offspring are
scored on a few items before anything else; that makes it noisy, and good for comparing lines rather
than siblings.

The same on the selection split, on which few models are scored, decides who is champion: each
champion has a higher one than the champion before it.
"""

import json
from collections.abc import Iterable

import duckdb
import numpy as np

from lineage.ancestry.parent_edges import Ids
from lineage.archive.archive import Archive
from lineage.merit import MERIT_SQL
from lineage.records import Floats
from lineage.task_weights import EQUAL, TaskWeights, weights_of

_FITNESS = f"""
SELECT model, sum(weight * merit) / sum(weight) AS fitness FROM (
    SELECT model, avg({MERIT_SQL}) AS merit,
           coalesce($weights[list_position($weighted, task)], 1.0) AS weight
    FROM scores JOIN items ON item = id
    WHERE split = $split AND ($ids IS NULL OR model IN $ids)
    GROUP BY model, task
) GROUP BY model
"""  # noqa: S608 - a constant of ours


def read_weights(db: duckdb.DuckDBPyConnection) -> TaskWeights:
    """The weights of the campaign's tasks.

    Args:
        db: a lease of the archive.
    """
    rows = db.execute("SELECT config FROM campaigns WHERE id = 1").fetchall()
    try:
        config = json.loads(rows[0][0]) if rows else {}
    except (ValueError, TypeError):
        return EQUAL  # `Archive.campaign` says what is wrong
    return weights_of(config) if isinstance(config, dict) else EQUAL


MANY = 5_000
"""From so many models on, reading the fitness of all is faster than filtering by id."""


def read_fitness(
    db: duckdb.DuckDBPyConnection, ids: Iterable[int] | None = None, split: str = "search"
) -> tuple[Ids, Floats]:
    """Read the fitness of the models that were scored.

    Args:
        db: a lease of the archive.
        ids: read these models; where there are many, all models may be read instead. None: all.
        split: "selection" for the scores that decide who is champion.

    Returns:
        Ids and their fitness in [0, 1], both of shape `[models]`.
    """
    chosen = None if ids is None else sorted(set(ids))
    if chosen is not None and len(chosen) >= MANY:
        chosen = None
    weights = read_weights(db).by_name
    given = {"weighted": list(weights), "weights": list(weights.values())}
    columns = db.execute(_FITNESS, {"ids": chosen, "split": split, **given}).fetchnumpy()
    return np.asarray(columns["model"]), np.asarray(columns["fitness"])


def fitness_of(archive: Archive, ids: Iterable[int], split: str = "search") -> dict[int, float]:
    """Fitness by id of those of some models that were scored; or their scores on another split."""
    wanted = set(ids)
    with archive.reading() as db:
        models, fitness = read_fitness(db, wanted, split)
    rows = zip(models.tolist(), fitness.tolist(), strict=True)
    return {model: value for model, value in rows if model in wanted}


def selection_scores(archive: Archive) -> dict[int, float]:
    """The score on the selection split, by id, of all models that were scored there."""
    with archive.reading() as db:
        models, scores = read_fitness(db, split="selection")
    return dict(zip(models.tolist(), scores.tolist(), strict=True))


def fitness_of_all(archive: Archive, newest: int) -> Floats:
    """The fitness of all models by id: shape `[newest + 1]`; NaN for those never scored."""
    with archive.reading() as db:
        models, fitness = read_fitness(db)
    by_id = np.full(newest + 1, np.nan)
    present = models <= newest  # others were born since `newest` was read
    by_id[models[present]] = fitness[present]
    return by_id
