"""How judges have done: how often they were right where a key could tell, and who may speak."""

from dataclasses import dataclass

from lineage.archive.archive import Archive
from lineage.queries.rounds import record


@dataclass(frozen=True)
class Reliability:
    """How a judge of a mode has done.

    Attributes:
        hits: how often it was right where a key could tell, over all rounds; an item counts once.
        misses: how often it was wrong.
        trust: what is believed of all its verdicts, in [0, 1], 0 for guessing.
        admitted: whether it is listened to.
        favour: p-value of its favours; None without enough to tell.
        round: in which it was looked at last.
    """

    hits: float
    misses: float
    trust: float
    admitted: bool
    favour: float | None
    round: int


_AUDITED = """
SELECT judge, mode, arg_max(trust, round), arg_max(admitted, round),
       arg_max_null(favour, round), max(round)
FROM audits GROUP BY ALL ORDER BY ALL
"""


def reliabilities(archive: Archive, task: str | None = None) -> dict[int, dict[str, Reliability]]:
    """How all judges have done, by judge and mode.

    Args:
        archive: of the colony.
        task: count hits and misses of this task alone.
    """
    with archive.reading() as db:
        audits = db.execute(_AUDITED).fetchall()
    hits: dict[tuple[int, str], float] = {}
    misses: dict[tuple[int, str], float] = {}
    for entry in record(archive):
        if task in (None, entry.task):
            who = entry.judge, entry.mode
            hits[who] = hits.get(who, 0.0) + entry.hits
            misses[who] = misses.get(who, 0.0) + entry.misses
    found: dict[int, dict[str, Reliability]] = {}
    for judge, mode, *audit in audits:
        counts = hits.get((judge, mode), 0.0), misses.get((judge, mode), 0.0)
        found.setdefault(judge, {})[mode] = Reliability(*counts, *audit)
    return found
