"""The audit: a judge whose mistakes favour some contestants is excluded, whatever its accuracy.

A ring of models that prefer each other's answers is right wherever no member is wrong, so its
accuracy looks fair. It shows in whose wrong answers are preferred. With e_k the times a judge
preferred a wrong answer of contestant k to the right one, the dispersion
D = sum_k (e_k - E[e_k])^2 / Var[e_k] is large for a judge that favours some contestants.

Three things make honest judges look partial, and are adjusted for. Kin share mistakes; mistakes of
good models, and those that many make, are more convincing: the probability of a mistake is a
logistic function of all three, increasing in each. (It may not decrease: a judge that prefers the
mistakes of weak models is what the audit looks for.) And contestants give the same wrong answers,
so the e_k are correlated: D is compared with a scaled chi-square of the same mean and variance
(Satterthwaite 1946, Biometrics Bulletin 2: 110-114).
"""

import numpy as np
from scipy.special import expit
from scipy.stats import chi2

from arena.judges import Slate, Votes
from arena.judges.votes import SILENT
from arena.reliability.kin import BALANCE
from lineage.records import Floats

SUSPICIOUS = 0.01
"""Judges with a smaller p-value are excluded."""

EXPECTED = 1.0
"""Contestants with a smaller variance of mistakes are left out of D."""

RIDGE = 0.1
"""Ridge penalty on the slopes of the logistic function, so that few mistakes are not overfitted."""

EPSILON = 1e-3
"""Factor of the penalty on its intercept, which keeps it finite for judges without mistakes."""

STEPS, CLOSE = 50, 1e-6
"""Steps of Newton's method, at most, and the largest change at which it stops."""


def favouritism(slate: Slate, ballots: Votes, relationship: Floats) -> Floats:
    """The p-value of each judge's favouritism.

    Args:
        slate: the answers of the round, with items whose keys may be looked at.
        ballots: the votes of one mode.
        relationship: shape `[judges, contestants]`, coefficients in [0, 1].

    Returns:
        Shape `[judges]`; NaN where fewer than two contestants have enough mistakes.
    """
    accuracy = _accuracy(slate)
    return np.array(
        [
            _favour(*_mistakes(slate, ballots, row, relationship[row], accuracy))
            for row in range(len(ballots.judges))
        ]
    )


def _accuracy(slate: Slate) -> Floats:
    """How often each contestant is right on checkable items: shape `[contestants]`."""
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
    """A judge's verdicts on each wrong answer to each item against the right one.

    Returns:
        Whether it preferred the wrong answer, shape `[answers]`; which contestants gave it, shape
        `[answers, contestants]`; and covariates: their accuracy, the log of their number, the
        fraction that is closer kin, shape `[answers, 3]`.
    """
    preferred, given, reasons = [], [], []
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
            vote = ballots.signs[column][row, answer, key]
            if vote != 0 and givers.any():
                preferred.append(vote > 0)
                given.append(givers)
                kin = relationship[givers] > near + BALANCE
                reasons.append((accuracy[givers].mean(), np.log(givers.sum()), kin.mean()))
    return (
        np.array(preferred, dtype=np.float64),
        np.array(given, dtype=np.float64).reshape(-1, len(slate.models)),
        np.array(reasons).reshape(-1, 3),
    )


def _favour(preferred: Floats, given: Floats, reasons: Floats) -> float:
    """The p-value of D; NaN with fewer than two contestants whose variance is `EXPECTED`."""
    if len(preferred) == 0:
        return np.nan
    chance = _chances(preferred, reasons)
    spread = chance * (1.0 - chance)
    variance = spread @ given
    enough = variance >= EXPECTED
    if enough.sum() < 2:
        return np.nan
    scaled = given[:, enough] / np.sqrt(variance[enough])
    observed = float((((preferred - chance) @ scaled) ** 2).sum())
    covariance = scaled.T @ (spread[:, None] * scaled)
    mean, doubled = np.trace(covariance), 2.0 * np.sum(covariance**2)
    return float(chi2.sf(observed * 2.0 * mean / doubled, 2.0 * mean**2 / doubled))


def _chances(preferred: Floats, reasons: Floats) -> Floats:
    """The probability that an honest judge prefers each wrong answer: shape `[answers]`.

    A logistic regression by Newton's method with slopes bounded below by zero: those at zero stay
    there as long as their gradient is negative.
    """
    design = np.column_stack([np.ones(len(preferred)), reasons - reasons.mean(axis=0)])
    pull = RIDGE * np.array([EPSILON, *[1.0] * reasons.shape[1]])
    weights = np.zeros(design.shape[1])
    for _ in range(STEPS):
        chance = expit(design @ weights)
        gradient = (preferred - chance) @ design - pull * weights
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
