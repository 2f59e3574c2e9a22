"""Adjudication of a slate: hits and misses of judges, their audits, and the matches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from arena.judges import JUDGES, ComparingJudge, Judge, Modes, Proof, Replies, Slate, Votes
from arena.matches.outcomes import Judges, decided
from arena.ratings import Matches
from arena.reliability.audit import SUSPICIOUS, favouritism
from arena.reliability.kin import STRATA
from arena.reliability.trust import (
    earlier_counts,
    hits_and_misses,
    lower_bound,
    prior_weights,
    totals,
    verdict_weights,
)
from lineage.records import Audit, Floats, Trust, Vote

Record = Mapping[tuple[int, str, str, str], Trust]
"""What is known of judges from other items, by judge, mode, task and stratum."""


@dataclass(frozen=True)
class Adjudication:
    """What the judges made of a slate, and what the slate says of them.

    `votes` are those of the judges whose votes follow from nothing else that is kept.
    """

    matches: Matches
    votes: tuple[Vote, ...]
    trust: tuple[Trust, ...]
    audits: tuple[Audit, ...]


def record_of(trust: Sequence[Trust]) -> Record:
    """Records of judges, to be looked up."""
    return {(entry.judge, entry.mode, entry.task, entry.stratum): entry for entry in trust}


def passed(trust: Sequence[Trust], mode: str, proof: Proof) -> set[int]:
    """The judges of a mode that may be asked where nobody knows the answer."""
    right: dict[int, float] = {}
    wrong: dict[int, float] = {}
    for entry in trust:
        if entry.mode == mode:
            right[entry.judge] = right.get(entry.judge, 0.0) + entry.hits
            wrong[entry.judge] = wrong.get(entry.judge, 0.0) + entry.misses
    return {judge for judge in right if _passes(proof, right[judge], wrong[judge])}


def adjudicate(
    slate: Slate,
    relationship: Mapping[int, Floats],
    record: Record,
    *,
    verifier: bool,
    replies: Mapping[str, Replies] | None = None,
    judges: Modes = JUDGES,
    audit: bool = True,
) -> Adjudication:
    """Judge a slate.

    Args:
        slate: the answers.
        relationship: of every judge to all contestants, shape `[contestants]` each.
        record: what is known of the judges from other items.
        verifier: whether keys decide where they may be looked at.
        replies: what judges replied about the answers, by mode.
        judges: the kinds of judges.
        audit: whether to look for judges that favour somebody.
    """
    tasks = sorted(set(slate.tasks))
    of = np.array([tasks.index(task) for task in slate.tasks])
    benches, votes, trust, audits = [], [], [], []
    for mode, judge in judges.items():
        ballots = judge.votes(slate, (replies or {}).get(mode, Replies()))
        if not ballots.judges:
            continue
        related = np.array([relationship[judge] for judge in ballots.judges])
        item_hits, item_misses = hits_and_misses(slate, ballots, related)
        here = np.zeros((2, len(ballots.judges), len(tasks), len(STRATA)))
        np.add.at(here[0].swapaxes(0, 1), of, item_hits.swapaxes(0, 1))
        np.add.at(here[1].swapaxes(0, 1), of, item_misses.swapaxes(0, 1))
        before = earlier_counts(record, ballots.judges, mode, tasks)
        hits, misses = here[0] + before[0], here[1] + before[1]
        own = judge.evidence == "answers"  # then who shares a mistake made it itself
        favour = np.full(len(ballots.judges), np.nan)
        if audit and not own:
            favour = favouritism(slate, ballots, related)
        seen = _audited(mode, judge, ballots, favour, totals(hits), totals(misses))
        admitted = np.array([float(audit.admitted) for audit in seen])
        worth = verdict_weights(hits, misses, of, item_hits, item_misses).only(admitted)
        if own and not (hits.any() or misses.any()):
            worth = prior_weights(len(ballots.judges), len(of))
        benches.append(Judges(ballots, worth, related))
        trust += _new(mode, ballots, tasks, here[0], here[1])
        if judge.evidence == "votes":
            votes += _votes(mode, slate, ballots)
        audits += seen
    return Adjudication(
        decided(slate, benches, verifier), tuple(votes), tuple(trust), tuple(audits)
    )


def _audited(
    mode: str, judge: Judge, ballots: Votes, favour: Floats, right: Floats, wrong: Floats
) -> list[Audit]:
    """Who may speak: whoever favours nobody, and can tell at all where that has to be shown."""
    proof = judge.proof if isinstance(judge, ComparingJudge) else Proof(0, 0.0)
    bounds = np.clip(2.0 * lower_bound(1.0 + right, 1.0 + wrong) - 1.0, 0.0, None)
    return [
        Audit(
            model,
            mode,
            float(bound),
            None if np.isnan(p) else float(p),
            not p < SUSPICIOUS and _passes(proof, hits, misses),
            judge.evidence,
        )
        for model, bound, p, hits, misses in zip(
            ballots.judges, bounds, favour, right, wrong, strict=True
        )
    ]


def _passes(proof: Proof, right: float, wrong: float) -> bool:
    enough = right + wrong >= proof.pairs
    return enough and bool(lower_bound(1.0 + right, 1.0 + wrong) > proof.accuracy)


def _votes(mode: str, slate: Slate, ballots: Votes) -> list[Vote]:
    """The votes as records, as far as a judge can tell."""
    return [
        Vote(item, ballots.judges[judge], mode, answers[better], answers[worse])
        for item, answers, signs in zip(slate.items, slate.answers, ballots.signs, strict=True)
        for judge, better, worse in zip(*np.nonzero(signs > 0), strict=True)
    ]


def _new(
    mode: str, ballots: Votes, tasks: Sequence[str], hits: Floats, misses: Floats
) -> list[Trust]:
    """The counts as records, where there are any."""
    return [
        Trust(
            ballots.judges[judge],
            mode,
            tasks[task],
            STRATA[stratum],
            float(hits[judge, task, stratum]),
            float(misses[judge, task, stratum]),
        )
        for judge, task, stratum in zip(*np.nonzero(hits + misses), strict=True)
    ]
