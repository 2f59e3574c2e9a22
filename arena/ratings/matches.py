"""Results of matches as arrays: match by match, and summed by pair.

Strengths depend on the sums by pair alone, so a million matches are reduced once, here or by a
GROUP BY in a database, and the fit goes over pairs.
"""

from dataclasses import dataclass

import numpy as np

from arena.judges.votes import Integers
from lineage.records import Floats


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
    """

    a: Integers
    b: Integers
    item: Integers
    score: Floats
    weight: Floats


@dataclass(frozen=True)
class Pairs:
    """Matches summed by pair; every field has shape `[pairs]`.

    A database makes them so:

        SELECT least(a, b) AS a, greatest(a, b) AS b, sum(weight) AS weight,
               sum(weight * CASE WHEN a < b THEN score ELSE 1 - score END) AS score,
               sum(CASE WHEN score = 0.5 THEN weight ELSE 0 END) AS ties
        FROM matches GROUP BY ALL

    Attributes:
        a: row of one contestant; the lower one.
        b: row of the other.
        weight: summed.
        score: of a, weighted and summed.
        ties: the weight of the ties.
    """

    a: Integers
    b: Integers
    weight: Floats
    score: Floats
    ties: Floats


def pairs_of(matches: Matches) -> Pairs:
    """Sum matches by pair, lower row first, in ascending order.

    >>> twice = Matches(np.array([0, 1]), np.array([1, 0]), np.arange(2), np.array([1.0, 0.0]),
    ...                 np.ones(2))
    >>> pairs = pairs_of(twice)
    >>> pairs.weight.tolist(), pairs.score.tolist()
    ([2.0], [2.0])
    """
    turned = matches.a > matches.b
    low, high = np.where(turned, matches.b, matches.a), np.where(turned, matches.a, matches.b)
    order, starts = _runs(low, high)
    score = np.where(turned, 1.0 - matches.score, matches.score)
    first = order[starts]

    def summed(values: Floats) -> Floats:
        return np.add.reduceat(values[order], starts) if len(starts) else np.zeros(0)

    return Pairs(
        low[first],
        high[first],
        summed(matches.weight),
        summed(matches.weight * score),
        summed(np.where(matches.score == 0.5, matches.weight, 0.0)),
    )


def sorted_pairs(pairs: Pairs) -> Pairs:
    """The same pairs by ascending rows of a, then b."""
    order, _ = _runs(pairs.a, pairs.b)
    return Pairs(*(column[order] for column in vars(pairs).values()))


def _runs(a: Integers, b: Integers) -> tuple[Integers, Integers]:
    """The order that sorts by (a, b), and where each run of equals starts."""
    key = a.astype(np.int64) * (1 + b.max(initial=0)) + b
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    return order, starts
