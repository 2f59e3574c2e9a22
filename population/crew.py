"""The crew: several players at work at once, each with the weights of another sibling.

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

from population.materialise import State
from population.player import Player

T = TypeVar("T")

MEMORY = 8 << 30
"""Bytes that the networks of a crew may take together."""


class Crew:
    """Players that share the work on many models.

    Args:
        first: a player; the others are its clones.
        cores: how many CPU cores to use. An accelerator works for one player alone.
    """

    def __init__(self, first: Player, cores: int | None = None) -> None:
        cores = cores or os.cpu_count() or 1
        size = 1
        if first.device.type == "cpu":
            size = max(1, min(cores, MEMORY // max(first.bytes, 1)))
        self._threads = max(1, cores // size)
        self._idle: SimpleQueue[Player] = SimpleQueue()
        for player in [first, *(first.clone() for _ in range(size - 1))]:
            self._idle.put(player)
        self._size = size
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="player")
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
                player = self._idle.get()
                player.warm_up()
                self._idle.put(player)
            everyone.wait()  # so that no thread takes the turn of another

        for started in [self._pool.submit(first_pass) for _ in range(self._size)]:
            started.result()

    def each(
        self,
        states: Iterable[State],
        work: Callable[[int, Player, State], T],
        progress: Callable[[int], None] = lambda done: None,
    ) -> list[T]:
        """Let a player become each model in turn and work; results in the order of the models.

        Args:
            states: the models' weights; only a few more than there are players are taken ahead.
            work: called with the model's number, a player that has become it, and its weights.
            progress: told before each result how many are done; may raise to stop.
        """
        waiting: deque[Future[T]] = deque()
        results: list[T] = []
        try:
            for number, state in enumerate(states):
                waiting.append(self._pool.submit(self._job, number, state, work))
                if len(waiting) > 2 * self._size:
                    progress(len(results))
                    results.append(waiting.popleft().result())
            while waiting:
                progress(len(results))
                results.append(waiting.popleft().result())
        finally:
            for future in waiting:
                future.cancel()
        return results

    def _job(self, number: int, state: State, work: Callable[[int, Player, State], T]) -> T:
        player = self._idle.get()
        try:
            player.take(state)
            return work(number, player, state)
        finally:
            self._idle.put(player)
