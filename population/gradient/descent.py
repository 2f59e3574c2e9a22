"""Gradient descent on merge coefficients, one step of Adam per batch of items.

The loss of a genome is the mean negative log-likelihood of the keys of some search items, under the
model that it makes. Its gradient goes through the network to the weights, and from there to the
coefficients (`Materialiser.add_gradient`). AdaMerging (Yang et al. 2024, arXiv 2310.02575) descends
on the entropy of the answers, from 0.3 on every task vector; aTLAS (Zhang et al. 2024, arXiv
2407.02880) on a supervised loss, as here.

A descent is a value. What it does next depends on its state and settings alone, so one that was
stored and taken up again makes the same steps, to the bit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lineage.cleanup import afterwards
from lineage.records import Floats, Item
from lineage.task_weights import EQUAL, TaskWeights
from population.evaluation.backward_pass import TakeGradient
from population.evaluation.evaluator import Evaluator
from population.evaluation.pool import EvaluatorPool
from population.gradient.parts import GradientSum, Helpers
from population.randomness import generator
from population.weights.materialise import Materialiser, State

START = 0.3
"""Where AdaMerging starts every coefficient."""

MOMENTUM, DAMPING, EPSILON = 0.9, 0.999, 1e-8
"""Adam's decay rates of the mean and of the square of the gradient, and its smallest divisor."""

ItemSampler = Callable[[int, int], Sequence[Item]]
"""Gives the items of a step: called with the seed of a descent and the number of the step."""


@dataclass(frozen=True)
class DescentSettings:
    """How to descend.

    Attributes:
        rate: Adam's step length, in units of a coefficient.
        decay: steps over which it falls to nothing, linearly; None keeps it.
        room: bytes that layers may keep for the way back; see `Evaluator.loss`.
        parts: that the items of a step are cut into, at most; see `population.gradient.parts`. Last
            bits depend on it.
        low: the smallest coefficient, or that of each gene.
        high: the largest.
    """

    rate: float = 0.03
    decay: int | None = None
    room: float = np.inf
    parts: int = 1
    low: float | Floats = -np.inf
    high: float | Floats = np.inf


@dataclass(frozen=True)
class Descent:
    """A descent on its way: a genome and Adam's state.

    Attributes:
        genome: shape (genes,): a coefficient for each task vector and block.
        gradient: shape (genes,): Adam's mean of gradients.
        square: shape (genes,): Adam's mean of squared gradients.
        steps: how many were taken.
        seed: of the items that it samples.
    """

    genome: Floats
    gradient: Floats
    square: Floats
    steps: int = 0
    seed: int = 0


@dataclass(frozen=True)
class DescentStep:
    """A step of a descent.

    Attributes:
        descent: after the step.
        loss: before the step, on its items, in nats.
        items: how many those were; each counts three item evaluations.
    """

    descent: Descent
    loss: float
    items: int


def new_descent(genome: Floats, seed: int) -> Descent:
    """A descent that has not moved yet, from a genome of any shape.

    >>> new_descent(np.full((2, 2), START), seed=7).genome.tolist()
    [0.3, 0.3, 0.3, 0.3]
    """
    flat = np.array(genome, dtype=np.float64).ravel()
    return Descent(flat, np.zeros_like(flat), np.zeros_like(flat), seed=seed)


def sampler_of(items: Sequence[Item], count: int, weights: TaskWeights = EQUAL) -> ItemSampler:
    """Samples items of a few, of each task by its weight; no item twice in a step.

    Args:
        items: to sample from: all search items, or those of a niche.
        count: items of a step, at most; at least one of each task.
        weights: of the tasks.
    """
    tasks: dict[str, list[Item]] = {}
    for item in items:
        tasks.setdefault(item.task, []).append(item)
    return _TaskSampler(tasks, weights.items_of_each(count, tasks))


@dataclass(frozen=True)
class _TaskSampler:
    """Samples so many items of each task; data, so that it can be sent to other processes."""

    tasks: Mapping[str, Sequence[Item]]
    each: Mapping[str, int]

    def __call__(self, seed: int, step: int) -> list[Item]:
        chosen = []
        for name, of_task in self.tasks.items():
            rng = generator(seed, "descent items", step, name)
            take = min(self.each[name], len(of_task))
            chosen += [of_task[n] for n in rng.choice(len(of_task), take, replace=False)]
        return chosen


