"""Ratings: a maximum-a-posteriori Bradley-Terry fit with Davidson ties.

Checkpoints do not change, so skill does not drift and the order of matches must not matter: the
ratings are refitted from all matches rather than updated one by one as Elo does. With strengths
theta, d = theta_i - theta_k, and weights e^{d/2}, e^{-d/2} and nu for win, loss and tie:

    P(win) = e^{d/2} / Z,  P(tie) = nu / Z,  Z = e^{d/2} + e^{-d/2} + nu      (Davidson 1970)

and a Gaussian prior on theta keeps the undefeated finite. The deviations come from a sandwich
clustered by item: answers to one item are not independent, and intervals that ignore this cover
23 % where they promise 95 %.
"""

from dataclasses import dataclass

import numpy as np

from arena.judges.ballot import Floats, Integers, Slate

TIE_MARGIN = 0.02
"""Supports closer than this are a tie."""


@dataclass(frozen=True)
class Matches:
    """Results between contestants: row r is `a[r]` against `b[r]` on item `cluster[r]`.

    `score` is 1 for a win of a, 0 for a loss and 0.5 for a tie.
    """

    a: Integers
    b: Integers
    cluster: Integers
    score: Floats


def matches_of(slate: Slate, support: Floats) -> Matches:
    """Every pair of contestants that answered an item differently, decided by the support."""
    first, second = np.triu_indices(len(slate.models), k=1)
    differ = slate.choice[first] != slate.choice[second]
    pair, item = np.nonzero(differ)
    a, b = first[pair], second[pair]
    margin = support[a, item] - support[b, item]
    score = np.where(margin > TIE_MARGIN, 1.0, np.where(margin < -TIE_MARGIN, 0.0, 0.5))
    return Matches(a, b, item, score)


def fit(
    matches: Matches, prior: Floats, *, iterations: int = 30, tolerance: float = 1e-9
) -> tuple[Floats, Floats]:
    """Strengths and their standard deviations.

    Args:
        matches: the results.
        prior: shape (contestants,), the mean of each contestant's prior in logits (an offspring
            starts at its parents' mean).
        iterations: Newton steps at most.
        tolerance: stop when no strength moves by more.

    Returns:
        (strength, deviation), each of shape (contestants,), in logits. Strengths have mean zero.
    """
    size = len(prior)
    prior = prior - prior.mean()
    if len(matches.a) == 0:
        return prior, np.ones(size)
    ties = float(np.mean(matches.score == 0.5))
    nu = 2.0 * ties / max(1.0 - ties, 1e-3)
    strength, spread = prior.copy(), 1.0
    hessian = np.eye(size)
    for _ in range(iterations):
        gradient, hessian = _derivatives(matches, strength, nu, size)
        gradient -= (strength - prior) / spread**2
        hessian[np.diag_indices(size)] += 1.0 / spread**2
        step = np.linalg.solve(hessian, gradient)
        # A full Newton step can overshoot when the strengths are far from the optimum.
        step *= min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
        strength = strength + step
        if np.abs(step).max() < tolerance:
            break
        # Empirical Bayes: the width of the prior is what the strengths themselves show.
        variance = np.mean((strength - prior) ** 2 + 1.0 / np.diag(hessian))
        spread = float(np.clip(np.sqrt(variance), 0.1, 3.0))
    deviation = _clustered_deviation(matches, strength, nu, hessian, size)
    return strength - strength.mean(), deviation


def _expected(gap: Floats, nu: float) -> tuple[Floats, Floats]:
    """Mean and variance of the score of a match whose contestants differ by `gap` logits."""
    win, loss = np.exp(gap / 2.0), np.exp(-gap / 2.0)
    total = win + loss + nu
    mean = (win + nu / 2.0) / total
    variance = (win + nu / 4.0) / total - mean**2
    return mean, variance


def _derivatives(matches: Matches, strength: Floats, nu: float, size: int) -> tuple[Floats, Floats]:
    """Gradient and negative Hessian of the log-likelihood; E[y] and Var[y] suffice."""
    mean, variance = _expected(strength[matches.a] - strength[matches.b], nu)
    surprise = matches.score - mean
    gradient = np.bincount(matches.a, surprise, size) - np.bincount(matches.b, surprise, size)
    pairs = np.bincount(matches.a * size + matches.b, variance, size * size).reshape(size, size)
    pairs = pairs + pairs.T
    laplacian: Floats = np.diag(pairs.sum(axis=1)) - pairs
    return np.asarray(gradient, dtype=np.float64), laplacian


def _clustered_deviation(
    matches: Matches, strength: Floats, nu: float, hessian: Floats, size: int
) -> Floats:
    """Standard deviations from the sandwich H^-1 (sum over items of g g^T) H^-1, and the prior."""
    mean, _ = _expected(strength[matches.a] - strength[matches.b], nu)
    surprise = matches.score - mean
    clusters, index = np.unique(matches.cluster, return_inverse=True)
    count = len(clusters)
    per_item = np.bincount(index * size + matches.a, surprise, count * size) - np.bincount(
        index * size + matches.b, surprise, count * size
    )
    per_item = per_item.reshape(count, size)
    inverse = np.linalg.inv(hessian)
    correction = count / max(count - 1, 1)
    sandwich = inverse @ (per_item.T @ per_item) @ inverse * correction
    # With few items the sandwich can be too narrow; the model's own curvature is the floor.
    return np.sqrt(np.maximum(np.diag(sandwich), np.diag(inverse)))
