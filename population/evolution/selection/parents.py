"""Who mates with whom: a tournament for the first parent, attraction for the second.

All functions are pure; scores are arrays (models, items) in [0, 1] and randomness is passed in.
"""

import numpy as np

from lineage.records import Floats

EPSILON = 1e-3


def shared_fitness(scores: Floats, alpha: float = 1.0, epsilon: float = EPSILON) -> Floats:
    """Fitness where what few can do is worth more.

    F_i = sum_j s_ij / (eps + sum_k s_kj)^alpha  (M2N2, arXiv 2508.16204, section 3), scaled to a
    mean of 1 so that it can be multiplied with other strengths.
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
    """How strong each candidate enters a tournament, as positive numbers.

    One Thompson sample of the rating's posterior (so that its uncertainty is used and not only its
    mean), times shared fitness, times 1/sqrt(1 + children) so that everybody gets a turn.
    """
    sample = rng.normal(rating, deviation)
    return np.asarray(np.exp(arena_weight * sample) * fitness / np.sqrt(1.0 + children))


def tournament(rng: np.random.Generator, strength: Floats, size: int) -> int:
    """The strongest of `size` candidates drawn at random (index into `strength`)."""
    drawn = rng.choice(len(strength), size=min(size, len(strength)), replace=False)
    return int(drawn[np.argmax(strength[drawn])])


def attraction(scores: Floats, first: int, relationship: Floats) -> Floats:
    """How much the first parent is drawn to each candidate, as probabilities.

    A_2 = sum_j max(0, s_2j - s_1j) / (eps + z_j), z_j the crowd on item j (M2N2, section 3), times
    (1 - relationship): it seeks what it lacks, from somebody who is not its kin. Where nobody has
    anything to offer, the less related are preferred; the first parent never chooses itself.
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
