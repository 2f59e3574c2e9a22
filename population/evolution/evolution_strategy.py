"""An evolution strategy around a centre: mirrored steps, fitness sharing, Adam.

Children lie at `centre + sigma * z` and `centre - sigma * z`; which of the two is fitter tells, for
each pair, whether z points uphill, and the average over pairs estimates the gradient of the
expected fitness (Salimans et al. 2017, arXiv 1703.03864, section 2; z there is normal). The centre
follows it by Adam (Kingma and Ba 2015, arXiv 1412.6980).

What makes this work on a few items is the fitness that it follows. With sharing exponent 1, the
fitness of child i is `sum_j s_ij / (1 + sum_k s_kj)`, and its gradient is close to the gradient of
`sum_j log p_j`, where p_j is the chance that a child solves item j: the log-likelihood of the keys,
learned from nothing but who solved what. So what few can do pulls hardest, as in M2N2 (arXiv
2508.16204, section 3), and fresh items in every generation are the minibatches.
"""

from dataclasses import dataclass, replace

import numpy as np

from lineage.records import Floats
from population.evolution.selection.parents import shared_fitness
from population.evolution.spaces import Space

MOMENTUM, DAMPING = 0.9, 0.99
"""Adam's decay rates of the mean and of the square of the gradient."""

SMOOTHING = 0.95
"""Decay of the running average of centres, which is steadier than the last centre."""


@dataclass(frozen=True)
class EvolutionStrategyEmitter:
    """Where the search stands.

    Attributes:
        centre: shape (genes,).
        average: shape (genes,): the running average of centres.
        gradient: shape (genes,): Adam's mean of gradients.
        square: shape (genes,): Adam's mean of squared gradients.
        steps: steps taken from where it started.
        level: how finely the genome is cut, see `Space.together`.
        stalled: generations since a centre improved on its origin.
        stride: factor on the length of its steps, which gets smaller where progress stalls.
    """

    centre: Floats
    average: Floats
    gradient: Floats
    square: Floats
    steps: int = 0
    level: int = 0
    stalled: int = 0
    stride: float = 1.0


SHORTER = 0.8
"""What the stride is multiplied by when progress stalls. Long steps find the way, but what they
find is best for the noise that they make; short ones then find the place."""


def started(centre: Floats, level: int = 0) -> EvolutionStrategyEmitter:
    """An emitter that has not moved yet."""
    still = np.zeros_like(centre)
    return EvolutionStrategyEmitter(centre, centre, still, still, level=level)


def widened(emitter: EvolutionStrategyEmitter, genes: int) -> EvolutionStrategyEmitter:
    """The emitter in a space that has got more genes at the end; in those it has not moved yet."""
    more = (0, genes - len(emitter.centre))
    return replace(
        emitter,
        centre=np.pad(emitter.centre, more),
        average=np.pad(emitter.average, more),
        gradient=np.pad(emitter.gradient, more),
        square=np.pad(emitter.square, more),
    )


def directions(rng: np.random.Generator, space: Space, level: int, pairs: int) -> Floats:
    """Random steps, shape (pairs, genes): genes that are one at this level step together.

    Every gene takes its step forward or back, as in SPSA (Spall 1992, section III): steps of one
    length estimate the gradient with less noise than normal ones, and are drawn ten times as fast.
    A whole gene takes a normal one, for a step of one length would never or always change it.
    """
    together = space.together(level)
    forward = rng.integers(0, 2, (pairs, int(together.max()) + 1), dtype=np.bool_)
    if space.levels:
        forward = forward[:, together]
    steps = np.multiply(forward, 2.0 * space.step)
    steps -= space.step
    if (whole := space.integer).any():
        steps[:, whole] = rng.standard_normal((pairs, int(whole.sum()))) * space.step[whole]
    return np.asarray(steps)


def shortened(emitter: EvolutionStrategyEmitter, shortest: float) -> EvolutionStrategyEmitter:
    """The emitter with a shorter stride, but no shorter than `shortest`, from where it is."""
    return replace(emitter, stride=max(shortest, SHORTER * emitter.stride), stalled=0)


def mirrored(centre: Floats, steps: Floats, sigma: float) -> Floats:
    """The children, shape (2 * pairs, genes): first all steps forward, then all back."""
    children = np.empty((2 * len(steps), len(centre)))
    np.multiply(steps, sigma, out=children[: len(steps)])
    np.subtract(centre, children[: len(steps)], out=children[len(steps) :])
    children[: len(steps)] += centre
    return children


def moved(
    emitter: EvolutionStrategyEmitter,
    space: Space,
    steps: Floats,
    scores: Floats,
    *,
    rate: float,
    sharing: float = 1.0,
) -> EvolutionStrategyEmitter:
    """The emitter after it has seen how its children did.

    Args:
        emitter: as it was when they were made.
        space: what genomes may be.
        steps: shape (pairs, genes), as given to `mirrored`.
        scores: shape (2 * pairs, items), in the order of `mirrored`.
        rate: Adam's step length, in units of `Space.step`.
        sharing: exponent of fitness sharing.
    """
    pairs = len(steps)
    ranks = centred_ranks(shared_fitness(scores, sharing, epsilon=1.0))
    uphill = (ranks[:pairs] - ranks[pairs:]) @ steps / pairs
    gradient = MOMENTUM * emitter.gradient + (1 - MOMENTUM) * uphill
    square = DAMPING * emitter.square + (1 - DAMPING) * uphill**2
    count = emitter.steps + 1
    direction = gradient / (1 - MOMENTUM**count)
    length = np.sqrt(square / (1 - DAMPING**count)) + 1e-12
    centre = np.clip(emitter.centre + rate * space.step * direction / length, space.low, space.high)
    return replace(
        emitter,
        centre=centre,
        average=SMOOTHING * emitter.average + (1 - SMOOTHING) * centre,
        gradient=gradient,
        square=square,
        steps=count,
    )


def centred_ranks(fitness: Floats) -> Floats:
    """Ranks from -1/2 (worst) to 1/2 (best); equals share the mean of their ranks."""
    order = np.argsort(fitness, kind="stable")
    ranks = np.empty(len(fitness))
    ranks[order] = np.arange(len(fitness), dtype=np.float64)
    _, group = np.unique(fitness, return_inverse=True)
    shared = np.bincount(group, weights=ranks) / np.bincount(group)
    return np.asarray(shared[group] / max(1, len(fitness) - 1) - 0.5)
