"""Matches: pairs of models that answered an item differently in a round, and their outcomes.

A match is named `A-B@ITEM`, the smaller id first: who met on what. The same two meet again in every
round that is played on the same panel, on the same answers; then the last round tells, since judges
have earned more trust by then.

Where a key was looked at, the better answer by the key has won. Elsewhere the jury has decided of
each pair, and ratings are fitted on the same outcomes: the view `matches` has both. Archives of
schemas before 6 did not keep what the jury said of a pair; in their rounds the contestant with the
higher mean result on the item (its support) counts as the winner.
"""

import re
from dataclasses import dataclass
from typing import Any

from lineage.archive.archive import Archive
from lineage.errors import ArchiveError

_NAME = re.compile(r"#?(\d{1,9})\s*-\s*#?(\d{1,9})\s*@\s*(.+)")


@dataclass(frozen=True)
class MatchName:
    """Which match: the two contestants, the one with the smaller id first, and the item."""

    a: int
    b: int
    item: str

    def __str__(self) -> str:
        return f"{self.a}-{self.b}@{self.item}"

    @classmethod
    def read(cls, text: str) -> "MatchName":
        """The match that a text names, as a person types it.

        Raises:
            ArchiveError: it names no match.

        >>> str(MatchName.read("#9 - #4 @ sort/search/1"))
        '4-9@sort/search/1'
        """
        match = _NAME.fullmatch(text.strip())
        if match is None or match.group(1) == match.group(2):
            raise ArchiveError(
                f"expected a match as two ids and an item, A-B@ITEM, got {text!r}; "
                "`colony matches` lists them"
            )
        a, b = sorted(int(match.group(place)) for place in (1, 2))
        return cls(a, b, match.group(3))


@dataclass(frozen=True)
class Side:
    """A contestant: its answer, its mean result on the item in [0, 1], and how right it is.

    `verified` is None where the key was not looked at.
    """

    model: int
    answer: str
    support: float
    verified: float | None


@dataclass(frozen=True)
class Match:
    """A match as it stood after a round.

    Attributes:
        round: the round.
        item: id of the item.
        task: of the item.
        a: the contestant with the smaller id.
        b: the other one.
        outcome: 1 where `a` has won, -1 where `b` has, 0 for a tie; None where no judge
            is believed.
        by_key: whether the key decided.
    """

    round: int
    item: str
    task: str
    a: Side
    b: Side
    outcome: int | None
    by_key: bool

    @property
    def name(self) -> MatchName:
        """The name of the match."""
        return MatchName(self.a.model, self.b.model, self.item)

    @property
    def winner(self) -> int | None:
        """Id of the winner; None for a tie, and where no verdict had weight."""
        return {1: self.a.model, -1: self.b.model}.get(self.outcome or 0)


MATCHES = """
SELECT m.round, item, task, model_a, answer_a, support_a, verified_a,
       model_b, answer_b, support_b, verified_b, outcome, by_key
FROM matches m JOIN items ON items.id = item
"""
"""What `match_of` is made of; filter it by round."""

_LISTED = f"""
{MATCHES}
LEFT JOIN ratings ra ON ra.round = m.round AND ra.model = model_a
LEFT JOIN ratings rb ON rb.round = m.round AND rb.model = model_b
WHERE m.round = $round AND ($task IS NULL OR task = $task)
  AND ($model IS NULL OR model_a = $model OR model_b = $model)
ORDER BY ra.rating + rb.rating DESC NULLS LAST, model_a, model_b, item
LIMIT $limit
"""

_LAST = """
SELECT max(round) FROM verdicts
WHERE ($model IS NULL OR model = $model)
  AND ($task IS NULL OR item IN (SELECT id FROM items WHERE task = $task))
"""


def matches(
    archive: Archive,
    *,
    model: int | None = None,
    task: str | None = None,
    round: int | None = None,  # noqa: A002 - what it is called
    limit: int = 100,
) -> list[Match]:
    """The matches of a round, those of the best rated pairs first.

    Args:
        archive: where to look.
        model: id; only its matches.
        task: only matches on items of this task.
        round: number of the round; None for the last one with such matches.
        limit: list so many at most.
    """
    asked: dict[str, Any] = {"model": model, "task": task}
    with archive.reading() as db:
        if round is None:
            ((round,),) = db.execute(_LAST, asked).fetchall()  # noqa: A001 - see above
        rows = db.execute(_LISTED, {**asked, "round": round, "limit": limit}).fetchall()
    return [match_of(row) for row in rows]


def match_of(row: tuple[Any, ...]) -> Match:
    """A row of `MATCHES` as a match."""
    number, item, task = row[:3]
    outcome = None if row[11] is None else int(row[11])
    return Match(number, item, task, Side(*row[3:7]), Side(*row[7:11]), outcome, bool(row[12]))
