"""Who is believed how far: judges earn trust where a key can tell, and nobody labels anything.

On an item whose key may be looked at, each pair of a right and a wrong answer that lies before a
judge is a question about the judge. What it said is counted by mode, task and stratum (whose kin
it is, see `arena.reliability.kin`), so that "right among strangers, wrong where its kin is" is
known and used.

An item is worth one observation at most, however many answers it drew, since answers to one item
are not independent, and it never counts towards the trust with which that same item is judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from arena.judges import Slate, Votes
from arena.judges.votes import SILENT, Integers
from arena.reliability.kin import CANARY, RIGHT_IS_KIN, STRANGERS, STRATA, WRONG_IS_KIN, closer_side
from lineage.records import Floats, Trust

CONFIDENCE = 0.05
"""Trust is the lower bound that a judge's reliability passes with probability 1 - this."""

POOLING = 4.0
"""How many observations the record of a judge over everything is worth in one task and stratum."""


@dataclass(frozen=True)
class Beliefs:
    """What the word of a judge is worth, as log-odds in nats, zero for guessing.

    Each has shape (judges, items), the item's own evidence left out.

    Attributes:
        balanced: where it is closer kin to neither contestant.
        for_kin: of a verdict for its closer kin.
        against_kin: of a verdict against its closer kin.
    """

    balanced: Floats
    for_kin: Floats
    against_kin: Floats

    def only(self, admitted: Floats) -> "Beliefs":
        """With the judges silenced that are not admitted, shape (judges,)."""
        mask = admitted[:, None]
        return Beliefs(self.balanced * mask, self.for_kin * mask, self.against_kin * mask)


def unproved(judges: int, items: int) -> Beliefs:
    """What words are worth while nobody has proved anything: the same, and praise of kin half.

    Not nothing: between a founder and an offspring everybody is closer kin to one of them, and if
    no kin could praise, founders would be judged by founders and offspring by nobody.
    """
    equal = np.ones((judges, items))
    return Beliefs(equal, 0.5 * equal, equal)


def earned(slate: Slate, ballots: Votes, relationship: Floats) -> tuple[Floats, Floats]:
    """How often each judge preferred a right answer to a wrong one, and the reverse.

    Args:
        slate: the answers of the round.
        ballots: the votes of one mode.
        relationship: shape (judges, contestants).

    Returns:
        hits and misses, each of shape (judges, items, strata).
    """
    hits = np.zeros((len(ballots.judges), len(slate.items), len(STRATA)))
    misses = np.zeros_like(hits)
    identity = np.array(ballots.judges)[:, None] == np.array(slate.models)[None, :]
    for column, right in enumerate(slate.right):
        if right is None:
            continue
        signs = ballots.signs[column]
        if len(slate.planted[column]) and (right == 1.0).any():
            told = signs[:, right == 1.0][:, :, slate.planted[column]].reshape(len(signs), -1)
            hits[:, column, CANARY] = (told > 0).mean(axis=1)
            misses[:, column, CANARY] = (told < 0).mean(axis=1)
        choice = slate.choice[:, column]
        spoke = np.flatnonzero(choice != SILENT)
        worth = right[choice[spoke]]
        better, worse = np.nonzero(worth[:, None] > worth[None, :])
        if not len(better):
            continue
        first, second = spoke[better], spoke[worse]
        told = signs[:, choice[first], choice[second]]
        asked = ~(identity[:, first] | identity[:, second])  # nobody judges itself
        if ballots.sampled:
            asked &= told != 0
        side = closer_side(relationship, first, second)
        for stratum, of in ((STRANGERS, 0), (WRONG_IS_KIN, -1), (RIGHT_IS_KIN, 1)):
            here = asked & (side == of)
            count = np.maximum(here.sum(axis=1), 1)
            hits[:, column, stratum] = (here & (told > 0)).sum(axis=1) / count
            misses[:, column, stratum] = (here & (told < 0)).sum(axis=1) / count
    return hits, misses


