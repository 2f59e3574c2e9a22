"""What rounds of the arena left: answers, readings, trust and juries, for later rounds.

Answers and readings belong to weights: what one model was asked is known of every model with the
same weights, whatever its id and the round.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lineage.archive.archive import Archive
from lineage.records import Answer, Canary, Juror, PairComparison, Reading, Trust


@dataclass(frozen=True)
class KnownAnswers:
    """Answers to some items, canaries among them, and readings and comparisons by judges."""

    answers: tuple[Answer, ...]
    canaries: tuple[Canary, ...]
    readings: tuple[Reading, ...]
    comparisons: tuple[PairComparison, ...]


_SAME_WEIGHTS = """
FROM {table} t JOIN models o ON o.id = t.{column}
JOIN models m ON coalesce(m.fingerprint, m.weights_sha256)
               = coalesce(o.fingerprint, o.weights_sha256)
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


def known_answers(archive: Archive, items: Sequence[str], models: Sequence[int]) -> KnownAnswers:
    """Answers of some models to some items, with readings and comparisons by judges among them.

    Args:
        archive: where to look.
        items: ids.
        models: ids; answers of models with the same weights count as theirs.
    """
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


def trust_record(archive: Archive, epoch: int | None = None) -> list[Trust]:
    """Hits and misses of all judges on all items but those of an epoch's panel.

    Each round of an epoch counts the same items again, so only its last one is read. Where a task
    is a short list, other epochs and offline rounds ask the same items again: they are scaled so
    that an item counts once, on average over a task.

    Args:
        archive: where to look.
        epoch: whose rounds are left out; None leaves out none.
    """
    with archive.reading() as db:
        rows = db.execute(_RECORD, {"epoch": epoch}).fetchall()
    return [Trust(*row) for row in rows]


def excluded_judges(archive: Archive) -> frozenset[int]:
    """Ids of the judges that were not admitted when they last read answers."""
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
    """Ids of all items that any model was ever asked."""
    with archive.reading() as db:
        return frozenset(item for (item,) in db.execute("SELECT id FROM items").fetchall())


def readers_by_generation(archive: Archive, generation: int | None = None) -> dict[int, list[int]]:
    """By generation, ids of the admitted judges that read answers in its arena round.

    Args:
        archive: where to look.
        generation: this one only; None for all.
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


def jurors(archive: Archive, epoch: int) -> list[Juror]:
    """The jurors whose answers are votes for pseudo-labels in an epoch; empty with keys."""
    with archive.reading() as db:
        rows = db.execute(
            "SELECT judge, task, belief FROM juries WHERE epoch = ? ORDER BY judge, task", [epoch]
        ).fetchall()
    return [Juror(*row) for row in rows]
