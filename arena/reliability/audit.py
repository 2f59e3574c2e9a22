"""The audit: a judge whose mistakes favour some contestants is sent off, however often it is right.

A ring of models that praise each other is right wherever no friend is wrong, so its accuracy looks
fair. What gives it away is for whom it errs. With e_k the times it preferred a wrong answer of
contestant k to the right one, D = sum_k (e_k - E[e_k])^2 / Var[e_k] is large for who favours some.

Three things make honest judges look partial, and are taken out. Kin share mistakes; mistakes of
good models, and those that many make, are easier to fall for: the chance of a mistake is a logistic
function of all three, rising in each. (It may not fall: a judge that prefers the mistakes of the
weak is what is looked for.) And contestants give the same wrong answers, so the e_k hang together:
D is compared with a scaled chi-square of the mean and variance that D has then (Satterthwaite).
"""

import numpy as np
from scipy.special import expit
from scipy.stats import chi2

from arena.judges import Slate, Votes
from arena.judges.votes import SILENT
from arena.reliability.kin import BALANCE
from lineage.records import Floats

SUSPICIOUS = 0.01
"""Judges with a smaller p-value are sent off."""

EXPECTED = 1.0
"""Contestants with a smaller variance of mistakes tell nothing."""

RIDGE = 0.1
"""Pull of the logistic function's slopes to zero, so that few mistakes are not explained away."""

EPSILON = 1e-3
"""So much less its level is pulled, which keeps who never errs finite."""

STEPS, CLOSE = 50, 1e-6
"""Of Newton's method, at most; it stops when nothing moves by more."""


def favours(slate: Slate, ballots: Votes, relationship: Floats) -> Floats:
    """The p-value of each judge's favours, shape (judges,); NaN where there is too little to tell.

    Args:
        slate: the answers of the round, with items whose keys may be looked at.
        ballots: the votes of one mode.
        relationship: shape (judges, contestants).
    """
    accuracy = _accuracy(slate)
    return np.array(
        [
            _favour(*_mistakes(slate, ballots, row, relationship[row], accuracy))
            for row in range(len(ballots.judges))
        ]
    )


def _accuracy(slate: Slate) -> Floats:
    """How often each contestant is right where that may be looked up, shape (contestants,)."""
    right = np.array(
        [
            np.where(choice == SILENT, np.nan, worth[choice])
            for choice, worth in zip(slate.choice.T, slate.right, strict=True)
            if worth is not None and (worth == 1.0).any()
        ]
    ).reshape(-1, len(slate.models))
    asked = np.isfinite(right)
    return np.asarray(np.where(asked, right, 0.0).sum(axis=0) / np.maximum(asked.sum(axis=0), 1))


def _mistakes(
    slate: Slate, ballots: Votes, row: int, relationship: Floats, accuracy: Floats
) -> tuple[Floats, Floats, Floats]:
    """What a judge made of each wrong answer to each item beside the right one.

    Returns:
        whether it preferred it, shape (answers,); who gave it, shape (answers, contestants); and
        what makes a mistake likely: how good those are, how many, how much kin; (answers, 3).
    """
    fell, given, reasons = [], [], []
    itself = np.array(slate.models) == ballots.judges[row]
    for column, right in enumerate(slate.right):
        if right is None or not (right == 1.0).any():
            continue
        choice = slate.choice[:, column]
        key = int(np.argmax(right))
        solvers = (choice != SILENT) & (right[choice] == 1.0)
        near = relationship[solvers].mean() if solvers.any() else 0.0
        for answer in np.flatnonzero(right < 1.0):
            givers = (choice == answer) & ~itself
            said = ballots.signs[column][row, answer, key]
            if said != 0 and givers.any():
                fell.append(said > 0)
                given.append(givers)
                kin = relationship[givers] > near + BALANCE
                reasons.append((accuracy[givers].mean(), np.log(givers.sum()), kin.mean()))
    return (
        np.array(fell, dtype=np.float64),
        np.array(given, dtype=np.float64).reshape(-1, len(slate.models)),
        np.array(reasons).reshape(-1, 3),
    )


def _favour(fell: Floats, given: Floats, reasons: Floats) -> float:
    """The p-value of D; NaN where fewer than two contestants tell anything."""
    if len(fell) == 0:
        return np.nan
    chance = _chances(fell, reasons)
    spread = chance * (1.0 - chance)
    variance = spread @ given
    told = variance >= EXPECTED
    if told.sum() < 2:
        return np.nan
    scaled = given[:, told] / np.sqrt(variance[told])
    observed = float((((fell - chance) @ scaled) ** 2).sum())
    covariance = scaled.T @ (spread[:, None] * scaled)
    mean, doubled = np.trace(covariance), 2.0 * np.sum(covariance**2)
    return float(chi2.sf(observed * 2.0 * mean / doubled, 2.0 * mean**2 / doubled))


def _chances(fell: Floats, reasons: Floats) -> Floats:
    """How likely a judge falls for each wrong answer, as far as that has honest reasons.

    Newton's method with slopes that may not fall below zero: those at zero stay there as long as
    the gradient pushes them down.
    """
    design = np.column_stack([np.ones(len(fell)), reasons - reasons.mean(axis=0)])
    pull = RIDGE * np.array([EPSILON, *[1.0] * reasons.shape[1]])
    weights = np.zeros(design.shape[1])
    for _ in range(STEPS):
        chance = expit(design @ weights)
        gradient = (fell - chance) @ design - pull * weights
        free = (weights > 0.0) | (gradient > 0.0)
        free[0] = True
        curvature = (design.T * (chance * (1.0 - chance))) @ design + np.diag(pull)
        step = np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
        moved = weights.copy()
        moved[free] += np.clip(step, -2.0, 2.0)
        moved[1:] = np.maximum(moved[1:], 0.0)
        if np.abs(moved - weights).max() < CLOSE:
            break
        weights = moved
    return np.asarray(expit(design @ weights))
