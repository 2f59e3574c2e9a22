"""Fine-tuning of all weights on given answers, the same bits on any number of cores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from lineage.records import Item
from population.evaluation.evaluator import Evaluator
from population.evaluation.pool import EvaluatorPool
from population.gradient.descent import ItemSampler
from population.gradient.parts import GradientSum
from population.weights.materialise import State

PARTS = 2
"""A step's items are cut into so many parts, which evaluators work on side by side."""

WARM_UP = 10
"""Steps over which the rate rises to its full length."""

BETAS = (0.9, 0.98)
"""Of Adam: shorter memories than its defaults, for a few hundred steps."""


@dataclass(frozen=True)
class FineTuning:
    """How weights are fine-tuned.

    Attributes:
        steps: of Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1).
        rate: of the longest step; after the warm-up it falls to nothing, linearly.
    """

    steps: int
    rate: float


def fine_tuned(
    pool: EvaluatorPool,
    state: State,
    sampler: ItemSampler,
    settings: FineTuning,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
) -> State:
    """The weights after some steps up the likelihood of given answers.

    Args:
        pool: of evaluators that compute in fp32.
        state: the weights to begin with; they stay as they are.
        sampler: gives the items of a step, with keys.
        settings: steps and rate.
        seed: of the items.
        progress: called with the number of steps so far; may raise to stop.

    Returns:
        New weights: those that are floating, in fp32; others as they were.
    """
    weights = {
        name: tensor.float().clone() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }
    learned = {name: tensor for name, tensor in weights.items() if tensor.is_floating_point()}
    optimiser = torch.optim.Adam(learned.values(), lr=settings.rate, betas=BETAS)
    for step in range(settings.steps):
        progress(step)
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * _length(step, settings.steps)
        items = sampler(seed, step)
        parts = [items[first::PARTS] for first in range(min(PARTS, len(items)))]
        passes = pool.run([partial(_gradient_of, weights, part, len(items)) for part in parts])
        total, *others = passes
        for other in others:
            total.add(other)
        for name, gradient in total:
            known = learned[name].grad
            learned[name].grad = gradient if known is None else known + gradient
        optimiser.step()
        optimiser.zero_grad()
    progress(settings.steps)
    return weights


def _gradient_of(
    weights: State, items: Sequence[Item], answers: int, evaluator: Evaluator
) -> GradientSum:
    total = GradientSum()
    prepared = evaluator.prepare_targets(items)
    evaluator.loss(weights, prepared, total.of_a_part(), answers=answers)
    return total


def _length(step: int, steps: int) -> float:
    """How long a step is, as a part of the longest one, in (0, 1]."""
    return min(1.0, (step + 1) / WARM_UP) * (1.0 - step / steps)
