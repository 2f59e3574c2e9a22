"""What rounds of the arena left behind: for the next round, and for whoever wants to see.

Answers and readings belong to weights: what was asked once of a model is known of every model with
the same weights, under whatever number and in whatever round.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lineage.archive.archive import Archive
from lineage.records import Answer, Canary, Juror, PairComparison, Reading, Trust


@dataclass(frozen=True)
class KnownAnswers:
    """What was said on some items, and what judges made of it."""

    answers: tuple[Answer, ...]
    canaries: tuple[Canary, ...]
    readings: tuple[Reading, ...]
    comparisons: tuple[PairComparison, ...]


_SAME_WEIGHTS = """
FROM {table} t JOIN models o ON o.id = t.{column}
JOIN models m ON m.weights_sha256 = o.weights_sha256
WHERE t.item IN $items AND m.id IN $models
GROUP BY ALL ORDER BY ALL
"""


_HEARD = {
    "answers": ("model", "t.item, m.id, t.answer, max(t.verified)"),
    "readings": ("judge", "t.item, m.id, t.mode, t.answer, min(t.log_likelihood)"),
    "comparisons": (
        "judge",
        "t.item, m.id, t.mode, t.better, t.worse, min(t.first), min(t.second)",
    ),
}
"""By table, the column that names a model, and what is read."""


def heard(archive: Archive, items: Sequence[str], models: Sequence[int]) -> KnownAnswers:
    """What some models answered to some items, and what judges among them read there."""
    asked = {"items": list(items), "models": list(models)}
    with archive.reading() as db:
        rows = {
            table: db.execute(
                f"SELECT {columns} {_SAME_WEIGHTS.format(table=table, column=column)}",
                asked,
            ).fetchall()
            for table, (column, columns) in _HEARD.items()
        }
        planted = db.execute(
            "SELECT item, kind, answer FROM canaries WHERE item IN $items ORDER BY ALL",
            {"items": list(items)},
        ).fetchall()
    return KnownAnswers(
        tuple(Answer(*row) for row in rows["answers"]),
        tuple(Canary(*row) for row in planted),
        tuple(Reading(*row) for row in rows["readings"]),
        tuple(PairComparison(*row) for row in rows["comparisons"]),
    )


_RECORD = """
WITH last AS (
    SELECT max(round) AS round FROM rounds
    WHERE $epoch IS NULL OR epoch IS DISTINCT FROM $epoch
    GROUP BY coalesce(epoch, -round)
), once AS (
    SELECT task, count(DISTINCT item) / count(*) AS part
    FROM round_items SEMI JOIN last USING (round) JOIN items ON item = id
    WHERE checkable GROUP BY task
)
SELECT judge, mode, trust.task, stratum,
       sum(hits) * any_value(coalesce(part, 1)), sum(misses) * any_value(coalesce(part, 1))
FROM trust SEMI JOIN last USING (round) LEFT JOIN once ON once.task = trust.task
GROUP BY judge, mode, trust.task, stratum ORDER BY ALL
"""


def record(archive: Archive, epoch: int | None = None) -> list[Trust]:
    """What is known of all judges, from all items but those of an epoch's panel.

    Each round of an epoch counts the same items again, so its last one tells everything of them.
    Where a task is a short list, other epochs and tournaments ask the same items again: what was
    shown on an item a second time counts no more than once, on average over a task.
    """
    with archive.reading() as db:
        rows = db.execute(_RECORD, {"epoch": epoch}).fetchall()
    return [Trust(*row) for row in rows]


def barred(archive: Archive) -> frozenset[int]:
    """The judges that favoured some contestants when they last read answers."""
    with archive.reading() as db:
        rows = db.execute(
            "SELECT DISTINCT judge FROM (SELECT judge, arg_max(admitted, round) AS admitted "
            "FROM audits WHERE evidence = 'readings' GROUP BY judge, mode) WHERE NOT admitted"
        ).fetchall()
    return frozenset(judge for (judge,) in rows)


def last_round(archive: Archive) -> int:
    """The number of the last round that was played, 0 for none."""
    with archive.reading() as db:
        ((number,),) = db.execute("SELECT coalesce(max(round), 0) FROM rounds").fetchall()
    return int(number)


def asked_items(archive: Archive) -> frozenset[str]:
    """Ids of all items that anybody was ever asked."""
    with archive.reading() as db:
        return frozenset(item for (item,) in db.execute("SELECT id FROM items").fetchall())


def seats(archive: Archive, generation: int | None = None) -> dict[int, list[int]]:
    """By generation, or for one, the judges that read answers in its round and may do so again.

    Those of the last round of a panel are free to go.
    """
    with archive.reading() as db:
        rows = db.execute(
            "SELECT generation, list(DISTINCT judge ORDER BY judge) "
            "FROM audits JOIN rounds USING (round) "
            "WHERE evidence = 'readings' AND admitted AND epoch IS NOT NULL "
            "AND ($generation IS NULL OR generation = $generation) "
            "GROUP BY generation ORDER BY generation",
            {"generation": generation},
        ).fetchall()
    return dict(rows)


def jury(archive: Archive, epoch: int) -> list[Juror]:
    """Whose answers stand for keys in an epoch; nobody's where there are keys."""
    with archive.reading() as db:
        rows = db.execute(
            "SELECT judge, task, belief FROM juries WHERE epoch = ? ORDER BY judge, task", [epoch]
        ).fetchall()
    return [Juror(*row) for row in rows]
