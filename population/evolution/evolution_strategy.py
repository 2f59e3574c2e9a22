"""The evolution strategy: mirrored steps around a centre, fitness sharing, Adam.

Children lie at `centre + sigma * z` and `centre - sigma * z`; which of the two is fitter shows, for
each pair, whether z points uphill, and the average over pairs estimates the gradient of the
expected fitness (Salimans et al. 2017, arXiv 1703.03864, section 2; z there is normal). The centre
follows it by Adam (Kingma and Ba 2015, arXiv 1412.6980).

What makes this work on a few items is the fitness that it follows. With sharing exponent 1, the
fitness of child i is `sum_j s_ij / (1 + sum_k s_kj)`, and its gradient is close to the gradient of
`sum_j log p_j`, where p_j is the chance that a child solves item j: the log-likelihood of the keys,
learned from nothing but which child solved which item. So what few can do pulls hardest, as in M2N2
(arXiv 2508.16204, section 3), and fresh items in every generation are the minibatches.
"""

from dataclasses import dataclass, replace

import numpy as np

from lineage.records import Floats
from population.evolution.selection.parents import shared_fitness
from population.evolution.spaces import Space

MOMENTUM, DAMPING = 0.9, 0.99
"""Adam's decay rates of the mean and of the square of the gradient."""

SMOOTHING, WARMING = 0.95, 4
"""Largest decay of the running average of centres, which is steadier than the last centre; and how
slowly it is reached. With the same decay from the first step on, the average was ten generations
behind the centre after twenty (`CHANGELOG.md`, "Experiments worth remembering")."""


@dataclass(frozen=True)
class EvolutionStrategyEmitter:
    """The parent distribution of the evolution strategy, and Adam's state.

    Attributes:
        centre: shape (genes,): mean of the parent distribution.
        average: shape (genes,): the running average of centres.
        gradient: shape (genes,): Adam's mean of gradients.
        square: shape (genes,): Adam's mean of squared gradients.
        steps: steps taken from where it started.
        level: how finely the genome is cut, see `Space.groups_at`.
        stalled: generations since a centre improved on its origin.
        stride: factor on the length of its steps, which shrinks where progress stalls.
    """

    centre: Floats
    average: Floats
    gradient: Floats
    square: Floats
    steps: int = 0
    level: int = 0
    stalled: int = 0
    stride: float = 1.0


STRIDE_DECAY = 0.8
"""Factor on the stride when progress stalls. Long steps find the direction, but a centre that is
best on average over long steps; short ones then find the optimum."""


def new_emitter(centre: Floats, level: int = 0) -> EvolutionStrategyEmitter:
    """An emitter that has not moved yet, around a centre of shape (genes,)."""
    zeros = np.zeros_like(centre)
    return EvolutionStrategyEmitter(centre, centre, zeros, zeros, level=level)


def with_genes(emitter: EvolutionStrategyEmitter, genes: int) -> EvolutionStrategyEmitter:
    """The emitter in a space with more genes at the end, along which it has not moved yet."""
    padding = (0, genes - len(emitter.centre))
    return replace(
        emitter,
        centre=np.pad(emitter.centre, padding),
        average=np.pad(emitter.average, padding),
        gradient=np.pad(emitter.gradient, padding),
        square=np.pad(emitter.square, padding),
    )


def sample_steps(rng: np.random.Generator, space: Space, level: int, pairs: int) -> Floats:
    """Random steps, shape (pairs, genes): genes of one group step together.

    Real genes step forward or back by one length, as in SPSA (Spall 1992, section III): such steps
    estimate the gradient with less noise than normal ones, and are drawn ten times as fast. Integer
    genes take a normal step, for a step of one length would never or always change them.

    Args:
        rng: for this generation alone.
        space: what genomes may be.
        level: how finely genes are grouped, see `Space.groups_at`.
        pairs: how many steps.
    """
    groups = space.groups_at(level)
    forward = rng.integers(0, 2, (pairs, int(groups.max()) + 1), dtype=np.bool_)
    if space.levels:
        forward = forward[:, groups]
    steps = np.multiply(forward, 2.0 * space.step)
    steps -= space.step
    if (integer := space.integer).any():
        normal = rng.standard_normal((pairs, int(integer.sum())))
        steps[:, integer] = normal * space.step[integer]
    return np.asarray(steps)


