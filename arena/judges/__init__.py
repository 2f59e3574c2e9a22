"""The kinds of judges (modes), one file each, and their registry.

By rising cost: consensus uses answers that are kept anyhow, likelihood reads each distinct answer
once, preference compares pairs in both orders. How reliable each is gets measured for every judge,
mode, task and kin stratum (`arena.reliability.trust`), and votes weigh accordingly. Where a key may
be looked at, the verifier decides instead (`arena.matches.outcomes`).

To add one: write a module with a `Judge` (see `arena.judges.judge`), and list it in `JUDGES`; its
name there is the mode. `arena/README.md` has examples, and says how to do it without changing a
line of this project.
"""

from collections.abc import Mapping

from arena.judges.consensus import Consensus
from arena.judges.judge import (
    ComparingJudge,
    Judge,
    Proof,
    Question,
    ReadingJudge,
    Replies,
    replies_by_mode,
)
from arena.judges.likelihood import Likelihood
from arena.judges.preference import Preference
from arena.judges.votes import Slate, Votes, slate_of

Modes = Mapping[str, Judge]
"""Kinds of judges by their name, the mode."""

JUDGES: Modes = {
    "consensus": Consensus(),
    "likelihood": Likelihood(),
    "preference": Preference(),
}


def reading(judges: Modes) -> dict[str, ReadingJudge]:
    """Those that read answers."""
    return {mode: judge for mode, judge in judges.items() if isinstance(judge, ReadingJudge)}


def comparing(judges: Modes) -> dict[str, ComparingJudge]:
    """Those that compare answers."""
    return {mode: judge for mode, judge in judges.items() if isinstance(judge, ComparingJudge)}


__all__ = [
    "JUDGES",
    "ComparingJudge",
    "Judge",
    "Modes",
    "Proof",
    "Question",
    "ReadingJudge",
    "Replies",
    "Slate",
    "Votes",
    "comparing",
    "reading",
    "replies_by_mode",
    "slate_of",
]
