"""Consensus: a judge's own answer is its vote. It costs no model call, answers are cached."""

import numpy as np

from arena.judges.ballot import Ballots, Floats, Slate


def ballots(slate: Slate) -> Ballots:
    """Every contestant votes 1 for the answer it gave itself, 0 for every other.

    A judge that gave no answer to an item (it is not among the contestants) abstains there.
    """
    votes: list[Floats] = []
    for choice, answers in zip(slate.choice.T, slate.answers, strict=True):
        votes.append((choice[:, None] == np.arange(len(answers))[None, :]).astype(np.float64))
    return Ballots(mode="consensus", judges=slate.models, votes=tuple(votes))
