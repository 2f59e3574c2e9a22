"""Results of matches as arrays: match by match, and summed by pair.

Strengths depend on the sums by pair alone (and by judge, where judges differ), so a million matches
are reduced once, here or by a GROUP BY in a database, and the fit goes over pairs.
"""

from dataclasses import dataclass

import numpy as np

from arena.judges.votes import Integers
from lineage.records import Floats

NO_JUDGE = -1
"""The judge of a match that no single judge decided."""


@dataclass(frozen=True)
class Matches:
    """Results between contestants; every field has shape `[matches]`.

    Attributes:
        a: row of one contestant.
        b: row of the other.
        item: that both answered; any number that identifies it.
        score: of a, in [0, 1]: 1 is a win, 0 a loss, exactly 0.5 a tie; any other fraction is that
            share of a win and the rest of a loss, as the votes of a jury are.
        weight: how much the match counts, 0 or more; a match of weight 2 is two matches.
        judge: row of the judge that decided, or `NO_JUDGE`.
    """

    a: Integers
    b: Integers
    item: Integers
    score: Floats
    weight: Floats
    judge: Integers


@dataclass(frozen=True)
class Pairs:
    """Matches summed by pair, or by pair and judge; every field has shape `[pairs]`.

    A database makes them so, and by judge just as well:

        SELECT least(a, b) AS a, greatest(a, b) AS b, sum(weight) AS weight,
               sum(weight * CASE WHEN a < b THEN score ELSE 1 - score END) AS score,
               sum(CASE WHEN score = 0.5 THEN weight ELSE 0 END) AS ties
        FROM matches GROUP BY ALL

    Attributes:
        a: row of one contestant; the lower one.
        b: row of the other.
        judge: row of the judge, or `NO_JUDGE`.
        weight: summed.
        score: of a, weighted and summed.
        ties: the weight of the ties.
    """

    a: Integers
    b: Integers
    judge: Integers
    weight: Floats
    score: Floats
    ties: Floats


def pairs_of(matches: Matches, *, by_judge: bool = False) -> Pairs:
    """Sum matches by pair, lower row first, in ascending order.

    Args:
        matches: the results.
        by_judge: keep judges apart; else everything is summed under `NO_JUDGE`.

    >>> twice = Matches(np.array([0, 1]), np.array([1, 0]), np.arange(2), np.array([1.0, 0.0]),
    ...                 np.ones(2), np.full(2, NO_JUDGE))
    >>> pairs = pairs_of(twice)
    >>> pairs.weight.tolist(), pairs.score.tolist()
    ([2.0], [2.0])
    """
    turned = matches.a > matches.b
    low, high = np.where(turned, matches.b, matches.a), np.where(turned, matches.a, matches.b)
    judge = matches.judge if by_judge else np.full(len(low), NO_JUDGE)
    order, starts = _runs(low, high, judge)
    score = np.where(turned, 1.0 - matches.score, matches.score)
    first = order[starts]

    def summed(values: Floats) -> Floats:
        return np.add.reduceat(values[order], starts) if len(starts) else np.zeros(0)

    return Pairs(
        low[first],
        high[first],
        judge[first],
        summed(matches.weight),
        summed(matches.weight * score),
        summed(np.where(matches.score == 0.5, matches.weight, 0.0)),
    )


def sorted_pairs(pairs: Pairs) -> Pairs:
    """The same pairs by ascending rows of a, then b, then judge."""
    order, _ = _runs(pairs.a, pairs.b, pairs.judge)
    return Pairs(*(column[order] for column in vars(pairs).values()))


def _runs(a: Integers, b: Integers, judge: Integers) -> tuple[Integers, Integers]:
    """The order that sorts by (a, b, judge), and where each run of equals starts."""
    judges, rows = 2 + judge.max(initial=NO_JUDGE), 1 + b.max(initial=0)
    key = (a.astype(np.int64) * rows + b) * judges + judge + 1
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    return order, starts
