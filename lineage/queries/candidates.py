"""The living on the items of a task that all of them were scored on: candidates for a merge."""

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


def living_on_common_items(archive: Archive, task: str) -> tuple[Scores, Floats]:
    """The living on the items of a task that all of them were scored on, and their ratings.

    Args:
        archive: where to look.
        task: name of a task.

    Returns:
        The scores, and ratings in logits, shape `[models]`, NaN for models without one.
    """
    living = [model.id for model in archive.models(living=True)]
    with archive.reading() as db:
        items = [item for (item,) in db.execute(_COMMON, {"task": task}).fetchall()]
        rated = dict(db.execute(_RATINGS, {"ids": living}).fetchall())
    ratings = np.array([rated.get(model, np.nan) for model in living], dtype=np.float64)
    return archive.scores(living, items), ratings
