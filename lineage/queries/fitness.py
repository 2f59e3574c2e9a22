"""Fitness: how well models did on the search items that they were asked.

It is what breeding goes by: the mean over tasks of half exact match and half the probability of
the key, over all search items that a model was ever scored on. Everybody has some, since a child
is scored on a few items before anything else; that makes it noisy, and good for comparing lines
rather than siblings.
"""

from collections.abc import Iterable

import numpy as np

from lineage.archive import Archive
from lineage.records import Floats

_FITNESS = """
SELECT model, avg(merit) AS fitness FROM (
    SELECT model, task, avg(0.5 * (exact + probability)) AS merit
    FROM scores JOIN items ON item = id
    WHERE split = 'search' AND ($ids IS NULL OR model IN $ids)
    GROUP BY model, task
) GROUP BY model
"""

MANY = 5_000
"""From so many models on, reading everybody is faster than picking them out."""


def fitness_of(archive: Archive, ids: Iterable[int]) -> dict[int, float]:
    """The fitness of those of some models that were scored."""
    wanted = set(ids)
    with archive.reading() as db:
        asked = sorted(wanted) if len(wanted) < MANY else None
        rows = db.execute(_FITNESS, {"ids": asked}).fetchall()
    return {model: fitness for model, fitness in rows if model in wanted}


def fitness_of_all(archive: Archive, newest: int) -> Floats:
    """Everybody's fitness by id, shape (newest + 1,); NaN for who was never scored."""
    with archive.reading() as db:
        columns = db.execute(_FITNESS, {"ids": None}).fetchnumpy()
    found = np.full(newest + 1, np.nan)
    known = columns["model"] <= newest  # born since the pedigree was read
    found[columns["model"][known]] = columns["fitness"][known]
    return found
