"""Trust: judges earn it on items whose keys may be looked at, without any labels.

On such an item each pair of a right and a wrong answer tests the judge. Its verdicts are counted as
hits and misses by mode, task and kin stratum (see `arena.reliability.kin`), so that a judge may be
reliable among strangers and unreliable about its kin.

An item is worth one observation at most, however many answers it has, since answers to one item are
not independent; and it never counts towards the trust with which that same item is judged.
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
"""Trust is the lower bound that a judge's reliability exceeds with probability 1 - this."""

POOLING = 4.0
"""Observations that a judge's overall reliability is worth in one task and stratum."""


@dataclass(frozen=True)
class VerdictWeights:
    """Weights of judges' verdicts: log-odds in nats that a verdict is right, 0 for guessing.

    Each has shape `[judges, items]`; the item's own evidence is left out.

    Attributes:
        balanced: where the judge is closer kin to neither contestant.
        for_kin: of a verdict for its closer kin.
        against_kin: of a verdict against its closer kin.
    """

    balanced: Floats
    for_kin: Floats
    against_kin: Floats

    def only(self, admitted: Floats) -> "VerdictWeights":
        """The same with weight 0 for judges that are not admitted.

        Args:
            admitted: shape `[judges]`, 1 or 0.
        """
        mask = admitted[:, None]
        return VerdictWeights(self.balanced * mask, self.for_kin * mask, self.against_kin * mask)


def prior_weights(judges: int, items: int) -> VerdictWeights:
    """Weights while no judge has any hit or miss: all equal, and half for verdicts for kin.

    Not zero: between a founder and an offspring every judge is closer kin to one of them, and if
    verdicts for kin had no weight, founders would be judged by founders and offspring by no judge.

    Args:
        judges: number of judges.
        items: number of items.
    """
    equal = np.ones((judges, items))
    return VerdictWeights(equal, 0.5 * equal, equal)


def hits_and_misses(slate: Slate, ballots: Votes, relationship: Floats) -> tuple[Floats, Floats]:
    """How often each judge preferred a right answer to a wrong one, and the reverse.

    Args:
        slate: the answers of the round.
        ballots: the votes of one mode.
        relationship: shape `[judges, contestants]`, coefficients in [0, 1].

    Returns:
        Hits and misses, each of shape `[judges, items, strata]`; both sum to at most 1 by judge,
        item and stratum.
    """
    hits = np.zeros((len(ballots.judges), len(slate.items), len(STRATA)))
    misses = np.zeros_like(hits)
    identity = np.array(ballots.judges)[:, None] == np.array(slate.models)[None, :]
    for column, right in enumerate(slate.right):
        if right is None:
            continue
        signs = ballots.signs[column]
        if len(slate.planted[column]) and (right == 1.0).any():
            votes = signs[:, right == 1.0][:, :, slate.planted[column]].reshape(len(signs), -1)
            hits[:, column, CANARY] = (votes > 0).mean(axis=1)
            misses[:, column, CANARY] = (votes < 0).mean(axis=1)
        choice = slate.choice[:, column]
        spoke = np.flatnonzero(choice != SILENT)
        worth = right[choice[spoke]]
        better, worse = np.nonzero(worth[:, None] > worth[None, :])
        if not len(better):
            continue
        first, second = spoke[better], spoke[worse]
        votes = signs[:, choice[first], choice[second]]
        asked = ~(identity[:, first] | identity[:, second])  # nobody judges itself
        if ballots.sampled:
            asked &= votes != 0
        side = closer_side(relationship, first, second)
        for stratum, of in ((STRANGERS, 0), (WRONG_IS_KIN, -1), (RIGHT_IS_KIN, 1)):
            here = asked & (side == of)
            count = np.maximum(here.sum(axis=1), 1)
            hits[:, column, stratum] = (here & (votes > 0)).sum(axis=1) / count
            misses[:, column, stratum] = (here & (votes < 0)).sum(axis=1) / count
    return hits, misses


