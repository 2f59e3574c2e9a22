"""What follows from a slate: who is believed how far, who is sent off, and who beat whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from arena.judges import JUDGES, Slate, Votes, consensus, preference
from arena.matches.outcomes import Judges, decided
from arena.ratings import Matches
from arena.reliability.audit import SUSPICIOUS, favouritism
from arena.reliability.kin import STRATA
from arena.reliability.trust import beliefs, earned, lower_bound, recorded, totals, unproved
from lineage.records import Audit, Floats, Trust

Record = Mapping[tuple[int, str, str, str], Trust]
"""What is known of judges from other items, by judge, mode, task and stratum."""


@dataclass(frozen=True)
class Adjudication:
    """What the judges made of a slate, and what the slate says of them."""

    matches: Matches
    trust: tuple[Trust, ...]
    audits: tuple[Audit, ...]


def record_of(trust: Sequence[Trust]) -> Record:
    """Records of judges, to be looked up."""
    return {(entry.judge, entry.mode, entry.task, entry.stratum): entry for entry in trust}


def passed(trust: Sequence[Trust]) -> set[int]:
    """The judges that may be asked "A or B?" where nobody knows the answer."""
    right: dict[int, float] = {}
    wrong: dict[int, float] = {}
    for entry in trust:
        if entry.mode == preference.MODE:
            right[entry.judge] = right.get(entry.judge, 0.0) + entry.hits
            wrong[entry.judge] = wrong.get(entry.judge, 0.0) + entry.misses
    return {judge for judge in right if _passes(right[judge], wrong[judge])}


def judged(
    slate: Slate,
    relationship: Mapping[int, Floats],
    record: Record,
    *,
    verifier: bool,
    audit: bool = True,
) -> Adjudication:
    """Judge a slate.

    Args:
        slate: the answers, and what judges said of them.
        relationship: of every judge to all contestants, shape (contestants,) each.
        record: what is known of the judges from other items.
        verifier: whether keys decide where they may be looked at.
        audit: whether to look for judges that favour somebody.
    """
    tasks = sorted(set(slate.tasks))
    of = np.array([tasks.index(task) for task in slate.tasks])
    benches, trust, audits = [], [], []
    for kind in JUDGES.values():
        ballots = kind(slate)
        if not ballots.judges:
            continue
        related = np.array([relationship[judge] for judge in ballots.judges])
        item_hits, item_misses = earned(slate, ballots, related)
        here = np.zeros((2, len(ballots.judges), len(tasks), len(STRATA)))
        np.add.at(here[0].swapaxes(0, 1), of, item_hits.swapaxes(0, 1))
        np.add.at(here[1].swapaxes(0, 1), of, item_misses.swapaxes(0, 1))
        before = recorded(record, ballots, tasks)
        hits, misses = here[0] + before[0], here[1] + before[1]
        favour = np.full(len(ballots.judges), np.nan)
        if audit and ballots.mode != consensus.MODE:  # who shares a mistake made it itself
            favour = favouritism(slate, ballots, related)
        seen = _audited(ballots, favour, totals(hits), totals(misses))
        admitted = np.array([float(audit.admitted) for audit in seen])
        worth = beliefs(hits, misses, of, item_hits, item_misses).only(admitted)
        if ballots.mode == consensus.MODE and not (hits.any() or misses.any()):
            worth = unproved(len(ballots.judges), len(of))
        benches.append(Judges(ballots, worth, related))
        trust += _new(ballots, tasks, here[0], here[1])
        audits += seen
    return Adjudication(decided(slate, benches, verifier), tuple(trust), tuple(audits))


def _audited(ballots: Votes, favour: Floats, right: Floats, wrong: Floats) -> list[Audit]:
    """Who may speak: whoever favours nobody, and can tell at all where that has to be shown."""
    bounds = np.clip(2.0 * lower_bound(1.0 + right, 1.0 + wrong) - 1.0, 0.0, None)
    return [
        Audit(
            judge,
            ballots.mode,
            float(bound),
            None if np.isnan(p) else float(p),
            not p < SUSPICIOUS and (ballots.mode != preference.MODE or _passes(hits, misses)),
        )
        for judge, bound, p, hits, misses in zip(
            ballots.judges, bounds, favour, right, wrong, strict=True
        )
    ]


def _passes(right: float, wrong: float) -> bool:
    enough = right + wrong >= preference.PAIRS
    return enough and bool(lower_bound(1.0 + right, 1.0 + wrong) > preference.BAR)


def _new(ballots: Votes, tasks: Sequence[str], hits: Floats, misses: Floats) -> list[Trust]:
    """The counts as records, where there are any."""
    return [
        Trust(
            ballots.judges[judge],
            ballots.mode,
            tasks[task],
            STRATA[stratum],
            float(hits[judge, task, stratum]),
            float(misses[judge, task, stratum]),
        )
        for judge, task, stratum in zip(*np.nonzero(hits + misses), strict=True)
    ]
