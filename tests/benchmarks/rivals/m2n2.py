"""M2N2: Model Merging of Natural Niches (arXiv 2508.16204, GECCO 2025).

After natural_niches_fn.py and helper_fn.py of SakanaAI/natural_niches, oddities included. What the
published code does otherwise:

- It does not count the evaluations of its founders.
- It reports the best of the archive, which may have lost the best candidate ever scored.
"""

from dataclasses import dataclass

import numpy as np

from tests.benchmarks.rivals.problem import Floats, Integers, Problem, Referee


@dataclass(frozen=True)
class M2N2Settings:
    """The defaults are the published ones for pre-trained founders.

    Args:
        population: Rows of the archive.
        alpha: How much a crowd on an item lowers what solving it is worth; 0 is plain accuracy.
        mutation: Deviation of the Gaussian noise on children; published are 0.01 from scratch
            and none for pre-trained founders.
        use_attraction: Whether the second parent is chosen for what the first one lacks.
        split_point: Whether a child changes its mixing weight at a random index.
    """

    population: int = 20
    alpha: float = 1.0
    mutation: float = 0.0
    use_attraction: bool = True
    split_point: bool = True


PUBLISHED = M2N2Settings()


def m2n2(problem: Problem, rng: np.random.Generator, settings: M2N2Settings = PUBLISHED) -> None:
    """Breed one child at a time until the budget is spent (`run_natural_niches`)."""
    referee = Referee(problem)
    founders = problem.founders
    scored = referee.scores(founders)
    vectors = np.zeros((settings.population, founders.shape[1]))
    scores = np.zeros((settings.population, scored.shape[1]))
    for founder, score in zip(founders, scored, strict=True):
        replace_worst(vectors, scores, founder, score, settings.alpha)
    while True:
        first, second = parents(scores, rng, settings)
        child = crossover(vectors[first], vectors[second], rng, settings.split_point)
        child = child + rng.normal(0.0, settings.mutation, len(child))
        score = referee.scores(child[np.newaxis])[0]
        replace_worst(vectors, scores, child, score, settings.alpha)


def shares(scores: Floats, alpha: float) -> Floats:
    """What each row earns on each item: s_ij / z_j^alpha, z_j = sum_k s_kj, or 1 where it is 0.

    The paper's formula adds an epsilon to the denominator instead.
    """
    crowd = scores.sum(axis=0)
    return np.asarray(scores / np.where(crowd > 0.0, crowd, 1.0) ** alpha)


def shared_fitness(scores: Floats, alpha: float) -> Floats:
    """f_i = sum_j s_ij / z_j^alpha (`sample_parents` and `update_archive`)."""
    return np.asarray(shares(scores, alpha).sum(axis=1))


def attraction(scores: Floats, first: int, alpha: float) -> Floats:
    """What each row could add to `first`: sum_j max(0, s_ij - s_1j) / z_j^alpha."""
    earned = shares(scores, alpha)
    return np.asarray(np.maximum(0.0, earned - earned[first]).sum(axis=1))


def draw(
    rng: np.random.Generator, weights: Floats, count: int = 1, replace: bool = True
) -> Integers:
    """Indices in proportion to their weights.

    Where all weights are zero this is index 0: there the published code divides zero by zero, and
    that is what `jax.random.choice` makes of probabilities that are not numbers.
    """
    total = weights.sum()
    if total == 0.0:
        return np.zeros(count, dtype=np.int64)
    return rng.choice(len(weights), size=count, replace=replace, p=weights / total)


def parents(scores: Floats, rng: np.random.Generator, settings: M2N2Settings) -> tuple[int, int]:
    """Two rows of the archive; without attraction they may be the same (`sample_parents`)."""
    fitness = shared_fitness(scores, settings.alpha)
    if not settings.use_attraction:
        second, first = draw(rng, fitness, 2)
    else:
        (first,) = draw(rng, fitness)
        (second,) = draw(rng, attraction(scores, int(first), settings.alpha))
    return int(first), int(second)


def split_point_slerp(first: Floats, second: Floats, weight: float, split: int) -> Floats:
    """Spherical interpolation by `weight` left of `split`, by 1 - `weight` from there on.

    The angle is that between the whole vectors (`slerp_w_splitpoint`); the formula of the paper
    interpolates either part by itself. (Nearly) parallel vectors are interpolated linearly, and
    so is a zero vector, which has no angle to anything.
    """
    weights = np.where(np.arange(len(first)) < split, weight, 1.0 - weight)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = np.dot(first / np.linalg.norm(first), second / np.linalg.norm(second))
        angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    sine = np.sin(angle)
    if sine > 1e-6:
        left, right = np.sin((1.0 - weights) * angle) / sine, np.sin(weights * angle) / sine
    else:
        left, right = 1.0 - weights, weights
    return np.asarray(left * first + right * second)


def crossover(
    first: Floats, second: Floats, rng: np.random.Generator, split_point: bool = True
) -> Floats:
    """A child at a random split point and weight (`crossover`, `crossover_without_splitpoint`)."""
    split = int(rng.integers(len(first))) if split_point else len(first)
    return split_point_slerp(first, second, rng.random(), split)


def replace_worst(
    vectors: Floats, scores: Floats, child: Floats, score: Floats, alpha: float
) -> None:
    """Put the child in place of the least fit row, unless it is that itself (`update_archive`).

    Fitness is shared among all rows and the child. Of equals the first row goes.
    """
    worst = int(shared_fitness(np.vstack([scores, score]), alpha).argmin())
    if worst < len(scores):
        vectors[worst], scores[worst] = child, score
