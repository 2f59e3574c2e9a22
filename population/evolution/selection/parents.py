"""Parent selection: a tournament for the first parent, attraction for the mate.

All functions are pure, and random generators are passed in.
"""

import numpy as np

from lineage.records import Floats

EPSILON = 1e-3
"""Keeps quotients finite where nobody solves an item; M2N2 leaves its value open."""


def shared_fitness(scores: Floats, alpha: float = 1.0, epsilon: float = EPSILON) -> Floats:
    """Fitness under resource sharing: items that few models solve are worth more.

    F_i = sum_j s_ij / (eps + sum_k s_kj)^alpha  (M2N2, arXiv 2508.16204, section 3), scaled to a
    mean of 1 so that it can be multiplied with other strengths.

    Args:
        scores: shape (models, items) in [0, 1].
        alpha: exponent of sharing; 0 is none.
        epsilon: keeps quotients finite.

    Returns:
        Shape (models,).

    >>> shared_fitness(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])).round(2).tolist()
    [0.75, 0.75, 1.5]
    """
    crowd = epsilon + scores.sum(axis=0)
    fitness = np.sum(scores / crowd**alpha, axis=1)
    mean = fitness.mean()
    return np.asarray(fitness / mean) if mean > 0 else np.ones(len(scores))


def tournament_strength(
    rng: np.random.Generator,
    rating: Floats,
    deviation: Floats,
    fitness: Floats,
    children: Floats,
    arena_weight: float,
) -> Floats:
    """The strength with which each candidate enters a tournament, positive, shape (models,).

    exp(arena_weight * r) * fitness / sqrt(1 + children), with r one Thompson sample of the rating's
    posterior, which uses its uncertainty and not only its mean. The last factor gives every model a
    turn.

    Args:
        rng: for this child alone.
        rating: shape (models,), in logits.
        deviation: shape (models,): standard errors of the ratings.
        fitness: shape (models,): shared fitness.
        children: shape (models,): how many each has had.
        arena_weight: how much ratings count; 0 ignores them.
    """
    sample = rng.normal(rating, deviation)
    return np.asarray(np.exp(arena_weight * sample) * fitness / np.sqrt(1.0 + children))


def select_by_tournament(rng: np.random.Generator, strength: Floats, size: int) -> int:
    """The row of the strongest of `size` candidates that are drawn at random.

    Args:
        rng: for this child alone.
        strength: shape (models,).
        size: candidates in the tournament.
    """
    drawn = rng.choice(len(strength), size=min(size, len(strength)), replace=False)
    return int(drawn[np.argmax(strength[drawn])])


def attraction(scores: Floats, first: int, relationship: Floats) -> Floats:
    """The probability of each candidate to become the mate of a first parent, shape (models,).

    In proportion to A_2 = sum_j max(0, s_2j - s_1j) / (eps + z_j), z_j = sum_k s_kj (attraction:
    M2N2, arXiv 2508.16204, section 3), times (1 - relationship): a mate solves what the first
    parent does not, and is not its kin. Where no candidate solves anything more, the less related
    are preferred; the first parent has probability 0.

    Args:
        scores: shape (models, items) in [0, 1].
        first: row of the first parent.
        relationship: shape (models,): to the first parent.
    """
    crowd = EPSILON + scores.sum(axis=0)
    gain = np.sum(np.maximum(0.0, scores - scores[first]) / crowd, axis=1)
    distance = np.clip(1.0 - relationship, 0.0, 1.0) + EPSILON
    pull = gain * distance
    pull[first] = 0.0
    if pull.sum() <= 0.0:
        pull = distance.copy()
        pull[first] = 0.0
    return np.asarray(pull / pull.sum())