def recorded(
    record: Mapping[tuple[int, str, str, str], Trust],
    judges: Sequence[int],
    mode: str,
    tasks: Sequence[str],
) -> tuple[Floats, Floats]:
    """Earlier hits and misses of judges of a mode, each of shape (judges, tasks, strata)."""
    known = np.array(
        [
            [
                [
                    (entry.hits, entry.misses)
                    if (entry := record.get((judge, mode, task, stratum)))
                    else (0.0, 0.0)
                    for stratum in STRATA
                ]
                for task in tasks
            ]
            for judge in judges
        ]
    ).reshape(len(judges), len(tasks), len(STRATA), 2)
    return known[..., 0], known[..., 1]


def lower_bound(right: Floats | float, wrong: Floats | float) -> Floats:
    """What a Beta(right, wrong) exceeds with probability 1 - `CONFIDENCE`."""
    return np.asarray(betaincinv(right, wrong, CONFIDENCE))


def totals(counts: Floats) -> Floats:
    """Counts of shape (judges, ...) summed over everything, shape (judges,)."""
    return np.asarray(counts.reshape(len(counts), -1).sum(axis=1))


def beliefs(
    hits: Floats, misses: Floats, of: Integers, item_hits: Floats, item_misses: Floats
) -> Beliefs:
    """What judges' words are worth on every item.

    A judge that favours kin with probability a where the kin is right and b where it is wrong has
    said little with praise of kin (log a/b) and much with blame (log (1-b)/(1-a)): the likelihood
    ratios of its verdict. Lower bounds are used throughout, so whoever is little known says little.

    Args:
        hits: shape (judges, tasks, strata), everything known.
        misses: as `hits`.
        of: shape (items,), the task of each item.
        item_hits: shape (judges, items, strata), what the items themselves gave, which is left out
            on each.
        item_misses: as `item_hits`.
    """
    mean = _mean(
        totals(hits)[:, None] - item_hits.sum(axis=2),
        totals(misses)[:, None] - item_misses.sum(axis=2),
    )
    bounds = []
    for stratum in (STRANGERS, WRONG_IS_KIN, RIGHT_IS_KIN):
        # A canary is a wrong answer of nobody's kin: it tells of strangers.
        seen = (stratum, CANARY) if stratum == STRANGERS else (stratum,)
        own_right = (hits[:, of] - item_hits)[:, :, seen].sum(axis=2)
        own_wrong = (misses[:, of] - item_misses)[:, :, seen].sum(axis=2)
        bounds.append(_pooled_bound(own_right, own_wrong, mean))
    strangers, wrong_is_kin, right_is_kin = bounds
    return Beliefs(
        balanced=np.clip(np.log(strangers / (1.0 - strangers)), 0.0, None),
        for_kin=np.clip(np.log(right_is_kin / (1.0 - wrong_is_kin)), 0.0, None),
        against_kin=np.clip(np.log(wrong_is_kin / (1.0 - right_is_kin)), 0.0, None),
    )


def beliefs_by_task(hits: Floats, misses: Floats) -> Floats:
    """What judges' own answers are worth as votes, as log-odds in nats, shape (judges, tasks).

    Args:
        hits: shape (judges, tasks).
        misses: as `hits`.
    """
    bound = _pooled_bound(hits, misses, _mean(totals(hits), totals(misses))[:, None])
    return np.clip(np.log(bound / (1.0 - bound)), 0.0, None)


def _mean(hits: Floats, misses: Floats) -> Floats:
    """A judge's reliability over everything, from a uniform prior."""
    return (1.0 + hits) / (2.0 + hits + misses)


def _pooled_bound(hits: Floats, misses: Floats, mean: Floats) -> Floats:
    """The lower bound of a reliability of which the judge's mean is known beforehand."""
    bound = lower_bound(
        np.maximum(hits, 0.0) + POOLING * mean, np.maximum(misses, 0.0) + POOLING * (1.0 - mean)
    )
    return np.clip(bound, 1e-9, 1.0 - 1e-9)
