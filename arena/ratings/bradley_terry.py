"""The fit: strengths, ties, the width of the prior and the slopes of judges, all from all matches.

Checkpoints do not change, so skill does not drift and the order of matches must not matter: ratings
are refitted from all matches rather than updated one by one as Elo does.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from arena.judges.votes import Integers
from arena.ratings.davidson import outlook
from arena.ratings.discrimination import sharpened
from arena.ratings.graph import Curvature, Graph
from arena.ratings.matches import NO_JUDGE, Matches, Pairs, pairs_of
from arena.ratings.prior_variance import PriorVariance
from arena.ratings.standard_errors import deviation
from lineage.records import Floats

DECIDED = 1.0
"""Where there are ties, so much of a decided match between equals is taken to have been seen as
well (Laplace's rule): if all matches are ties, no nu is too large for them."""

ITERATIONS = 200
"""At most; ten to twenty are usual, and more where judges had little to tell them apart."""

CLOSE = 1e-2
"""How exactly a step of Newton's method is solved: the next one corrects what is left."""


@dataclass(frozen=True)
class Ratings:
    """What matches say.

    Attributes:
        strength: shape (contestants,), in logits; the anchors have mean zero.
        deviation: shape (contestants,): the standard deviation of each strength.
        spread: the standard deviation of strengths around the means of their priors.
        nu: the odds of a tie between equals, a win of either being 1.
        slopes: shape (judges + 1,): how sharply each judge tells strong from weak; the last one is
            of matches that no single judge decided, so that `slopes[judge]` is right for
            `NO_JUDGE` as well.
    """

    strength: Floats
    deviation: Floats
    spread: float
    nu: float
    slopes: Floats


def fit(
    results: Matches | Pairs,
    prior: Floats,
    *,
    judges: Floats | None = None,
    anchors: Integers | None = None,
    start: Floats | None = None,
    tolerance: float = 1e-4,
) -> Ratings:
    """Find the strengths at which results and priors together are most likely.

    For i and k before judge j, with d = g_j (theta_i - theta_k),

        P(win) = e^{d/2} / Z,  P(tie) = nu / Z,  Z = e^{d/2} + e^{-d/2} + nu     (Davidson 1970)
        theta_i ~ N(prior_i, spread^2),  log g_j ~ N(log judges_j, 0.7^2)        (BT-sigma)

    nu has maximum likelihood, and so has the spread, with strengths integrated out. The mean of the
    slopes, weighted by what each judge decided, is that of `judges`: else strengths could double
    while slopes halve.

    Args:
        results: matches, whose items make the deviations honest; or sums by pair, whose deviations
            are right only as far as matches are independent of each other.
        prior: shape (contestants,): the mean of each contestant's prior in logits (an offspring
            starts at its parents' mean).
        judges: shape (judges,): a guess of each judge's slope, above 0. Without it all are 1.
        anchors: rows whose mean strength is the zero of the scale; by default everybody's.
        start: shape (contestants,): where to start from, such as the strengths of an earlier fit.
        tolerance: stop when nothing moves by more; 1e-4 logits are 0.02 Elo points.

    Raises:
        ValueError: a row names nobody, somebody meets itself, or a score is out of bounds.
    """
    named = np.ones(1 + results.judge.max(initial=NO_JUDGE)) if judges is None else judges
    guess = np.append(named, 1.0)
    by_judge = judges is not None
    _check(results, len(prior), len(named))
    pairs = pairs_of(results, by_judge=by_judge) if isinstance(results, Matches) else results
    graph = Graph(pairs, len(prior))
    nu = 2.0 * float(pairs.ties.sum() / (np.sum(pairs.weight - pairs.ties) + DECIDED))
    strength, spread, slopes = prior if start is None else start, PriorVariance(), guess
    for _ in range(ITERATIONS):
        before = (spread.width, slopes)
        curvature, step, tied = _newton(graph, prior, strength, spread, nu, slopes)
        strength = strength + step
        nu *= float(np.exp(tied))
        if by_judge:
            slopes = sharpened(graph, strength, nu, slopes, guess)
        moved = (step, tied, spread.width - before[0], slopes - before[1])
        if max(np.abs(change).max(initial=0.0) for change in moved) < tolerance:
            break
    home = np.arange(len(prior)) if anchors is None else anchors
    scores = _scores(results, strength, nu, slopes)
    sure = deviation(curvature, scores, home)
    return Ratings(strength - strength[home].mean(), sure, spread.width, nu, slopes)


def _check(results: Matches | Pairs, contestants: int, judges: int) -> None:
    """Refuse what would only fail later, or not at all."""
    for name, rows, least, size in (
        ("contestants", np.concatenate([results.a, results.b]), 0, contestants),
        ("judges", results.judge, NO_JUDGE, judges),
    ):
        if len(rows) and not (rows.min() >= least and rows.max() < size):
            found = f"got {rows.min()} to {rows.max()}"
            raise ValueError(f"expected {name} in rows {least} to {size - 1}, {found}")
    if (both := results.a[results.a == results.b]).size:
        raise ValueError(f"expected two contestants in a match, but {both[0]} meets itself")
    most = results.weight * (1.0 + 1e-9) if isinstance(results, Pairs) else 1.0
    if not ((results.score >= 0.0) & (results.score <= most) & (results.weight >= 0.0)).all():
        raise ValueError(
            "expected scores from 0 to 1 (of sums: to the weight) and no weight below 0"
        )


def _newton(
    graph: Graph, prior: Floats, strength: Floats, spread: PriorVariance, nu: float, slopes: Floats
) -> tuple[Curvature, Floats, float]:
    """A step of Newton's method for the strengths and log nu together.

    The likelihood is concave in these, and its third derivative at most its second. So a step that
    is shortened by log(1 + l) / l, where l is how far it would move the log-odds, never overshoots
    (Sun and Tran-Dinh 2019, generalized self-concordant functions); in the end it is a full step.

    Returns:
        the curvature, and the steps of strength and log nu.
    """
    pairs, slope = graph.pairs, slopes[graph.pairs.judge]
    mean, variance, tie = outlook(slope * graph.gaps(strength), nu)
    gradient = graph.balance(slope * (pairs.score - pairs.weight * mean))
    skew = slope * pairs.weight * (0.5 - mean)
    coupling = graph.balance(skew * tie)
    free, distance = graph.curvature(slope**2 * pairs.weight * variance), strength - prior
    told, unsure = free.diagonal, 1.0 / (free.diagonal + 1.0 / spread.width**2)
    # The mean of a strength lies where its mode would lie if the third derivative pulled as well.
    third = slope**2 * skew * (tie / 8.0 - variance) * (unsure[pairs.a] + unsure[pairs.b])
    spread.approach(told * distance + gradient + graph.balance(third), told)
    curvature = free.held(1.0 / spread.width**2)
    gradient -= distance / spread.width**2
    if nu > 0.0:
        equal = nu / (2.0 + nu)
        missing = np.sum(pairs.ties - pairs.weight * tie) - DECIDED * equal
        known = np.sum(pairs.weight * tie * (1.0 - tie)) + DECIDED * equal * (1.0 - equal)
        step, tied = _both(curvature, gradient, coupling, float(missing), float(known))
    else:
        step, tied = curvature.solve(gradient[:, None], CLOSE)[:, 0], 0.0
    length = max(float(slopes.max() * np.ptp(step)) + abs(tied), 1e-12)
    damped = float(np.log1p(length)) / length
    return curvature, damped * step, damped * tied


def _both(
    curvature: Curvature, gradient: Floats, coupling: Floats, missing: float, known: float
) -> tuple[Floats, float]:
    """Solve [curvature, coupling; coupling', known] (step, tied) = (gradient, missing)."""
    step, follow = curvature.solve(np.stack([gradient, coupling], axis=1), CLOSE).T
    tied = float((missing - coupling @ step) / (known - coupling @ follow))
    return step - tied * follow, tied


def _scores(results: Matches | Pairs, strength: Floats, nu: float, slopes: Floats) -> csr_array:
    """Each item's gradient, shape (items, contestants); sums by pair have no items."""
    if isinstance(results, Pairs):
        return csr_array((0, len(strength)))
    slope = slopes[results.judge]
    mean, _, _ = outlook(slope * (strength[results.a] - strength[results.b]), nu)
    surprise = slope * results.weight * (results.score - mean)
    items, row = np.unique(results.item, return_inverse=True)
    values = np.concatenate([surprise, -surprise])
    places = np.concatenate([row, row]), np.concatenate([results.a, results.b])
    return csr_array((values, places), shape=(len(items), len(strength)))