def earlier_counts(
    record: Mapping[tuple[int, str, str, str], Trust],
    judges: Sequence[int],
    mode: str,
    tasks: Sequence[str],
) -> tuple[Floats, Floats]:
    """Earlier hits and misses of judges of a mode, each of shape `[judges, tasks, strata]`."""
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
    """The `CONFIDENCE` quantile of Beta(right, wrong), a one-sided lower credible bound.

    Args:
        right: first parameter, above 0; any shape.
        wrong: second parameter, above 0; of the same shape.

    Returns:
        Of the same shape, in (0, 1).

    >>> float(lower_bound(90.0, 10.0).round(2))
    0.85
    """
    return np.asarray(betaincinv(right, wrong, CONFIDENCE))


def totals(counts: Floats) -> Floats:
    """Counts of shape `[judges, ...]`, summed by judge: shape `[judges]`."""
    return np.asarray(counts.reshape(len(counts), -1).sum(axis=1))


def verdict_weights(
    hits: Floats, misses: Floats, of: Integers, item_hits: Floats, item_misses: Floats
) -> VerdictWeights:
    """Weights of judges' verdicts on every item.

    For a judge that prefers its kin with probability a where the kin is right and b where it is
    wrong, a verdict for its kin has the log-likelihood ratio log(a / b), and one against it
    log((1 - b) / (1 - a)). Lower credible bounds are used for all reliabilities, so judges with few
    observations have small weights.

    Args:
        hits: shape `[judges, tasks, strata]`, all observations.
        misses: shape `[judges, tasks, strata]`.
        of: shape `[items]`, index of the task of each item.
        item_hits: shape `[judges, items, strata]`, those of the items themselves, which are left
            out on each.
        item_misses: shape `[judges, items, strata]`.
    """
    mean = _mean(
        totals(hits)[:, None] - item_hits.sum(axis=2),
        totals(misses)[:, None] - item_misses.sum(axis=2),
    )
    bounds = []
    for stratum in (STRANGERS, WRONG_IS_KIN, RIGHT_IS_KIN):
        # A canary is a wrong answer without kin: it counts as a stranger's.
        seen = (stratum, CANARY) if stratum == STRANGERS else (stratum,)
        own_right = (hits[:, of] - item_hits)[:, :, seen].sum(axis=2)
        own_wrong = (misses[:, of] - item_misses)[:, :, seen].sum(axis=2)
        bounds.append(_pooled_bound(own_right, own_wrong, mean))
    strangers, wrong_is_kin, right_is_kin = bounds
    return VerdictWeights(
        balanced=np.clip(np.log(strangers / (1.0 - strangers)), 0.0, None),
        for_kin=np.clip(np.log(right_is_kin / (1.0 - wrong_is_kin)), 0.0, None),
        against_kin=np.clip(np.log(wrong_is_kin / (1.0 - right_is_kin)), 0.0, None),
    )


def answer_weights(hits: Floats, misses: Floats) -> Floats:
    """Weights of judges' own answers as votes, as log-odds in nats: shape `[judges, tasks]`.

    Args:
        hits: shape `[judges, tasks]`.
        misses: shape `[judges, tasks]`.
    """
    bound = _pooled_bound(hits, misses, _mean(totals(hits), totals(misses))[:, None])
    return np.clip(np.log(bound / (1.0 - bound)), 0.0, None)


def _mean(hits: Floats, misses: Floats) -> Floats:
    """A judge's overall reliability: the posterior mean under a uniform prior (Laplace's rule)."""
    return (1.0 + hits) / (2.0 + hits + misses)


def _pooled_bound(hits: Floats, misses: Floats, mean: Floats) -> Floats:
    """The lower bound of a reliability whose prior is `POOLING` observations at the mean."""
    bound = lower_bound(
        np.maximum(hits, 0.0) + POOLING * mean, np.maximum(misses, 0.0) + POOLING * (1.0 - mean)
    )
    return np.clip(bound, 1e-9, 1.0 - 1e-9)
