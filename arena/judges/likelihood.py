"""Likelihood: a judge prefers the answer that it would more likely have given itself.

Raw log-likelihoods of two judges cannot be compared, so only their order within a judge and an item
is used. Answers are read in their canonical form, in the words of the task if it has any for them.
"""

import numpy as np

from arena.judges.votes import Slate, Votes, preferences

MODE = "likelihood"


def ballots(slate: Slate) -> Votes:
    """The judges that read answers, on those that they have read."""
    judges = tuple(sorted({judge for _, judge in slate.readings}))
    signs = []
    for item, answers in zip(slate.items, slate.answers, strict=True):
        heard = [slate.readings.get((item, judge), {}) for judge in judges]
        votes = np.array([[of.get(answer, np.nan) for answer in answers] for of in heard])
        signs.append(preferences(votes.reshape(len(judges), len(answers))))
    return Votes(MODE, judges, tuple(signs))