def gradient_at(
    evaluator: Evaluator,
    maker: Materialiser,
    genome: Floats,
    items: Sequence[Item],
    settings: DescentSettings,
    weights: State | None = None,
    helpers: Helpers | None = None,
) -> tuple[float, Floats]:
    """The loss of a genome on some items, in nats, and its gradient, shape (genes,).

    Args:
        evaluator: that becomes the model; it counts three item evaluations for each item.
        maker: of the weights; one that does not round them to the founders' dtype is exact.
        genome: shape (genes,).
        items: with keys.
        settings: of the descent.
        weights: where the model is made: those of the step before, or an empty dictionary.
        helpers: who may do some of the parts; nobody by default.
    """
    gradient = np.zeros_like(genome)
    state = maker.one(genome, weights)

    def pass_back(part: Sequence[Item], worker: Evaluator, take: TakeGradient) -> float:
        prepared = worker.prepare_targets(part)
        answers = None if part is items else len(items)
        return worker.loss(state, prepared, take, room=settings.room, answers=answers)

    count = min(settings.parts, len(items))
    if count <= 1:  # no more than one gradient of a weight is in memory
        loss = pass_back(
            items, evaluator, lambda name, by: maker.add_gradient(genome, name, by, gradient)
        )
        return loss, gradient
    # Items of a task lie side by side, so parts are alike.
    works = [partial(pass_back, items[first::count]) for first in range(count)]
    total, helpers = GradientSum(), helpers or Helpers()
    asked = [helpers.ask(work) for work in works[1:]]
    loss = works[0](evaluator, total.of_a_part())
    for part in asked:
        loss += part.finish(evaluator, total)
    maker.add_gradients(genome, total, gradient)
    return loss, gradient


def adam_step(descent: Descent, gradient: Floats, settings: DescentSettings) -> Descent:
    """One step of Adam downhill (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1).

    A gradient that is not finite, of a model that is broken, moves nothing.

    Args:
        descent: before the step.
        gradient: shape (genes,).
        settings: of the descent.
    """
    steps = descent.steps + 1
    if not np.isfinite(gradient).all():
        return replace(descent, steps=steps)
    mean = MOMENTUM * descent.gradient + (1 - MOMENTUM) * gradient
    square = DAMPING * descent.square + (1 - DAMPING) * gradient**2
    length = np.sqrt(square / (1 - DAMPING**steps)) + EPSILON
    rate = settings.rate
    if settings.decay is not None:
        rate *= max(0.0, 1.0 - descent.steps / settings.decay)
    moved = descent.genome - rate * mean / (1 - MOMENTUM**steps) / length
    genome = np.clip(moved, settings.low, settings.high)
    return replace(descent, genome=genome, gradient=mean, square=square, steps=steps)


def descend(
    evaluator: Evaluator,
    maker: Materialiser,
    descent: Descent,
    sampler: ItemSampler,
    settings: DescentSettings,
    weights: State | None = None,
    helpers: Helpers | None = None,
) -> DescentStep:
    """One step on fresh items; `weights` and `helpers` as for `gradient_at`."""
    items = sampler(descent.seed, descent.steps)
    loss, gradient = gradient_at(
        evaluator, maker, descent.genome, items, settings, weights, helpers
    )
    return DescentStep(adam_step(descent, gradient, settings), loss, len(items))


PATIENCE = 1.0
"""Seconds after which somebody who waits for descents is told how far they are."""


def descend_together(
    pool: EvaluatorPool,
    maker: Materialiser,
    descents: Sequence[Descent],
    samplers: Sequence[ItemSampler],
    settings: Sequence[DescentSettings],
    steps: int,
    progress: Callable[[int], None] = lambda done: None,
) -> list[list[DescentStep]]:
    """Some steps of several descents, each on an evaluator of its own; the others help.

    Args:
        pool: of evaluators; the bits do not depend on how many there are.
        maker: of the weights.
        descents: they share nothing but the maker.
        samplers: of the items of each.
        settings: of each.
        steps: how many each takes.
        progress: called with the number of steps that have been taken, all descents together, about
            once a second; may raise to stop.

    Returns:
        The steps of each descent.
    """
    made: list[list[DescentStep]] = [[] for _ in descents]
    helpers = Helpers(len(descents))
    if len(descents) >= pool.size:  # nobody is idle
        maker = maker.in_one_thread()

    def taken(
        descent: Descent,
        sampler: ItemSampler,
        own: DescentSettings,
        into: list[DescentStep],
        evaluator: Evaluator,
    ) -> None:
        weights: State = {}
        with helpers.descent():
            for _ in range(steps):
                into.append(descend(evaluator, maker, descent, sampler, own, weights, helpers))
                descent = into[-1].descent
        evaluator.drop_weights()

    jobs: list[Callable[[Evaluator], None]] = [
        partial(taken, *one) for one in zip(descents, samplers, settings, made, strict=True)
    ]
    if any(one.parts > 1 for one in settings):
        jobs += [helpers.help] * (pool.size - 1)
    with afterwards(helpers.let_go):  # where not every descent began, too
        pool.run(jobs, lambda _: progress(sum(map(len, made))), patience=PATIENCE)
    return made
