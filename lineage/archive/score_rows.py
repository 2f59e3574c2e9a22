"""Reading and writing scores: of models on items, means by task, and those of reports."""

from collections.abc import Iterable, Sequence

import duckdb
import numpy as np

from lineage.archive.generation_writer import insert, texts
from lineage.records import Item, Scores

_SCORES = """
SELECT list_position($ids, model) - 1 AS row, list_position($items, item) - 1 AS col,
       exact, probability
FROM scores WHERE model IN $ids AND item IN $items
"""

_TASK_MEANS = """
SELECT model, task, avg(exact), avg(probability) FROM scores JOIN items ON item = id
WHERE split = $split AND ($ids IS NULL OR model IN $ids)
GROUP BY model, task ORDER BY model, task
"""

_REPORT_SCORES = """
SELECT item, exact, probability FROM report_scores
WHERE weights_sha256 = $sha AND item IN $items
"""


def read_scores(db: duckdb.DuckDBPyConnection, ids: Sequence[int], items: Sequence[str]) -> Scores:
    """Scores of models on items, NaN where a model was not scored on an item.

    Args:
        db: a lease of the archive.
        ids: of the models, the rows.
        items: ids of the items, the columns.
    """
    columns = db.execute(_SCORES, {"ids": list(ids), "items": list(items)}).fetchnumpy()
    exact = np.full((len(ids), len(items)), np.nan)
    probability = exact.copy()
    exact[columns["row"], columns["col"]] = columns["exact"]
    probability[columns["row"], columns["col"]] = columns["probability"]
    return Scores(tuple(ids), tuple(items), exact, probability)


def read_task_means(
    db: duckdb.DuckDBPyConnection, split: str, ids: Iterable[int] | None = None
) -> dict[int, dict[str, tuple[float, float]]]:
    """Mean (exact match, probability) by model and task over the items of a split.

    Args:
        db: a lease of the archive.
        split: `search` or `selection`.
        ids: of these models only; None for all that were scored there.
    """
    chosen = None if ids is None else sorted(set(ids))
    means: dict[int, dict[str, tuple[float, float]]] = {}
    for model, task, exact, probability in db.execute(
        _TASK_MEANS, {"split": split, "ids": chosen}
    ).fetchall():
        means.setdefault(model, {})[task] = (exact, probability)
    return means


def read_report_scores(
    db: duckdb.DuckDBPyConnection, weights_sha256: str, items: Sequence[str]
) -> Scores | None:
    """What an earlier report measured of some weights; None unless all items are there.

    Args:
        db: a lease of the archive.
        weights_sha256: of the weights.
        items: ids.

    Returns:
        Scores with one row, of a model called 0.
    """
    found = db.execute(_REPORT_SCORES, {"sha": weights_sha256, "items": list(items)}).fetchall()
    by_item = {row[0]: row[1:] for row in found}
    if len(by_item) < len(set(items)):
        return None
    table = np.array([by_item[item] for item in items], dtype=np.float64).T
    return Scores((0,), tuple(items), table[:1], table[1:])


def write_report_scores(
    db: duckdb.DuckDBPyConnection, weights_sha256: str, items: Sequence[Item], scored: Scores
) -> None:
    """Write what a report measured of some weights; items that are there already are kept.

    Args:
        db: a lease for writing.
        weights_sha256: of the weights.
        items: that were measured.
        scored: row 0 are the scores on these items.
    """
    insert(
        db,
        "INSERT OR IGNORE INTO report_scores SELECT w, s, t, i, e, p FROM columns",
        w=texts([weights_sha256] * len(items)),
        s=texts(item.split for item in items),
        t=texts(item.task for item in items),
        i=texts(item.id for item in items),
        e=scored.exact[0],
        p=scored.probability[0],
    )
