"""The detail of a match: both answers, and the verdict of every judge."""

from dataclasses import dataclass
from typing import Any

from lineage.archive.archive import Archive
from lineage.errors import ArchiveError
from lineage.queries.judges import reliabilities
from lineage.queries.matches import MATCHES, Match, MatchName, match_of
from lineage.records import ImageFile, images_in


@dataclass(frozen=True)
class Judgement:
    """The verdict of a judge on a match, and whether it counted.

    Attributes:
        judge: id.
        mode: how it judges.
        prefers: id of the contestant whose answer it prefers; None where it cannot tell.
        trust: a lower bound of its reliability over all its verdicts, rescaled to [0, 1]; 0 for
            guessing.
        favour: p-value of the audit for favouritism; None without enough observations.
        admitted: whether its verdicts counted in the round.
        hits: how often it was right on the item's task where a key could tell. The weight of its
            verdict follows from that: a judge that was never right on a task has none there.
        misses: how often it was wrong there.
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
    """A match with its item and the verdicts of all judges.

    Attributes:
        match: the contestants, their answers and the outcome.
        generation: after which the round was played.
        prompt: of the item.
        key: of the item, where it was checkable in that round.
        hidden: whether the item is used nowhere but in the arena.
        images: that the item shows.
        judgements: verdicts, by mode, the most trusted judge of each mode first.
    """

    match: Match
    generation: int
    prompt: str
    key: str | None
    hidden: bool
    images: tuple[ImageFile, ...]
    judgements: tuple[Judgement, ...]

    @property
    def newest(self) -> int:
        """The highest id among contestants and judges."""
        return max([self.match.b.model, *(one.judge for one in self.judgements)])


_ONE = f"""
{MATCHES}
WHERE m.round = $round AND item = $item AND model_a = $a AND model_b = $b
"""

_LAST_PLAYED = """
SELECT va.round, rounds.generation, prompt, CASE WHEN checkable THEN key END, hidden, details
FROM verdicts va JOIN verdicts vb USING (round, item) JOIN rounds USING (round)
JOIN round_items USING (round, item) JOIN items ON items.id = item
WHERE item = $item AND va.model = $a AND vb.model = $b
ORDER BY va.round DESC LIMIT 1
"""

_VERDICTS = """
SELECT j.judge, j.mode, prefers, j.trust, favour, j.admitted
FROM judgements j JOIN audits USING (round, judge, mode)
WHERE j.round = $round AND item = $item AND model_a = $a AND model_b = $b
ORDER BY j.mode DESC, j.trust DESC, j.judge
"""


def match_detail(archive: Archive, name: MatchName) -> MatchDetail:
    """The detail of a match, as of the last round in which it was played.

    Args:
        archive: where to look.
        name: of the match.

    Raises:
        ArchiveError: the two never met on that item, or gave the same answer.
    """
    parameters: dict[str, Any] = {"item": name.item, "a": name.a, "b": name.b}
    with archive.reading() as db:
        played = db.execute(_LAST_PLAYED, parameters).fetchone()
        parameters["round"] = played and played[0]
        rows = db.execute(_ONE, parameters).fetchall()
        verdicts = db.execute(_VERDICTS, parameters).fetchall()
    if played is None:
        raise ArchiveError(
            f"#{name.a} and #{name.b} never met on {name.item!r}; "
            f"`colony matches --model {name.a}` lists whom #{name.a} met"
        )
    if not rows:
        raise ArchiveError(
            f"#{name.a} and #{name.b} gave the same answer to {name.item!r}: that is no match"
        )
    _, generation, prompt, key, hidden, details = played
    match = match_of(rows[0])
    reliability = reliabilities(archive, match.task)
    judgements = []
    for judge, mode, prefers, trust, favour, admitted in verdicts:
        of_task = reliability[judge][mode]
        judgements.append(
            Judgement(judge, mode, prefers, trust, favour, admitted, of_task.hits, of_task.misses)
        )
    return MatchDetail(
        match, generation, prompt, key, hidden, images_in(details), tuple(judgements)
    )
