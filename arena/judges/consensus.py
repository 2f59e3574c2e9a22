"""Consensus: a judge's own answer is its vote. It costs no model call, answers are cached."""

from dataclasses import dataclass

import numpy as np

from arena.judges.judge import Replies
from arena.judges.votes import SILENT, Slate, Votes, preferences
from lineage.records import Evidence


@dataclass(frozen=True)
class Consensus:
    """Every voter prefers the answer that it gave itself to every other.

    One that gave no answer to an item abstains there.
    """

    evidence: Evidence = "answers"

    def votes(self, slate: Slate, replies: Replies) -> Votes:
        """All voters, on everything that they answered."""
        return own_answers(slate)


def own_answers(slate: Slate) -> Votes:
    """The votes of all voters for what they answered themselves."""
    rows = [slate.models.index(voter) for voter in slate.voters]
    signs = []
    for choice, answers in zip(slate.choice[rows].T, slate.answers, strict=True):
        own = (choice[:, None] == np.arange(len(answers))[None, :]).astype(np.float64)
        own[choice == SILENT] = np.nan
        signs.append(preferences(own))
    return Votes(slate.voters, tuple(signs))
