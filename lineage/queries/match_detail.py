"""Hearings: a match with everything that was said of it, by the contestants and by every judge."""

from dataclasses import dataclass
from typing import Any

from lineage.archive.archive import Archive
from lineage.errors import ArchiveError
from lineage.queries.judges import reliabilities
from lineage.queries.matches import MATCHES, Match, MatchName, decides, match_of


@dataclass(frozen=True)
class Judgement:
    """What a judge made of a match: whose answer it prefers, and whether that counted.

    Attributes:
        judge: whose.
        mode: how it judges.
        prefers: one of the two; None where it cannot tell.
        trust: what is believed of all its verdicts, in [0, 1], 0 for guessing.
        favour: p-value of its favours; None without enough to tell.
        admitted: whether it was listened to at all.
        hits: how often it was right on the item's task where a key could tell. What a word of it
            weighs here follows from that: whoever was never right on a task is not believed there.
        misses: how often it was wrong.
    """

    judge: int
    mode: str
    prefers: int | None
    trust: float
    favour: float | None
    admitted: bool
    hits: float
    misses: float


@dataclass(frozen=True)
class MatchDetail:
    """A match with all that lay before its jury.

    Attributes:
        match: who met, and what came of it.
        generation: after which the round was played.
        prompt: of the item.
        key: the right answer, where it was looked at.
        hidden: whether nothing else ever asks the item.
        judgements: the most trusted of each mode first.
    """

    match: Match
    generation: int
    prompt: str
    key: str | None
    hidden: bool
    judgements: tuple[Judgement, ...]

    @property
    def newest(self) -> int:
        """The highest id in it."""
        return max([self.match.b.model, *(one.judge for one in self.judgements)])


_ONE = f"""
{MATCHES}
WHERE m.round = $round AND item = $item AND model_a = $a AND model_b = $b
"""

_MET = """
SELECT va.round, rounds.generation, prompt, CASE WHEN checkable THEN key END, hidden
FROM verdicts va JOIN verdicts vb USING (round, item) JOIN rounds USING (round)
JOIN round_items USING (round, item) JOIN items ON items.id = item
WHERE item = $item AND va.model = $a AND vb.model = $b
ORDER BY va.round DESC LIMIT 1
"""

_JUDGED = """
SELECT j.judge, j.mode, prefers, j.trust, favour, j.admitted
FROM judgements j JOIN audits USING (round, judge, mode)
WHERE j.round = $round AND item = $item AND model_a = $a AND model_b = $b
ORDER BY j.mode DESC, j.trust DESC, j.judge
"""


def hearing(archive: Archive, name: MatchName) -> MatchDetail:
    """One match with everything that was said of it, as of the last round in which it was played.

    Raises:
        ArchiveError: the two never met there, or said the same.
    """
    asked: dict[str, Any] = {"item": name.item, "a": name.a, "b": name.b}
    verifier = decides(archive)
    with archive.reading() as db:
        met = db.execute(_MET, asked).fetchone()
        asked["round"] = met and met[0]
        rows = db.execute(_ONE, {**asked, "verifier": verifier}).fetchall()
        judged = db.execute(_JUDGED, asked).fetchall()
    if met is None:
        raise ArchiveError(
            f"#{name.a} and #{name.b} never met on {name.item!r}; "
            f"`colony matches --model {name.a}` lists whom #{name.a} met"
        )
    if not rows:
        raise ArchiveError(
            f"#{name.a} and #{name.b} gave the same answer to {name.item!r}: that is no match"
        )
    _, generation, prompt, key, hidden = met
    match = match_of(rows[0])
    known = reliabilities(archive, match.task)
    judgements = []
    for judge, mode, prefers, trust, favour, admitted in judged:
        of_task = known[judge][mode]
        judgements.append(
            Judgement(judge, mode, prefers, trust, favour, admitted, of_task.hits, of_task.misses)
        )
    return MatchDetail(match, generation, prompt, key, hidden, tuple(judgements))
