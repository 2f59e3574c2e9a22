"""Scores of models item by item, as comparisons and campaigns that start again need them."""

import numpy as np

from lineage.archive.archive import Archive
from lineage.records import Floats, Model

_OF_REPORTS = """
SELECT task, item, exact FROM report_scores
WHERE split = $split AND weights_sha256 IN (
    SELECT weights_sha256 FROM report_scores WHERE split = $split
    GROUP BY weights_sha256 HAVING count(*) = (
        SELECT max(items) FROM (
            SELECT count(*) AS items FROM report_scores WHERE split = $split
            GROUP BY weights_sha256
        )
    )
) AND weights_sha256 = $sha
"""
"""Only where the whole split was measured: reports ask some models the items of single tasks."""


def item_scores(archive: Archive, model: Model, split: str) -> dict[tuple[str, str], float]:
    """Exact match of a model on a split, by (task, item), from the campaign or from a report.

    Search items differ from generation to generation, so of those only a report knows all. What a
    report measured of a model counts where it measured the whole split.
    """
    with archive.reading() as db:
        rows = (
            db.execute(
                "SELECT task, item, avg(exact) FROM scores JOIN items ON item = id "
                "WHERE model = $model AND split = $split AND split <> 'search' GROUP BY task, item",
                {"model": model.id, "split": split},
            ).fetchall()
            or db.execute(_OF_REPORTS, {"sha": model.weights_sha256, "split": split}).fetchall()
        )
    return {(task, item): exact for task, item, exact in rows}


def all_scores(archive: Archive) -> dict[int, tuple[list[str], Floats, Floats]]:
    """By model, the items in the order they were written in, exact match and probability of each.

    Both arrays have shape `[items]`.
    """
    with archive.reading() as db:
        rows = db.execute(
            "SELECT model, list(item ORDER BY rowid), list(exact ORDER BY rowid), "
            "list(probability ORDER BY rowid) FROM scores GROUP BY model"
        ).fetchall()
    return {model: (ids, np.array(e), np.array(p)) for model, ids, e, p in rows}


def offspring_count(archive: Archive, generation: int) -> int:
    """How many offspring were born up to a generation."""
    with archive.reading() as db:
        ((births,),) = db.execute(
            "SELECT count(*) FROM models WHERE kind = 'offspring' AND generation <= ?",
            [generation],
        ).fetchall()
    return int(births)
