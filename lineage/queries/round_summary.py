"""Summaries of arena rounds: items, contestants, cost in tokens, and results of canaries."""

from dataclasses import dataclass

from lineage.archive.archive import Archive


@dataclass(frozen=True)
class RoundSummary:
    """A round, summed up.

    Attributes:
        round: its number.
        generation: after which it was played.
        epoch: of the panel it was played on; None for an offline round.
        predicted: tokens that it was expected to take.
        tokens: that it took.
        items: number of items.
        checkable: number of items whose key was looked at.
        hidden: number of items that are used nowhere but in the arena.
        contestants: number of models that took part.
        last: the number of the last round in the archive.
    """

    round: int
    generation: int
    epoch: int | None
    predicted: int
    tokens: int
    items: int
    checkable: int
    hidden: int
    contestants: int
    last: int


@dataclass(frozen=True)
class CanaryResult:
    """A canary, and the judges that preferred it to the right answer.

    Attributes:
        item: id of the item that it is an answer to.
        kind: of attack.
        answer: its text.
        readers: ids of the judges that read it and a right answer.
        fooled: ids of those of them that find it likelier than any right answer.
    """

    item: str
    kind: str
    answer: str
    readers: tuple[int, ...]
    fooled: tuple[int, ...]


_PLAYED = """
SELECT round, generation, epoch, predicted, tokens,
       (SELECT count(*) FROM round_items WHERE round = r.round),
       (SELECT count(*) FROM round_items WHERE round = r.round AND checkable),
       (SELECT count(*) FROM round_items WHERE round = r.round AND hidden),
       (SELECT count(*) FROM ratings WHERE round = r.round),
       (SELECT max(round) FROM rounds)
FROM rounds r WHERE round = coalesce($round, (SELECT max(round) FROM rounds))
"""

_PLANTED = """
WITH planted AS (
    SELECT item, kind, answer FROM canaries
    WHERE item IN (SELECT item FROM round_items WHERE round = $round)
), rights AS (
    SELECT DISTINCT item, answer FROM answers WHERE verified = 1
    UNION SELECT id, key FROM items WHERE key IS NOT NULL
), heard AS (
    SELECT p.item, p.answer, c.judge, min(c.log_likelihood) > max(r.log_likelihood) AS fooled
    FROM planted p
    JOIN readings c ON c.item = p.item AND c.answer = p.answer
    JOIN rights ON rights.item = p.item
    JOIN readings r ON r.item = p.item AND r.answer = rights.answer AND r.judge = c.judge
                   AND r.mode = c.mode
    GROUP BY p.item, p.answer, c.judge, c.mode
)
SELECT p.item, p.kind, p.answer,
       coalesce(list(DISTINCT judge ORDER BY judge) FILTER (judge IS NOT NULL), []),
       coalesce(list(DISTINCT judge ORDER BY judge) FILTER (fooled), [])
FROM planted p LEFT JOIN heard h ON h.item = p.item AND h.answer = p.answer
GROUP BY ALL ORDER BY ALL
"""


def round_summary(archive: Archive, number: int | None = None) -> RoundSummary | None:
    """The summary of a round, by default of the last one; None if there is no such round."""
    with archive.reading() as db:
        row = db.execute(_PLAYED, {"round": number}).fetchone()
    return None if row is None else RoundSummary(*row)


def canary_results(archive: Archive, number: int) -> list[CanaryResult]:
    """The canaries on the items of a round, and which judges they fooled."""
    with archive.reading() as db:
        rows = db.execute(_PLANTED, {"round": number}).fetchall()
    return [
        CanaryResult(item, kind, answer, tuple(readers), tuple(fooled))
        for item, kind, answer, readers, fooled in rows
    ]
