"""Reliability of judges: hits and misses where a key could tell, trust, and admission."""

from dataclasses import dataclass

from lineage.archive.archive import Archive
from lineage.queries.rounds import trust_record


@dataclass(frozen=True)
class Reliability:
    """Reliability of a judge in one mode.

    Attributes:
        hits: how often it was right where a key could tell, over all rounds; an item counts once.
        misses: how often it was wrong.
        trust: a lower bound of its reliability over all its verdicts, rescaled to [0, 1]; 0 for
            guessing.
        admitted: whether its verdicts count.
        favour: p-value of the audit for favouritism; None without enough observations.
        round: number of the round in which it was audited last.
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
    """Reliability of all judges, by judge and mode.

    Args:
        archive: where to look.
        task: count hits and misses of this task alone.
    """
    with archive.reading() as db:
        audits = db.execute(_AUDITED).fetchall()
    hits: dict[tuple[int, str], float] = {}
    misses: dict[tuple[int, str], float] = {}
    for entry in trust_record(archive):
        if task in (None, entry.task):
            judge_mode = entry.judge, entry.mode
            hits[judge_mode] = hits.get(judge_mode, 0.0) + entry.hits
            misses[judge_mode] = misses.get(judge_mode, 0.0) + entry.misses
    by_judge: dict[int, dict[str, Reliability]] = {}
    for judge, mode, *audit in audits:
        counts = hits.get((judge, mode), 0.0), misses.get((judge, mode), 0.0)
        by_judge.setdefault(judge, {})[mode] = Reliability(*counts, *audit)
    return by_judge
