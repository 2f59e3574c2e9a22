"""The meter: counts item evaluations, tokens and the time of forward passes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Meter:
    """What all evaluators of a pool have spent together.

    Attributes:
        evaluations: item evaluations: one model on one item counts 1, whatever for.
        tokens: that models read or generated, without padding; one that is learned counts 3.
        forward_s: wall time in seconds during which at least one forward pass was running.
        cpu_s_elsewhere: processor time in seconds of other processes that worked for this one.
    """

    def __init__(self) -> None:
        self.evaluations = 0
        self.tokens = 0
        self.forward_s = 0.0
        self.cpu_s_elsewhere = 0.0
        self._mutex = threading.Lock()
        self._running = 0
        self._since = 0.0
        self._own = threading.local()

    @property
    def evaluations_of_this_thread(self) -> int:
        """Item evaluations that the calling thread made."""
        return getattr(self._own, "evaluations", 0)

    def add(self, evaluations: int, forward_s: float, cpu_s: float, tokens: int) -> None:
        """Count what another process has spent.

        Args:
            evaluations: item evaluations.
            forward_s: its time in forward passes, shared among those that worked beside it.
            cpu_s: its processor time.
            tokens: that it read, learned or generated.
        """
        with self._mutex:
            self.evaluations += evaluations
            self.tokens += tokens
            self.forward_s += forward_s
            self.cpu_s_elsewhere += cpu_s

    def count_tokens(self, tokens: int) -> None:
        """Count tokens of which it is known afterwards how many they are: those of answers."""
        with self._mutex:
            self.tokens += tokens

    @contextmanager
    def forward(self, evaluations: int, tokens: int = 0) -> Iterator[None]:
        """Count item evaluations and tokens, and the time of the block as of forward passes."""
        self._own.evaluations = self.evaluations_of_this_thread + evaluations
        with self._mutex:
            self.evaluations += evaluations
            self.tokens += tokens
            if self._running == 0:
                self._since = time.perf_counter()
            self._running += 1
        try:
            yield
        finally:
            with self._mutex:
                self._running -= 1
                if self._running == 0:
                    self.forward_s += time.perf_counter() - self._since
