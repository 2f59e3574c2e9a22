"""From ballots to verdicts: who is believed, and what the jury makes of every answer.

Judges earn trust where a key can tell: on every item whose key is known, each pair of a right and
a wrong answer that lies before a judge is a question about the judge. An item never counts towards
the trust with which that same item is judged. Nobody judges itself, and kin count less the closer
they are: a vote is weighted by trust times (1 - relationship to the contestant).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from arena.judges.ballot import Ballots, Floats, Slate
from lineage.records import Trust

PRIOR_HITS, PRIOR_MISSES = 2.0, 1.0
"""A judge without a record is believed a little: two right, one wrong."""


def earned_trust(slate: Slate, ballots: Ballots, keys: Mapping[str, str]) -> tuple[Floats, Floats]:
    """How often each judge preferred a right answer to a wrong one, and the reverse.

    An item is worth one observation, however many wrong answers it drew, since answers to the
    same item are not independent.

    Args:
        slate: the answers of the round.
        ballots: the votes of the judges.
        keys: the key of every checkable item, by item id.

    Returns:
        hits and misses, each of shape (judges, items).
    """
    hits = np.zeros((len(ballots.judges), len(slate.items)))
    misses = np.zeros_like(hits)
    for column, (item, answers) in enumerate(zip(slate.items, slate.answers, strict=True)):
        if keys.get(item) not in answers or len(answers) < 2:
            continue
        votes = ballots.votes[column]
        right = answers.index(keys[item])
        rivals = np.delete(votes, right, axis=1)
        hits[:, column] = np.mean(votes[:, [right]] > rivals, axis=1)
        misses[:, column] = np.mean(votes[:, [right]] < rivals, axis=1)
    return hits, misses


def supports(
    slate: Slate,
    ballots: Sequence[Ballots],
    keys: Mapping[str, str],
    record: Mapping[tuple[int, str], Trust],
    relationship: Mapping[int, Mapping[int, float]],
) -> tuple[Floats, list[Trust]]:
    """The jury's support for every contestant's answer, and the judges' new records.

    Args:
        slate: the answers of the round.
        ballots: the votes, one entry per kind of judge.
        keys: the key of every checkable item.
        record: each judge's earlier hits and misses, by (judge, mode).
        relationship: coefficients of relationship, by contestant and judge.

    Returns:
        An array of shape (models, items) in [0, 1]: the share of the jury's trust that stands
        behind the answer (0.5 where nobody can judge), and the records including this round.
    """
    total = np.zeros((len(slate.models), len(slate.items)))
    weight = np.zeros_like(total)
    records: list[Trust] = []
    for kind in ballots:
        hits, misses = earned_trust(slate, kind, keys)
        before = [
            record.get((judge, kind.mode), Trust(judge, kind.mode, PRIOR_HITS, PRIOR_MISSES))
            for judge in kind.judges
        ]
        old_hits = np.array([trust.hits for trust in before])[:, None]
        old_misses = np.array([trust.misses for trust in before])[:, None]
        all_hits = old_hits + hits.sum(axis=1, keepdims=True)
        all_misses = old_misses + misses.sum(axis=1, keepdims=True)
        # The optimal weight of an independent vote that is right with probability p: its log-odds.
        belief = np.clip(np.log((all_hits - hits) / (all_misses - misses)), 0.0, None)
        distance = 1.0 - np.array(
            [
                [
                    1.0 if judge == model else relationship[model].get(judge, 0.0)
                    for judge in kind.judges
                ]
                for model in slate.models
            ]
        ).reshape(len(slate.models), len(kind.judges))
        for column, votes in enumerate(kind.votes):
            cast = np.isfinite(votes).all(axis=1)
            voice = distance[:, cast] * belief[cast, column]
            given = votes[cast][:, slate.choice[:, column]].T
            total[:, column] += np.sum(voice * given, axis=1)
            weight[:, column] += np.sum(voice, axis=1)
        records += [
            Trust(judge, kind.mode, float(h), float(m))
            for judge, h, m in zip(kind.judges, all_hits[:, 0], all_misses[:, 0], strict=True)
        ]
    with np.errstate(invalid="ignore"):
        share = np.where(weight > 0.0, total / weight, 0.5)
    return share, records
