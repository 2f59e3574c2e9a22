"""The pool: several evaluators at work at once, each with the weights of another sibling.

On a CPU, two small networks on one core each finish sooner than one network on two cores (1.4 times
on two cores): no thread waits for another between operations. And since every forward pass then
runs on one thread, a score does not depend on how many cores there are.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

import torch

from population.evaluation.evaluator import Evaluator
from population.weights.materialise import State

T = TypeVar("T")

MEMORY = 8 << 30
"""Bytes that the networks of a pool may take together."""


class EvaluatorPool:
    """Players that share the work on many models.

    Args:
        first: an evaluator; the others are its clones.
        cores: how many CPU cores to use. An accelerator works for one evaluator alone.
        evaluators: how many there is room for; the threads of each do not depend on it.
        waiting: models that may wait for an evaluator; by default one more than evaluators.
    """

    def __init__(
        self,
        first: Evaluator,
        cores: int | None = None,
        evaluators: int | None = None,
        waiting: int | None = None,
    ) -> None:
        cores = cores or os.cpu_count() or 1
        nominal = nominal_size(first.device, cores, first.bytes)
        self._threads = max(1, cores // nominal)
        size = min(nominal, evaluators or nominal)
        self._most = size + (size + 1 if waiting is None else waiting)
        self._idle: SimpleQueue[Evaluator] = SimpleQueue()
        for evaluator in [first, *(first.clone() for _ in range(size - 1))]:
            self._idle.put(evaluator)
        self._size = size
        self.dropped = 0
        """Models that were in flight when the last work ended: none, unless it was stopped."""
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="evaluator")
        self._settle_in()

    def _settle_in(self) -> None:
        """Start every thread and let it make its first forward pass, one after the other.

        The number of threads within an operation belongs to the thread that calls it, but setting
        it also reaches into the process-wide state of the maths library, and the first call of
        that library chooses its code for the processor. Neither should happen beside a forward
        pass whose bits are to be repeatable.
        """
        turn = threading.Lock()
        everyone = threading.Barrier(self._size)

        def first_pass() -> None:
            with turn:
                torch.set_num_threads(self._threads)
                evaluator = self._idle.get()
                evaluator.warm_up()
                self._idle.put(evaluator)
            everyone.wait()  # so that no thread takes the turn of another

        for started in [self._pool.submit(first_pass) for _ in range(self._size)]:
            started.result()

    def each(
        self,
        states: Iterable[State],
        work: Callable[[int, Evaluator, State], T],
        progress: Callable[[int], None] = lambda done: None,
        taken: Callable[[int, T, int], None] = lambda number, result, evaluations: None,
    ) -> list[T]:
        """Let an evaluator become each model in turn and work; results in the order of the models.

        Args:
            states: the models' weights; only as many are taken ahead as may wait.
            work: called with the model's number, an evaluator that has become it, and its weights.
            progress: told before each result how many are done; may raise to stop.
            taken: told each result, in order, with the model's number and the item evaluations
                that it took.
        """
        waiting: deque[Future[tuple[T, int]]] = deque()
        results: list[T] = []

        def take() -> None:
            progress(len(results))
            result, evaluations = waiting.popleft().result()
            taken(len(results), result, evaluations)
            results.append(result)

        try:
            made, number = iter(states), 0
            # Nobody else keeps a model that an evaluator has: they are large.
            while (state := next(made, None)) is not None:
                waiting.append(self._pool.submit(self._job, number, state, work))
                del state
                number += 1
                while len(waiting) >= self._most:
                    take()
            while waiting:
                take()
        finally:
            self.dropped = len(waiting)
            for future in waiting:
                future.cancel()
        return results

    def _job(
        self, number: int, state: State, work: Callable[[int, Evaluator, State], T]
    ) -> tuple[T, int]:
        evaluator = self._idle.get()
        try:
            before = evaluator.meter.of_this_thread
            evaluator.take(state)
            result = work(number, evaluator, state)
            return result, evaluator.meter.of_this_thread - before
        finally:
            self._idle.put(evaluator)


def nominal_size(device: torch.device, cores: int, network: int) -> int:
    """Players of a pool, if there is room for all; `network` is the bytes of one."""
    return max(1, min(cores, MEMORY // max(network, 1))) if device.type == "cpu" else 1
