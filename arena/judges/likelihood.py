"""Likelihood: a judge prefers the answer that it would more likely have given itself.

Raw log-likelihoods of two judges cannot be compared, so they are turned into ranks within judge
and item: 1 for the likeliest answer, 0 for the least likely.
"""

import numpy as np
from scipy.stats import rankdata

from arena.judges.ballot import Ballots, Floats, Slate


def ballots(slate: Slate) -> Ballots:
    """The judges that read answers vote by rank; one that did not read all of an item abstains."""
    judges = tuple(sorted({judge for _, judge, _ in slate.readings}))
    votes: list[Floats] = []
    for item, answers in zip(slate.items, slate.answers, strict=True):
        table = np.full((len(judges), len(answers)), np.nan)
        for row, judge in enumerate(judges):
            heard = [slate.readings.get((item, judge, answer)) for answer in answers]
            if len(answers) > 1 and None not in heard:
                table[row] = (rankdata(heard) - 1.0) / (len(answers) - 1.0)
        votes.append(table)
    return Ballots(mode="likelihood", judges=judges, votes=tuple(votes))
