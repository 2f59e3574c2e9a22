"""The fit: strengths, ties, the width of the prior and the slopes of judges, all from all matches.

Checkpoints do not change, so skill does not drift and the order of matches must not matter: ratings
are refitted from all matches rather than updated one by one as Elo does.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from arena.judges.ballot import Integers
from arena.ratings.davidson import outlook
from arena.ratings.deviation import deviation
from arena.ratings.graph import Curvature, Graph
from arena.ratings.matches import NO_JUDGE, Matches, Pairs, pairs_of
from arena.ratings.slopes import sharpened
from arena.ratings.spread import likeliest_spread
from lineage.records import Floats

USUAL_SPREAD = 1.0
"""Of strengths around the means of their priors where no match tells, in logits."""

MOST_TIES = 1e3
"""The largest nu: where all matches are ties, no nu is too large for them."""

ITERATIONS = 200
"""At most; ten to twenty are usual."""

CLOSE = 1e-3
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
    tolerance: float = 1e-6,
) -> Ratings:
    """Find the strengths at which results and priors together are most likely.

    For i and k before judge j, with d = g_j (theta_i - theta_k),

        P(win) = e^{d/2} / Z,  P(tie) = nu / Z,  Z = e^{d/2} + e^{-d/2} + nu     (Davidson 1970)
        theta_i ~ N(prior_i, spread^2),  log g_j ~ N(log judges_j, 0.7^2)        (BT-sigma)

    nu has maximum likelihood and the spread is what the strengths show of it. The mean of the
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
        tolerance: stop when nothing moves by more.

    Raises:
        ValueError: a row names nobody, somebody meets itself, or a score is out of bounds.
    """
    named = np.ones(1 + results.judge.max(initial=NO_JUDGE)) if judges is None else judges
    guess = np.append(named, 1.0)
    by_judge = judges is not None
    pairs = pairs_of(results, by_judge=by_judge) if isinstance(results, Matches) else results
    _check(pairs, len(prior), len(named))
    graph = Graph(pairs, len(prior))
    ties = pairs.ties.sum() / (pairs.weight.sum() or 1.0)
    nu = min(2.0 * ties / max(1.0 - ties, 1.0 / MOST_TIES), MOST_TIES)
    strength, spread, slopes = prior if start is None else start, USUAL_SPREAD, guess
    for _ in range(ITERATIONS):
        before = (spread, nu, slopes)
        spread, curvature, step, tied = _newton(graph, prior, strength, spread, nu, slopes)
        strength = strength + step
        nu = min(nu * float(np.exp(tied)), MOST_TIES)
        if by_judge:
            slopes = sharpened(graph, strength, nu, slopes, guess)
        moved = (step, spread - before[0], nu - before[1], slopes - before[2])
        if max(np.abs(change).max(initial=0.0) for change in moved) < tolerance:
            break
    home = np.arange(len(prior)) if anchors is None else anchors
    scores = _scores(results, strength, nu, slopes)
    sure = deviation(curvature, scores, home)
    return Ratings(strength - strength[home].mean(), sure, spread, nu, slopes)


def _check(pairs: Pairs, contestants: int, judges: int) -> None:
    """Refuse what would only fail later, or not at all."""
    for name, rows, least, size in (
        ("contestants", np.concatenate([pairs.a, pairs.b]), 0, contestants),
        ("judges", pairs.judge, NO_JUDGE, judges),
    ):
        if len(rows) and not (rows.min() >= least and rows.max() < size):
            raise ValueError(f"expected {name} in rows {least} to {size - 1}, got {rows.max()}")
    if (pairs.a == pairs.b).any():
        raise ValueError(f"expected two contestants, but {pairs.a[pairs.a == pairs.b][0]} is both")
    slack = 1e-9 * pairs.weight
    if not ((pairs.score >= -slack) & (pairs.score <= pairs.weight + slack)).all():
        raise ValueError("expected scores from 0 to 1 and weights of 0 or more")


def _newton(
    graph: Graph, prior: Floats, strength: Floats, spread: float, nu: float, slopes: Floats
) -> tuple[float, Curvature, Floats, float]:
    """A step of Newton's method for the strengths and log nu together.

    The likelihood is concave in these, and its third derivative at most its second. So a step that
    is shortened by log(1 + l) / l, where l is how far it would move the log-odds, never overshoots
    (Sun and Tran-Dinh 2019, generalized self-concordant functions); in the end it is a full step.

    Returns:
        the spread that the step supposes, the curvature, and the steps of strength and log nu.
    """
    pairs, slope = graph.pairs, slopes[graph.pairs.judge]
    mean, variance, tie = outlook(slope * graph.gaps(strength), nu)
    gradient = graph.balance(slope * (pairs.score - pairs.weight * mean))
    free = graph.curvature(slope**2 * pairs.weight * variance)
    distance = strength - prior
    spread = likeliest_spread(free.diagonal * distance + gradient, free.diagonal, spread)
    curvature = free.held(1.0 / spread**2)
    coupling = graph.balance(slope * pairs.weight * tie * (0.5 - mean))
    right = [gradient - distance / spread**2, *([coupling] if nu > 0.0 else [])]
    step, *rest = curvature.solve(np.stack(right, axis=1), CLOSE).T
    tied = 0.0
    for follow in rest:
        missing = np.sum(pairs.ties - pairs.weight * tie) - coupling @ step
        tied = float(missing / (np.sum(pairs.weight * tie * (1.0 - tie)) - coupling @ follow))
        step = step - tied * follow
    length = max(float(slopes.max() * np.ptp(step)) + abs(tied), 1e-12)
    damped = float(np.log1p(length)) / length
    return spread, curvature, damped * step, damped * tied


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
