"""The networks that take gradient steps, and the memory that they may take."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

from population.campaign.model_factory import ModelFactory
from population.config import Run
from population.evaluation.evaluator import Evaluator
from population.evaluation.pool import EvaluatorPool
from population.gradient.descent import (
    Descent,
    DescentSettings,
    DescentStep,
    ItemSampler,
    descend_together,
)

ROOM = 4e9
"""Bytes that networks with their gradients may take, unless `[run] memory_gb` says otherwise."""

PER_NETWORK = 2
"""What a network with gradients takes, in sizes of its weights in fp32: the weights, which are made
where they work, and the gradients."""


class DescentPool:
    """Evaluators that descend, in fp32, each on a genome of its own.

    Args:
        evaluator: gives the network that theirs are like, when it is first needed.
        factory: makes weights.
        run: cores and memory.
        evaluators: how many there are at most; None for one for each core.
    """

    def __init__(
        self,
        evaluator: Callable[[], Evaluator],
        factory: ModelFactory,
        run: Run,
        evaluators: int | None = None,
    ) -> None:
        self._like, self._factory, self._run = evaluator, factory, run
        self._most = evaluators

    def descended(
        self,
        descents: Sequence[Descent],
        samplers: Sequence[ItemSampler],
        settings: Sequence[DescentSettings],
        steps: int,
        progress: Callable[[int], None],
    ) -> list[list[DescentStep]]:
        """See `population.engines.interface.Descender`."""
        # An accelerator has one evaluator, and small passes take as long as large ones.
        on_cpu = self._evaluator.device.type == "cpu"
        own = [
            replace(one, room=self._room_for_layers, parts=one.parts if on_cpu else 1)
            for one in settings
        ]
        unrounded = self._factory.unrounded
        return descend_together(self._pool, unrounded, descents, samplers, own, steps, progress)

    @cached_property
    def _evaluator(self) -> Evaluator:
        # On a CPU a backward pass in bf16 takes a quarter longer than in fp32.
        return self._like().clone("float32")

    @cached_property
    def _room(self) -> float:
        return ROOM if self._run.memory_gb is None else 1e9 * self._run.memory_gb

    @cached_property
    def _pool(self) -> EvaluatorPool:
        evaluators = max(1, int(self._room / (PER_NETWORK * self._evaluator.bytes)))
        evaluators = min(evaluators, self._most or evaluators)
        return EvaluatorPool(self._evaluator, self._run.threads, evaluators)

    @cached_property
    def _room_for_layers(self) -> float:
        """Bytes that the layers of a network may keep for the way back."""
        return self._room / self._pool.size - PER_NETWORK * self._evaluator.bytes
