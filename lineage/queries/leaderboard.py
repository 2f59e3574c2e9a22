"""The leaderboard: ratings, results of matches, and reliability as a judge.

Ratings are of the last round that a model took part in, and so are the matches that are counted: a
round refits all ratings from all matches on its panel, and the zero of the scale is the founders in
every round, so that ratings of different rounds can be compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lineage.archive.archive import Archive
from lineage.points import points, spread
from lineage.queries.judges import Reliability, reliabilities
from lineage.storage.schema import OUTCOME


@dataclass(frozen=True)
class LeaderboardRow:
    """A row of the leaderboard.

    Attributes:
        model: id.
        name: of a founder; None for offspring.
        living: whether it may be picked as a parent.
        champion: whether it is the champion.
        rating: in Elo points, see `lineage.points`.
        interval: half of its 95 % interval, in Elo points.
        round: number of the last round that it took part in.
        wins: number of matches it won in that round.
        losses: number of matches it lost there.
        ties: number of its matches there that were ties.
        support: its mean result on the items of that round, in [0, 1].
        reliability: its reliability as a judge, by mode.
    """

    model: int
    name: str | None
    living: bool
    champion: bool
    rating: float
    interval: float
    round: int
    wins: int = 0
    losses: int = 0
    ties: int = 0
    support: float | None = None
    reliability: Mapping[str, Reliability] = field(default_factory=dict)


_RATED = """
SELECT model, name, died IS NULL,
       model IS NOT DISTINCT FROM (SELECT arg_max(champion, generation) FROM generations),
       arg_max(rating, round), arg_max(deviation, round), max(round)
FROM ratings JOIN models ON models.id = model
WHERE $all OR died IS NULL GROUP BY ALL
"""

_LAST = """
last AS (
    SELECT model, max(round) AS round FROM ratings JOIN models ON models.id = model
    WHERE $all OR died IS NULL GROUP BY model
)
"""

# The view `matches` seen by one contestant each: the view itself would be made of all rounds.
_SCORE = f"""
WITH {_LAST}, either_way AS (
    FROM outcomes
    UNION ALL SELECT round, item, model_b, model_a, -outcome FROM outcomes
), decided AS (
    SELECT va.model, {OUTCOME} AS outcome
    FROM last JOIN verdicts va USING (model, round) JOIN items ON items.id = va.item
    JOIN verdicts vb ON vb.round = va.round AND vb.item = va.item AND vb.model <> va.model
    JOIN answers aa ON aa.item = va.item AND aa.model = va.model
    JOIN answers ab ON ab.item = vb.item AND ab.model = vb.model
    JOIN rounds ON rounds.round = va.round
    JOIN round_items i ON i.round = va.round AND i.item = va.item
    LEFT JOIN either_way o ON o.round = va.round AND o.item = va.item
                          AND o.model_a = va.model AND o.model_b = vb.model
    WHERE aa.answer <> ab.answer AND ($task IS NULL OR task = $task)
)
SELECT model, count(*) FILTER (outcome > 0), count(*) FILTER (outcome < 0),
       count(*) FILTER (outcome = 0)
FROM decided GROUP BY model
"""  # noqa: S608

_SUPPORT = f"""
WITH {_LAST}
SELECT model, avg(support) FROM verdicts JOIN last USING (model, round)
JOIN items ON items.id = item WHERE $task IS NULL OR task = $task GROUP BY model
"""  # noqa: S608


def leaderboard(
    archive: Archive, *, task: str | None = None, everyone: bool = False
) -> list[LeaderboardRow]:
    """The leaderboard, the best rated first; of one task, the best supported there first.

    Args:
        archive: where to look.
        task: count matches, support, hits and misses of this task alone.
        everyone: list fossils as well, with their last rating.
    """
    scope: dict[str, Any] = {"all": everyone}
    of_task = {**scope, "task": task}
    with archive.reading() as db:
        rated = db.execute(_RATED, scope).fetchall()
        scores = {row[0]: row[1:] for row in db.execute(_SCORE, of_task).fetchall()}
        support = dict(db.execute(_SUPPORT, of_task).fetchall())
    reliability = reliabilities(archive, task)
    rows = []
    for model, name, living, champion, rating, deviation, last in rated:
        wins, losses, ties = scores.get(model, (0, 0, 0))
        rows.append(
            LeaderboardRow(
                model, name, living, champion, points(rating),
                spread(deviation), last, wins, losses, ties, support.get(model),
                reliability.get(model, {}),
            )
        )  # fmt: skip
    if task is not None:
        return sorted(rows, key=lambda s: (-(s.support or 0.0), -s.rating, s.model))
    return sorted(rows, key=lambda s: (-s.rating, s.model))
