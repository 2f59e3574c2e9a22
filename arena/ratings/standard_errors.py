"""Standard errors of strengths, clustered by item.

The sandwich estimator V = H^-1 (sum_p g_p g_p' P / (P - 1) + L) H^-1 (Liang and Zeger 1986,
Biometrika 73: 13-22) takes items, not matches, as independent: H is the negative Hessian of the
posterior, g_p the gradient of all matches on item p of P, and L the precision of the priors, which
count as one more observation of each contestant. If matches were independent, V would be H^-1; that
gives far too narrow intervals where all matches on an item come from the same few answers.
Discriminations, ties and the prior's variance are taken as known.
"""

import numpy as np
from scipy.sparse import csr_array

from arena.judges.votes import Integers
from arena.ratings.graph import Curvature
from lineage.records import Floats

EXACT = 500
"""Up to so many contestants H is inverted, which takes 0.1 s; the time grows with the cube."""

CLOSE = 1e-8
"""Relative tolerance of the solve for the anchors' mean, which weighs more in V than in H."""

ROUNDS, SETTLED = 100, 1e-3
"""Belief propagation stops after so many rounds, or when no precision falls by more than this
fraction."""


def standard_errors(curvature: Curvature, scores: csr_array, anchors: Integers) -> Floats:
    """Standard errors of all strengths relative to the mean of the anchors, in logits.

    Never below those of the curvature: with few items, or for undefeated contestants, whose
    gradients are small, the sandwich can be too narrow.

    Args:
        curvature: at the optimum.
        scores: shape `[items, contestants]`: each item's gradient; no rows if items are unknown.
        anchors: rows of the anchors, shape `[anchors]`.

    Returns:
        Shape `[contestants]`.
    """
    make = (
        exact_standard_errors if len(curvature.diagonal) <= EXACT else approximate_standard_errors
    )
    return make(curvature, scores, anchors)


def exact_standard_errors(curvature: Curvature, scores: csr_array, anchors: Integers) -> Floats:
    """As `standard_errors`, exactly, by an array of shape `[contestants, contestants]`."""
    inverse = np.linalg.inv(curvature.dense())
    inverse -= inverse[anchors].mean(axis=0)
    floor = np.diag(inverse) - inverse[:, anchors].mean(axis=1)
    if scores.nnz > 0.1 * scores.shape[0] * scores.shape[1]:
        scores = scores.toarray()  # where most is not zero, a sparse product is the slower one
    seen = scores.T @ scores
    middle = seen if isinstance(seen, np.ndarray) else seen.toarray()
    middle = _correction(scores) * middle + curvature.precision * np.eye(len(middle))
    return _root(np.sum(inverse @ middle * inverse, axis=1), floor)


def approximate_standard_errors(
    curvature: Curvature, scores: csr_array, anchors: Integers
) -> Floats:
    """As `standard_errors`, approximately, in time and memory that grow with the matches.

    Covariances with the anchors' mean are exact. The variance of a contestant itself is taken as
    V_ii = (H^-1)_ii M_ii / H_ii, with M the middle of the sandwich: neighbours change it as they
    change the inverse. Root-mean-square difference from `exact_standard_errors`: 0.3 % with 20
    random matches a contestant, 0.5 % where all contestants meet on 30 items, 1 % on 20 items.
    """
    mean = np.zeros(len(curvature.diagonal))
    mean[anchors] = 1.0 / len(anchors)
    correction = _correction(scores)
    inverse = inverse_diagonal(curvature)
    shared = curvature.solve(mean[:, None], CLOSE)[:, 0]
    pulled = correction * (scores.T @ (scores @ shared)) + curvature.precision * shared
    crossed = curvature.solve(pulled[:, None], CLOSE)[:, 0]
    middle = correction * scores.power(2).sum(axis=0) + curvature.precision
    # Around everybody's mean; that itself is known as well as the mean of so many priors.
    common = 1.0 / (len(mean) * curvature.precision)
    variance = inverse * middle / curvature.diagonal + common - 2.0 * crossed + shared @ pulled
    return _root(variance, inverse + common - 2.0 * shared + shared[anchors].mean())


def inverse_diagonal(curvature: Curvature) -> Floats:
    """The diagonal of the inverse, by Gaussian belief propagation.

    Each contestant sends its neighbours the precision with which the rest of the graph determines
    it (Weiss and Freeman 2001, Neural Computation 13: 2173-2200). That is exact on trees, and never
    above the truth here, where all links are attractive; contributions of loops are left out.
    Measured: 0.02 % off with 4 or 20 random opponents a contestant.

    Args:
        curvature: with a prior, so that it can be inverted.

    Returns:
        Shape `[contestants]`.
    """
    links = curvature.links.tocoo()
    links.sum_duplicates()  # links side by side would be loops
    a, b, size = links.row, links.col, len(curvature.diagonal)
    square = links.data**2
    to_a = to_b = np.zeros(len(square))
    precision = curvature.diagonal
    for _ in range(ROUNDS):
        # A message to a neighbour leaves out that neighbour's own message.
        to_a, to_b = square / (precision[b] + to_b), square / (precision[a] + to_a)
        before = precision
        precision = curvature.diagonal - np.bincount(a, to_a, size) - np.bincount(b, to_b, size)
        if (precision > (1.0 - SETTLED) * before).all():
            break
    return np.asarray(1.0 / precision)


def _correction(scores: csr_array | Floats) -> float:
    """P / (P - 1): strengths were fitted to the items, which makes gradients a little too small."""
    items = int(scores.shape[0])
    return items / max(items - 1, 1)


def _root(variance: Floats, floor: Floats) -> Floats:
    return np.sqrt(np.maximum(np.maximum(variance, floor), 0.0))
