"""The fit of strengths, ties and the prior's variance.

Checkpoints do not change, so skill does not drift and the order of matches must not matter: ratings
are refitted from all matches rather than updated one by one as Elo does.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from arena.judges.votes import Integers
from arena.ratings.davidson import score_moments
from arena.ratings.graph import Curvature, Graph
from arena.ratings.matches import Matches, Pairs, pairs_of
from arena.ratings.prior_variance import PriorVariance
from arena.ratings.standard_errors import standard_errors
from lineage.records import Floats

DECIDED = 1.0
"""Decided matches between equals that are added to the data where there are ties (Laplace's rule of
succession): if all matches are ties, the likelihood of nu has no maximum."""

ITERATIONS = 200
"""At most; ten to twenty are usual."""

CLOSE = 1e-2
"""Relative tolerance of the linear solve within a step of Newton's method; the next step corrects
the rest."""


@dataclass(frozen=True)
class Ratings:
    """The result of a fit.

    Attributes:
        strength: shape `[contestants]`, in logits; the anchors have mean zero.
        deviation: shape `[contestants]`: standard error of each strength, in logits.
        spread: standard deviation of strengths around the means of their priors, in logits.
        nu: Davidson's tie parameter: odds of a tie between equals, a win of either being 1.
    """

    strength: Floats
    deviation: Floats
    spread: float
    nu: float


def fit(
    results: Matches | Pairs,
    prior: Floats,
    *,
    anchors: Integers | None = None,
    start: Floats | None = None,
    tolerance: float = 1e-4,
) -> Ratings:
    """Find the maximum-a-posteriori strengths for some results.

    For contestants i and k, with d = theta_i - theta_k,

        P(win) = e^{d/2} / Z,  P(tie) = nu / Z,  Z = e^{d/2} + e^{-d/2} + nu
        theta_i ~ N(prior_i, spread^2)

    The first line is Bradley and Terry (1952, Biometrika 39: 324-345) with the ties of Davidson
    (1970, Journal of the American Statistical Association 65: 317-328). nu maximises the
    likelihood, and the spread the marginal likelihood, with strengths integrated out (empirical
    Bayes, see `arena.ratings.prior_variance`).

    Args:
        results: matches, whose items give clustered standard errors; or sums by pair, whose
            standard errors are right only as far as matches are independent.
        prior: shape `[contestants]`: the mean of each contestant's prior in logits (an offspring
            starts at its parents' mean).
        anchors: rows whose mean strength is the zero of the scale, shape `[anchors]`; by default
            all contestants.
        start: shape `[contestants]`: initial strengths, such as those of an earlier fit.
        tolerance: stop when nothing changes by more; 1e-4 logits are 0.02 Elo points.

    Raises:
        ValueError: a row is out of range, a contestant meets itself, or a score is out of bounds.
    """
    _check(results, len(prior))
    pairs = pairs_of(results) if isinstance(results, Matches) else results
    graph = Graph(pairs, len(prior))
    nu = 2.0 * float(pairs.ties.sum() / (np.sum(pairs.weight - pairs.ties) + DECIDED))
    strength, spread = prior if start is None else start, PriorVariance()
    for _ in range(ITERATIONS):
        before = spread.width
        curvature, step, tied = _newton(graph, prior, strength, spread, nu)
        strength = strength + step
        nu *= float(np.exp(tied))
        moved = (step, tied, spread.width - before)
        if max(np.abs(change).max(initial=0.0) for change in moved) < tolerance:
            break
    home = np.arange(len(prior)) if anchors is None else anchors
    scores = _scores(results, strength, nu)
    deviation = standard_errors(curvature, scores, home)
    return Ratings(strength - strength[home].mean(), deviation, spread.width, nu)


def _check(results: Matches | Pairs, contestants: int) -> None:
    """Refuse wrong input, which would only fail later, or not at all."""
    rows = np.concatenate([results.a, results.b])
    if len(rows) and not (rows.min() >= 0 and rows.max() < contestants):
        raise ValueError(
            f"expected contestants in rows 0 to {contestants - 1}, got {rows.min()} to {rows.max()}"
        )
    if (both := results.a[results.a == results.b]).size:
        raise ValueError(f"expected two contestants in a match, but {both[0]} meets itself")
    most = results.weight * (1.0 + 1e-9) if isinstance(results, Pairs) else 1.0
    if not ((results.score >= 0.0) & (results.score <= most) & (results.weight >= 0.0)).all():
        raise ValueError(
            "expected scores from 0 to 1 (of sums: to the weight) and no weight below 0"
        )


def _newton(
    graph: Graph, prior: Floats, strength: Floats, spread: PriorVariance, nu: float
) -> tuple[Curvature, Floats, float]:
    """A step of Newton's method for the strengths and log nu together.

    The likelihood is concave in these, and its third derivative at most its second. So a step that
    is shortened by log(1 + l) / l, where l is how far it would move the log-odds, never overshoots
    (Sun and Tran-Dinh 2019, generalized self-concordant functions); in the end it is a full step.

    Returns:
        the curvature, and the steps of strength and log nu.
    """
    pairs = graph.pairs
    mean, variance, tie = score_moments(graph.gaps(strength), nu)
    gradient = graph.balance(pairs.score - pairs.weight * mean)
    skew = pairs.weight * (0.5 - mean)
    coupling = graph.balance(skew * tie)
    free, distance = graph.curvature(pairs.weight * variance), strength - prior
    information, unsure = free.diagonal, 1.0 / (free.diagonal + 1.0 / spread.width**2)
    # The mean of a strength lies where its mode would lie if the third derivative pulled as well.
    third = skew * (tie / 8.0 - variance) * (unsure[pairs.a] + unsure[pairs.b])
    spread.approach(information * distance + gradient + graph.balance(third), information)
    curvature = free.held(1.0 / spread.width**2)
    gradient -= distance / spread.width**2
    if nu > 0.0:
        equal = nu / (2.0 + nu)
        missing = np.sum(pairs.ties - pairs.weight * tie) - DECIDED * equal
        known = np.sum(pairs.weight * tie * (1.0 - tie)) + DECIDED * equal * (1.0 - equal)
        step, tied = _both(curvature, gradient, coupling, float(missing), float(known))
    else:
        step, tied = curvature.solve(gradient[:, None], CLOSE)[:, 0], 0.0
    length = max(float(np.ptp(step)) + abs(tied), 1e-12)
    damped = float(np.log1p(length)) / length
    return curvature, damped * step, damped * tied


def _both(
    curvature: Curvature, gradient: Floats, coupling: Floats, missing: float, known: float
) -> tuple[Floats, float]:
    """Solve [curvature, coupling; coupling', known] (step, tied) = (gradient, missing)."""
    step, follow = curvature.solve(np.stack([gradient, coupling], axis=1), CLOSE).T
    tied = float((missing - coupling @ step) / (known - coupling @ follow))
    return step - tied * follow, tied


def _scores(results: Matches | Pairs, strength: Floats, nu: float) -> csr_array:
    """Each item's gradient, shape (items, contestants); sums by pair have no items."""
    if isinstance(results, Pairs):
        return csr_array((0, len(strength)))
    mean, _, _ = score_moments(strength[results.a] - strength[results.b], nu)
    surprise = results.weight * (results.score - mean)
    items, row = np.unique(results.item, return_inverse=True)
    values = np.concatenate([surprise, -surprise])
    places = np.concatenate([row, row]), np.concatenate([results.a, results.b])
    return csr_array((values, places), shape=(len(items), len(strength)))
