"""Candidates: the living, with what they were all asked about a task and how they did there."""

import numpy as np

from lineage.archive.archive import Archive
from lineage.records import Floats, Scores

_COMMON = """
SELECT item FROM scores JOIN items ON items.id = item JOIN models ON models.id = model
WHERE task = $task AND died IS NULL
GROUP BY item
HAVING count(DISTINCT model) = (SELECT count(*) FROM models WHERE died IS NULL)
ORDER BY item
"""

_RATINGS = """
SELECT model, arg_max(rating, round) FROM ratings WHERE model IN $ids GROUP BY model
"""


def common_scores(archive: Archive, task: str) -> tuple[Scores, Floats]:
    """The living on the items of a task that all of them were scored on, and their ratings.

    Returns:
        the scores, and ratings in logits of shape (models,), NaN of who has none.
    """
    living = [model.id for model in archive.models(living=True)]
    with archive.reading() as db:
        items = [item for (item,) in db.execute(_COMMON, {"task": task}).fetchall()]
        rated = dict(db.execute(_RATINGS, {"ids": living}).fetchall())
    ratings = np.array([rated.get(model, np.nan) for model in living], dtype=np.float64)
    return archive.scores(living, items), ratings
