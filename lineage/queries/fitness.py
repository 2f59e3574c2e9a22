"""Fitness: how well models did on the search items that they were asked.

It is what breeding goes by: the mean over tasks of half exact match and half the probability of
the key, over all search items that a model was ever scored on. Everybody has some, since a child
is scored on a few items before anything else; that makes it noisy, and good for comparing lines
rather than siblings.

The same on the selection split, which few are ever asked, is the score that crowns champions: each
has a higher one than the champion before it.
"""

from collections.abc import Iterable

import duckdb
import numpy as np

from lineage.ancestry.parent_edges import Ids
from lineage.archive.archive import Archive
from lineage.merit import MERIT_SQL
from lineage.records import Floats

_FITNESS = f"""
SELECT model, avg(merit) AS fitness FROM (
    SELECT model, task, avg({MERIT_SQL}) AS merit
    FROM scores JOIN items ON item = id
    WHERE split = $split AND ($ids IS NULL OR model IN $ids)
    GROUP BY model, task
) GROUP BY model
"""  # noqa: S608 - a constant of ours

MANY = 5_000
"""From so many models on, reading everybody is faster than picking them out."""


def read_fitness(
    db: duckdb.DuckDBPyConnection, ids: Iterable[int] | None = None, split: str = "search"
) -> tuple[Ids, Floats]:
    """Who was scored, and the fitness of each; of everybody, or of some.

    Args:
        db: a lease of the archive.
        ids: of whom; None of everybody.
        split: "selection" for the scores that crown champions.
    """
    asked = None if ids is None else sorted(set(ids))
    if asked is not None and len(asked) >= MANY:
        asked = None
    columns = db.execute(_FITNESS, {"ids": asked, "split": split}).fetchnumpy()
    return np.asarray(columns["model"]), np.asarray(columns["fitness"])


def fitness_of(archive: Archive, ids: Iterable[int], split: str = "search") -> dict[int, float]:
    """The fitness of those of some models that were scored; or their scores on another split."""
    wanted = set(ids)
    with archive.reading() as db:
        models, fitness = read_fitness(db, wanted, split)
    rows = zip(models.tolist(), fitness.tolist(), strict=True)
    return {model: value for model, value in rows if model in wanted}


def selection_scores(archive: Archive) -> dict[int, float]:
    """The score on the selection split of everybody who was looked at there."""
    with archive.reading() as db:
        models, scores = read_fitness(db, split="selection")
    return dict(zip(models.tolist(), scores.tolist(), strict=True))


def fitness_of_all(archive: Archive, newest: int) -> Floats:
    """Everybody's fitness by id, shape (newest + 1,); NaN for who was never scored."""
    with archive.reading() as db:
        models, fitness = read_fitness(db)
    found = np.full(newest + 1, np.nan)
    known = models <= newest  # born since the pedigree was read
    found[models[known]] = fitness[known]
    return found
