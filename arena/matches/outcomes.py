"""From votes to outcomes: the result of every pair of different answers.

Where a key may be looked at, the verifier decides. Elsewhere the judges do: each verdict has the
log-odds that its judge has earned (`arena.reliability.trust`), and their sum is the log-odds that
one answer is better than the other. Judges of one archive share ancestors and mistakes, so n of
them weigh as much as sqrt(n) independent ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from arena.judges import Slate, Votes
from arena.judges.votes import SILENT
from arena.ratings import Matches
from arena.reliability.kin import closer_side
from arena.reliability.trust import VerdictWeights
from lineage.records import Floats, MatchOutcome


@dataclass(frozen=True)
class Judges:
    """The judges of one mode: their votes, their weights, and their kinship.

    `relationship` has shape `[judges, contestants]`.
    """

    ballots: Votes
    beliefs: VerdictWeights
    relationship: Floats


def decided(slate: Slate, benches: Sequence[Judges], verifier: bool) -> Matches:
    """The matches of a round: every two contestants that answered an item differently.

    Pairs without a verdict of any weight are no matches.

    Args:
        slate: the answers.
        benches: the judges, one bench for each mode.
        verifier: whether keys decide where they may be looked at; otherwise they only earn the
            judges their trust.
    """
    parts: list[tuple[Floats, ...]] = []
    for column, right in enumerate(slate.right):
        choice = slate.choice[:, column]
        asked = np.flatnonzero(choice != SILENT)
        upper, lower = np.triu_indices(len(asked), k=1)
        first, second = asked[upper], asked[lower]
        differ = choice[first] != choice[second]
        first, second = first[differ], second[differ]
        if verifier and right is not None:
            score = 0.5 + 0.5 * np.sign(right[choice[first]] - right[choice[second]])
            judged = np.ones(len(first), dtype=bool)
        else:
            odds, voices = _odds(slate, benches, column, first, second)
            score = 1.0 / (1.0 + np.exp(-odds / np.sqrt(np.maximum(voices, 1.0))))
            judged = voices > 0
        parts.append(
            (first[judged], second[judged], np.full(int(judged.sum()), column), score[judged])
        )
    a, b, item, score = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Matches(a, b, item, score, np.ones(len(a)))


def _odds(
    slate: Slate, benches: Sequence[Judges], column: int, first: Floats, second: Floats
) -> tuple[Floats, Floats]:
    """Summed log-odds for `first`, and the number of judges with weight: shape `[pairs]` each."""
    odds, voices = np.zeros(len(first)), np.zeros(len(first))
    choice = slate.choice[:, column]
    for bench in benches:
        judges = np.array(bench.ballots.judges)[:, None]
        told = bench.ballots.signs[column][:, choice[first], choice[second]]
        models = np.array(slate.models)
        itself = (judges == models[first][None, :]) | (judges == models[second][None, :])
        side = closer_side(bench.relationship, first, second)
        beliefs = bench.beliefs
        worth = np.where(
            side == 0,
            beliefs.balanced[:, [column]],
            np.where(side == told, beliefs.for_kin[:, [column]], beliefs.against_kin[:, [column]]),
        )
        worth = np.where(itself | (told == 0), 0.0, worth)
        odds += (worth * told).sum(axis=0)
        voices += (worth > 0.0).sum(axis=0)
    return odds, voices


def recorded_outcomes(slate: Slate, matches: Matches) -> tuple[MatchOutcome, ...]:
    """The outcome of each match as records for the archive, the smaller id first."""
    winners = np.sign(np.round(matches.score - 0.5, 9)).astype(int)
    found = []
    for a, b, item, outcome in zip(
        matches.a.tolist(), matches.b.tolist(), matches.item.tolist(), winners.tolist(), strict=True
    ):
        one, other = slate.models[a], slate.models[b]
        first = one < other
        found.append(
            MatchOutcome(slate.items[item], one, other, outcome)
            if first
            else MatchOutcome(slate.items[item], other, one, -outcome)
        )
    return tuple(found)


def supports(slate: Slate, matches: Matches) -> Floats:
    """The mean result of each contestant on each item: shape `[models, items]`.

    NaN for contestants that were not asked; 0.5 for those without a match there.
    """
    shape = slate.choice.shape
    size = shape[0] * shape[1]
    won = np.bincount(matches.a * shape[1] + matches.item, matches.score, size)
    won += np.bincount(matches.b * shape[1] + matches.item, 1.0 - matches.score, size)
    played = np.bincount(matches.a * shape[1] + matches.item, minlength=size)
    played += np.bincount(matches.b * shape[1] + matches.item, minlength=size)
    mean = np.where(played > 0, won / np.maximum(played, 1), 0.5).reshape(shape)
    return np.where(slate.choice == SILENT, np.nan, mean)
