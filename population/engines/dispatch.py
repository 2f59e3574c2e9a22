"""Hands out tasks to workers that come and go, and gives back results in order.

It knows nothing of what tasks are or where workers run, and keeps no clock but the one it is given:
`cluster` has it deal with processes on other machines, and a simulation with none at all.
"""

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Generic, Protocol, TypeVar

P = TypeVar("P")
R = TypeVar("R")

MAX_KILLED = 3
"""Workers that a task may end before it is given up."""

STRAGGLES = 3.0
"""A task that takes so many times as long as others do is begun once more by somebody idle."""

PATIENCE = 0.5
"""Seconds after which somebody who waits is told that nothing has happened yet."""

REMEMBERED = 32
"""Durations of tasks that tell how long one takes."""


TASKS_EACH = 4
"""Tasks for each worker that work is cut into: who is slow does fewer of them."""

MOST_TOGETHER = 8
"""Payloads that are one task at most: together siblings are made sooner, and a task should end."""


def together(payloads: int, workers: int) -> int:
    """How many payloads are one task.

    >>> [together(count, workers=2) for count in (4, 28, 1000)]
    [1, 3, 8]

    Args:
        payloads: how many there are.
        workers: that they are for.
    """
    return max(1, min(payloads // (TASKS_EACH * max(1, workers)), MOST_TOGETHER))


@dataclass(frozen=True)
class Joined:
    """A worker is ready.

    Attributes:
        worker: it.
    """

    worker: Hashable


@dataclass(frozen=True)
class Done:
    """A worker has finished its task.

    Attributes:
        worker: it.
        result: of the task.
    """

    worker: Hashable
    result: Any


@dataclass(frozen=True)
class Gone:
    """A worker is there no more, and its task is not done.

    Attributes:
        worker: it.
        cause: what ended it.
    """

    worker: Hashable
    cause: str


Happening = Joined | Done | Gone


class Fleet(Protocol):
    """Workers, wherever they are."""

    def submit(self, worker: Hashable, task: Any) -> None:
        """Give a worker a task; `events` tells what comes of it."""
        ...

    def events(self, patience: float) -> Sequence[Happening]:
        """What has happened since the last call; waits so many seconds for something to happen.

        Raises:
            PopulationError: there are no workers, and none can come.
        """
        ...


@dataclass(frozen=True)
class Batched(Generic[P]):
    """Consecutive payloads that are one task.

    Attributes:
        first: the number of the first of them.
        payloads: they themselves.
    """

    first: int
    payloads: tuple[P, ...]


@dataclass(eq=False)
class _Task:
    """A task on its way.

    Attributes:
        first: the number of its first payload.
        stop: the number behind its last one.
        tries: workers that have it now.
        again: whether it was begun a second time because it takes so long.
        done: whether there is a result.
    """

    first: int
    stop: int
    tries: int = 0
    again: bool = False
    done: bool = False


@dataclass
class _Run:
    """One call of `Dispatcher.run`."""

    waiting: deque[_Task]
    open: int
    killed: dict[int, int] = field(default_factory=dict)


class Dispatcher:
    """Hands out tasks.

    Args:
        fleet: does them.
        now: a clock, in seconds.
    """

    def __init__(self, fleet: Fleet, now: Callable[[], float]) -> None:
        self._fleet, self._now = fleet, now
        self._idle: dict[Hashable, None] = {}
        self._busy: dict[Hashable, tuple[_Task, float]] = {}
        self._durations: deque[float] = deque(maxlen=REMEMBERED)
        self.in_flight = 0
        """Payloads without a result when the last run ended: none, unless it was stopped."""

    @property
    def workers(self) -> int:
        """Workers that are ready or at work."""
        return len(self._idle) + len(self._busy)

    def wait_for_workers(self, progress: Callable[[], None]) -> None:
        """Wait until there is a worker; `progress` may raise to stop."""
        while not self.workers:
            progress()
            for event in self._fleet.events(PATIENCE):
                self._note(event)

    def run(
        self,
        payloads: Sequence[P],
        size: int,
        progress: Callable[[int], None],
        on_result: Callable[[int, R], None],
        lost: Callable[[int, str], R],
    ) -> list[R]:
        """Have all payloads dealt with.

        Args:
            payloads: what there is to do; workers get `Batched` ones, and give a list of results.
            size: how many of them are one task at most.
            progress: called with the number of results so far, before each and while there is
                nothing new; may raise to stop.
            on_result: called with each result, in order.
            lost: gives the result of a payload that ended too many workers, from its number and the
                cause; may raise.

        Returns:
            The results in the order of the payloads.
        """
        tasks = [
            _Task(first, min(first + size, len(payloads)))
            for first in range(0, len(payloads), max(1, size))
        ]
        run = _Run(deque(tasks), len(tasks))
        found: dict[int, R] = {}
        results: list[R] = []
        try:
            while run.open:
                progress(len(results))
                self._hand_out(run, payloads)
                for event in self._fleet.events(PATIENCE):
                    finished = self._note(event)
                    if finished is None:
                        continue
                    task, values = finished
                    if isinstance(event, Gone):
                        for number in self._retried(run, task):
                            found[number] = lost(number, event.cause)
                            run.open -= 1
                    elif not task.done:
                        task.done = True
                        run.open -= 1
                        found.update(zip(range(task.first, task.stop), values, strict=True))
                while len(results) in found:
                    number = len(results)
                    if number:
                        progress(number)
                    on_result(number, found[number])
                    results.append(found.pop(number))
        finally:
            self.in_flight = len(payloads) - len(results)
            for handed in self._busy:
                self._busy[handed][0].done = True  # nobody waits for it any more
        return results

    def _hand_out(self, run: _Run, payloads: Sequence[P]) -> None:
        while self._idle:
            task = self._next(run)
            if task is None:
                return
            worker = next(iter(self._idle))
            del self._idle[worker]
            task.tries += 1
            self._busy[worker] = task, self._now()
            own = tuple(payloads[task.first : task.stop])
            self._fleet.submit(worker, Batched(task.first, own))

    def _next(self, run: _Run) -> _Task | None:
        """A task that nobody does, else one that takes somebody very long."""
        while run.waiting:
            task = run.waiting.popleft()
            if not task.done:
                return task
        if not self._durations:
            return None
        late = self._now() - STRAGGLES * median(self._durations)
        for task, began in self._busy.values():
            if not task.done and not task.again and began < late:
                task.again = True
                return task
        return None

    def _note(self, event: Happening) -> tuple[_Task, Sequence[Any]] | None:
        """Keep account of the workers; the task that an event ends, if it ends one."""
        task, began = self._busy.pop(event.worker, (None, 0.0))
        if isinstance(event, Gone):
            self._idle.pop(event.worker, None)
            return None if task is None else (task, ())
        self._idle[event.worker] = None
        if isinstance(event, Joined) or task is None:
            return None
        self._durations.append(self._now() - began)
        return task, event.result

    def _retried(self, run: _Run, task: _Task) -> list[int]:
        """Have a task done again, one payload at a time: one of them may be to blame.

        Returns:
            The numbers of payloads that have ended too many workers.
        """
        task.tries -= 1
        numbers = range(task.first, task.stop)
        if task.done:
            return []
        for number in numbers:
            run.killed[number] = run.killed.get(number, 0) + 1
        given_up = [number for number in numbers if run.killed[number] >= MAX_KILLED]
        if task.tries:  # somebody else is at it
            return []
        task.done = True
        run.open -= 1
        singles = [_Task(number, number + 1) for number in numbers]
        run.open += len(singles)
        run.waiting.extendleft(
            single for single in reversed(singles) if single.first not in given_up
        )
        return given_up
