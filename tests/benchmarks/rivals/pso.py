"""Model Swarms: particle swarm optimisation of language models (arXiv 2410.11163, ICML 2025).

After search.py of BunsenFeng/model_swarm, oddities included. What the published code does
otherwise: it ends after 200 iterations, or 10 without a new global best; here it goes on until
the budget is spent.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.rivals.problem import Floats, Problem, Referee


@dataclass(frozen=True)
class PsoSettings:
    """The defaults of the published command line, with a swarm as large as in its scripts.

    Args:
        population: Particles.
        inertia: Weight of a particle's velocity.
        cognitive: Weight of the way to a particle's own best position.
        social: Weight of the way to the best position of all.
        repel: Weight of the way from the worst position of all.
        step: How far particles go along their velocity in the first iteration.
        step_factor: By what the step changes in each iteration.
        least_step: What the step never falls below.
        restart_after: Iterations without a personal best until a particle returns to its own
            (`restart_patience` times `patience`).
    """

    population: int = 20
    inertia: float = 0.4
    cognitive: float = 0.3
    social: float = 0.3
    repel: float = 0.3
    step: float = 1.0
    step_factor: float = 0.95
    least_step: float = 0.1
    restart_after: float = 5.0


DEFAULTS = PsoSettings()

#: The published scripts (search_nlgraph.sh and others) draw these at random for each of many runs;
#: this is the middle of what they draw from. The worst position repels far less than by default.
MIDDLE_OF_SWEEP = PsoSettings(
    inertia=0.2, cognitive=0.3, social=0.4, repel=0.05, step=0.75, restart_after=6.7
)


def pso(problem: Problem, rng: np.random.Generator, settings: PsoSettings = DEFAULTS) -> None:
    """Move all particles at once until the budget is spent."""
    referee = Referee(problem)
    positions = populate(problem.founders, settings.population, rng)
    velocities = first_velocities(positions, rng)
    means = referee.means(positions)
    personal, personal_means = positions, means
    found = np.zeros(len(positions))  # the iteration of each personal best
    best, best_mean = positions[means.argmax()], means.max()
    worst, worst_mean = positions[means.argmin()], means.min()
    for iteration, step in enumerate(steps(settings), start=1):
        stray = (iteration - found >= settings.restart_after)[:, np.newaxis]
        positions = np.where(stray, personal, positions)
        velocities = np.where(stray, 0.0, velocities)
        weights = random_weights(len(positions), rng, settings)
        velocities = velocity(weights, velocities, positions, personal, best, worst)
        positions = positions + step * velocities
        means = referee.means(positions)
        better = means > personal_means
        personal = np.where(better[:, np.newaxis], positions, personal)
        personal_means = np.where(better, means, personal_means)
        found = np.where(better, iteration, found)
        if means.max() > best_mean:
            best, best_mean = positions[means.argmax()], means.max()
        if means.min() < worst_mean:
            worst, worst_mean = positions[means.argmin()], means.min()


def steps(settings: PsoSettings) -> Iterator[float]:
    """How far to go in each iteration."""
    step = settings.step
    while True:
        yield step
        step = max(step * settings.step_factor, settings.least_step)


def populate(founders: Floats, size: int, rng: np.random.Generator) -> Floats:
    """The founders, filled up with points on the lines through two of those there already.

    Half of them lie between the two, half beyond the first.
    """
    vectors = list(founders)
    while len(vectors) < size:
        first, second = rng.choice(len(vectors), size=2, replace=False)
        weight = rng.uniform(0.0, 2.0)
        vectors.append(weight * vectors[first] + (1.0 - weight) * vectors[second])
    return np.stack(vectors)


def first_velocities(positions: Floats, rng: np.random.Generator) -> Floats:
    """The way from each particle to another one (`starting_velocity_mode` random)."""
    size = len(positions)
    others = (np.arange(size) + rng.integers(1, size, size)) % size
    return np.asarray(positions[others] - positions)


def random_weights(size: int, rng: np.random.Generator, settings: PsoSettings) -> Floats:
    """What each particle makes of inertia, own best, best and worst: (particles, 4), sums of 1."""
    means = [settings.inertia, settings.cognitive, settings.social, settings.repel]
    weights = rng.random((size, 4)) * means
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def velocity(
    weights: Floats,
    velocities: Floats,
    positions: Floats,
    personal: Floats,
    best: Floats,
    worst: Floats,
) -> Floats:
    """w_1 v + w_2 (p - x) + w_3 (g - x) + w_4 (x - g_worst) (`particle_update`)."""
    ways = np.stack([velocities, personal - positions, best - positions, positions - worst], axis=1)
    return np.asarray(np.einsum("pk,pkd->pd", weights, ways))