def with_shorter_stride(
    emitter: EvolutionStrategyEmitter, shortest: float
) -> EvolutionStrategyEmitter:
    """The emitter at the same centre with a shorter stride, but not below `shortest`."""
    return replace(emitter, stride=max(shortest, STRIDE_DECAY * emitter.stride), stalled=0)


def mirrored_genomes(centre: Floats, steps: Floats, sigma: float) -> Floats:
    """The children, shape (2 * pairs, genes): first all steps forward, then all back.

    Args:
        centre: shape (genes,).
        steps: shape (pairs, genes).
        sigma: factor on the steps.

    >>> mirrored_genomes(np.array([1.0]), np.array([[2.0], [4.0]]), sigma=0.5).ravel().tolist()
    [2.0, 3.0, 0.0, -1.0]
    """
    children = np.empty((2 * len(steps), len(centre)))
    np.multiply(steps, sigma, out=children[: len(steps)])
    np.subtract(centre, children[: len(steps)], out=children[len(steps) :])
    children[: len(steps)] += centre
    return children


def update_emitter(
    emitter: EvolutionStrategyEmitter,
    space: Space,
    steps: Floats,
    scores: Floats,
    *,
    rate: float,
    sharing: float = 1.0,
) -> EvolutionStrategyEmitter:
    """The emitter after the scores of its children: one step of Adam along the gradient estimate.

    The gradient is sum_i (rank(+z_i) - rank(-z_i)) z_i / pairs, with centred ranks of the shared
    fitness (Salimans et al. 2017, section 2.1; antithetic sampling); Adam is Kingma and Ba 2015,
    algorithm 1. The centre stays within the bounds of the space.

    Args:
        emitter: as it was when they were made.
        space: what genomes may be.
        steps: shape (pairs, genes), as given to `mirrored_genomes`.
        scores: shape (2 * pairs, items), in the order of `mirrored_genomes`.
        rate: Adam's step length, in units of `Space.step`.
        sharing: exponent of fitness sharing.
    """
    pairs = len(steps)
    ranks = centred_ranks(shared_fitness(scores, sharing, epsilon=1.0))
    uphill = (ranks[:pairs] - ranks[pairs:]) @ steps / pairs
    gradient = MOMENTUM * emitter.gradient + (1 - MOMENTUM) * uphill
    square = DAMPING * emitter.square + (1 - DAMPING) * uphill**2
    count = emitter.steps + 1
    decay = min(SMOOTHING, (1 + count) / (WARMING + count))
    direction = gradient / (1 - MOMENTUM**count)
    length = np.sqrt(square / (1 - DAMPING**count)) + 1e-12
    centre = np.clip(emitter.centre + rate * space.step * direction / length, space.low, space.high)
    return replace(
        emitter,
        centre=centre,
        average=decay * emitter.average + (1 - decay) * centre,
        gradient=gradient,
        square=square,
        steps=count,
    )


def centred_ranks(fitness: Floats) -> Floats:
    """Ranks from -1/2 (worst) to 1/2 (best); equals share the mean of their ranks.

    Args:
        fitness: shape (children,).

    Returns:
        Shape (children,).

    >>> centred_ranks(np.array([3.0, 1.0, 3.0])).tolist()
    [0.25, -0.5, 0.25]
    """
    order = np.argsort(fitness, kind="stable")
    ranks = np.empty(len(fitness))
    ranks[order] = np.arange(len(fitness), dtype=np.float64)
    _, group = np.unique(fitness, return_inverse=True)
    shared = np.bincount(group, weights=ranks) / np.bincount(group)
    return np.asarray(shared[group] / max(1, len(fitness) - 1) - 0.5)
