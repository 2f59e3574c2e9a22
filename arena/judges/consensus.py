"""Consensus: a judge's own answer is its vote. It costs no model call, answers are cached."""

import numpy as np

from arena.judges.votes import SILENT, Slate, Votes, preferences

MODE = "consensus"


def ballots(slate: Slate) -> Votes:
    """Every voter prefers the answer that it gave itself to every other.

    One that gave no answer to an item abstains there.
    """
    rows = [slate.models.index(voter) for voter in slate.voters]
    signs = []
    for choice, answers in zip(slate.choice[rows].T, slate.answers, strict=True):
        own = (choice[:, None] == np.arange(len(answers))[None, :]).astype(np.float64)
        own[choice == SILENT] = np.nan
        signs.append(preferences(own))
    return Votes(MODE, slate.voters, tuple(signs))
