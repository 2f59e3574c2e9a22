"""The audit: a judge whose mistakes favour some contestants is sent off, however often it is right.

A ring of models that praise each other is right wherever no friend is wrong, so its accuracy looks
fair. What gives it away is for whom it errs: D = sum_k (e_k - n_k e)^2 / (n_k e (1 - e)), with e_k
the times it preferred contestant k's wrong answer to a right one, n_k how often it could have, and
e how often it does so on the whole, is chi-square for a judge that favours nobody.

Kin share mistakes, and a judge that errs with its kin is honest; so e is taken for kin and others
apart (`arena.trust` knows what praise of kin is worth), and what is left has to be favour.
"""

import numpy as np
from scipy.stats import chi2

from arena.judges import Ballots, Slate
from arena.judges.ballot import SILENT
from arena.kin import BALANCE
from lineage.records import Floats

SUSPICIOUS = 0.01
"""Judges with a smaller p-value are sent off."""

EXPECTED = 1.0
"""Contestants with a smaller variance of mistakes tell nothing."""


def favours(slate: Slate, ballots: Ballots, relationship: Floats) -> Floats:
    """The p-value of each judge's favours, shape (judges,); NaN where there is too little to tell.

    Args:
        slate: the answers of the round, with items whose keys may be looked at.
        ballots: the votes of one mode.
        relationship: shape (judges, contestants).
    """
    shape = (len(ballots.judges), len(slate.models))
    trials, mistakes = np.zeros((2, *shape)), np.zeros((2, *shape))
    identity = np.array(ballots.judges)[:, None] == np.array(slate.models)[None, :]
    for column, right in enumerate(slate.right):
        choice = slate.choice[:, column]
        if right is None or not (right == 1.0).any():
            continue
        wrong = np.flatnonzero((choice != SILENT) & (right[choice] < 1.0))
        solvers = np.flatnonzero((choice != SILENT) & (right[choice] == 1.0))
        key = int(np.argmax(right))
        told = ballots.signs[column][:, key][:, choice[wrong]]
        told = np.where(identity[:, wrong], 0, told)
        near = relationship[:, solvers].mean(axis=1) if len(solvers) else np.zeros(shape[0])
        kin = (relationship[:, wrong] > near[:, None] + BALANCE).astype(np.int64)
        for group in (0, 1):
            here = kin == group
            trials[group][:, wrong] += here & (told != 0)
            mistakes[group][:, wrong] += here & (told < 0)
    totals = trials.sum(axis=2, keepdims=True)
    rate = mistakes.sum(axis=2, keepdims=True) / np.maximum(totals, 1.0)
    expected = (trials * rate).sum(axis=0)
    variance = (trials * rate * (1.0 - rate)).sum(axis=0)
    told_enough = variance >= EXPECTED
    spread = np.where(
        told_enough, (mistakes.sum(axis=0) - expected) ** 2 / np.maximum(variance, EXPECTED), 0.0
    ).sum(axis=1)
    degrees = told_enough.sum(axis=1) - 1
    p_value: Floats = chi2.sf(spread, np.maximum(degrees, 1))
    return np.where(degrees >= 1, p_value, np.nan)
