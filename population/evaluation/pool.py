"""The evaluator pool: several evaluators at work at once, each with the weights of another model.

On a CPU, two small networks on one core each finish sooner than one network on two cores (1.4 times
on two cores): no thread waits for another between operations. And since every forward pass then
runs on one thread, a score does not depend on how many cores there are.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import count
from queue import SimpleQueue
from typing import TypeVar

import torch

from population.evaluation.evaluator import Evaluator
from population.weights.materialise import State

T = TypeVar("T")

MAX_NETWORK_BYTES = 8 << 30
"""Memory that the networks of a pool may take together."""


class EvaluatorPool:
    """Evaluators that share the work on many models.

    Args:
        first: an evaluator; the others become its clones.
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
        usual = usual_size(first.device, cores, first.bytes)
        self._threads = threads_of_each(first.device, cores, first.bytes)
        size = min(usual, evaluators or usual)
        self._max_in_flight = size + (size + 1 if waiting is None else waiting)
        self._idle: SimpleQueue[Evaluator] = SimpleQueue()
        for evaluator in [first, *(first.clone() for _ in range(size - 1))]:
            self._idle.put(evaluator)
        self.size = size
        """How many evaluators there are."""
        self.in_flight = 0
        """Models that were in flight when the last work ended: none, unless it was stopped."""
        self._executor = ThreadPoolExecutor(size, thread_name_prefix="evaluator")
        self._warm_up()

    def _warm_up(self) -> None:
        """Start every thread and let it make its first forward pass, one after the other.

        The number of threads within an operation belongs to the thread that calls it, but setting
        it also reaches into the process-wide state of the maths library, and the first call of
        that library chooses its code for the processor. Neither should happen beside a forward
        pass whose bits are to be repeatable.
        """
        turn = threading.Lock()
        all_started = threading.Barrier(self.size)

        def first_pass() -> None:
            with turn:
                torch.set_num_threads(self._threads)
                evaluator = self._idle.get()
                evaluator.warm_up()
                self._idle.put(evaluator)
            all_started.wait()  # so that no thread takes the turn of another

        for started in [self._executor.submit(first_pass) for _ in range(self.size)]:
            started.result()

    def map(
        self,
        states: Iterable[State],
        work: Callable[[int, Evaluator, State], T],
        progress: Callable[[int], None] = lambda done: None,
        on_result: Callable[[int, T, int], None] = lambda number, result, evaluations: None,
    ) -> list[T]:
        """Load the weights of each model into an evaluator and let that work on it.

        Args:
            states: the models' weights; only as many are taken ahead as may wait.
            work: called with (the model's number, an evaluator with its weights, the weights).
            progress: called before each result with the number of results so far; may raise to
                stop.
            on_result: called for each result, in order, with (the model's number, the result, the
                item evaluations that it took).

        Returns:
            The results in the order of the models.
        """

        def job_of(number: int, state: State) -> Callable[[Evaluator], T]:
            def job(evaluator: Evaluator) -> T:
                evaluator.load_weights(state)
                return work(number, evaluator, state)

            return job

        return self.run(map(job_of, count(), states), progress, on_result)

    def run(
        self,
        jobs: Iterable[Callable[[Evaluator], T]],
        progress: Callable[[int], None] = lambda done: None,
        on_result: Callable[[int, T, int], None] = lambda number, result, evaluations: None,
        patience: float | None = None,
    ) -> list[T]:
        """Do each job with an evaluator, whatever weights that has.

        Args:
            jobs: only as many are taken ahead as may wait.
            progress: as for `map`.
            on_result: as for `map`.
            patience: seconds after which `progress` is called again while a result is waited for,
                for jobs that take long; None: it is not.

        Returns:
            The results in the order of the jobs.
        """
        pending: deque[Future[tuple[T, int]]] = deque()
        results: list[T] = []

        def next_result() -> None:
            progress(len(results))
            while patience is not None and not wait(list(pending)[:1], patience).done:
                progress(len(results))
            result, evaluations = pending.popleft().result()
            on_result(len(results), result, evaluations)
            results.append(result)

        try:
            remaining = iter(jobs)
            # Nothing here keeps weights that an evaluator has: they are large.
            while (job := next(remaining, None)) is not None:
                pending.append(self._executor.submit(self._counted, job))
                del job
                while len(pending) >= self._max_in_flight:
                    next_result()
            while pending:
                next_result()
        finally:
            self.in_flight = len(pending)
            for future in pending:
                future.cancel()
        return results

    def _counted(self, job: Callable[[Evaluator], T]) -> tuple[T, int]:
        """The result of a job with an idle evaluator, and the item evaluations that it took."""
        evaluator = self._idle.get()
        try:
            before = evaluator.meter.evaluations_of_this_thread
            result = job(evaluator)
            return result, evaluator.meter.evaluations_of_this_thread - before
        finally:
            self._idle.put(evaluator)


def threads_of_each(device: torch.device, cores: int, network_bytes: int) -> int:
    """Threads that an evaluator computes with, which its last bits may depend on.

    Args:
        device: where it works.
        cores: CPU cores.
        network_bytes: memory that the weights of one network take.
    """
    return max(1, cores // usual_size(device, cores, network_bytes))


def usual_size(device: torch.device, cores: int, network_bytes: int) -> int:
    """How many evaluators a pool has if there is memory for all.

    Args:
        device: where they work; an accelerator has one.
        cores: CPU cores.
        network_bytes: memory that the weights of one network take.
    """
    if device.type != "cpu":
        return 1
    return max(1, min(cores, MAX_NETWORK_BYTES // max(network_bytes, 1)))
