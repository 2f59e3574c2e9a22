"""Tasks are handed out to workers that come, go and straggle; results come back in order."""

from collections.abc import Hashable, Sequence
from typing import Any

import pytest

from population.engines.dispatch import Dispatcher, Done, Gone, Happening, Joined


class Script:
    """Workers whose every task ends as is told, in a time of their own; nothing waits for a clock.

    Args:
        joins: when each worker joins, in seconds.
        takes: seconds that a task takes, by (worker, first payload); 1 by default.
        kills: payloads that end whoever works on them.
    """

    def __init__(
        self,
        joins: dict[Hashable, float],
        takes: dict[tuple[Hashable, Any], float] | None = None,
        kills: set[Any] | None = None,
    ) -> None:
        self.now = 0.0
        self.done: list[tuple[Hashable, tuple[Any, ...]]] = []
        self._takes, self._kills = takes or {}, kills or set()
        self._coming: list[tuple[float, Happening]] = [
            (at, Joined(worker)) for worker, at in joins.items()
        ]

    def submit(self, worker: Hashable, task: Any) -> None:
        self.done.append((worker, task.payloads))
        at = self.now + self._takes.get((worker, task.payloads[0]), 1.0)
        if self._kills & set(task.payloads):
            self._coming += [(at, Gone(worker, "killed")), (at + 1.0, Joined(f"{worker}'"))]
        else:
            self._coming.append((at, Done(worker, [10 * one for one in task.payloads])))

    def events(self, patience: float) -> Sequence[Happening]:
        self._coming.sort(key=lambda one: one[0])
        if not self._coming or self._coming[0][0] > self.now + patience:
            self.now += patience
            return []
        self.now = max(self.now, self._coming[0][0])
        return [self._coming.pop(0)[1]]


def run(script: Script, payloads: Sequence[int], size: int = 1) -> tuple[list[Any], list[int]]:
    """The results, and the order in which they were handed on."""
    order: list[int] = []
    dispatcher = Dispatcher(script, lambda: script.now)
    results: list[Any] = dispatcher.run(
        payloads,
        size,
        lambda done: None,
        lambda number, result: order.append(number),
        lambda number, cause: f"{number} {cause}",
    )
    return results, order


def test_results_are_handed_on_in_order_whoever_is_first() -> None:
    script = Script({"a": 0, "b": 0}, {("a", 0): 2.9})
    assert run(script, range(5)) == ([0, 10, 20, 30, 40], [0, 1, 2, 3, 4])
    assert [worker for worker, _ in script.done] == ["a", "b", "b", "b", "a"]


def test_a_worker_that_joins_late_is_given_tasks() -> None:
    script = Script({"a": 0, "late": 1.5})
    assert run(script, range(4), size=2)[0] == [0, 10, 20, 30]
    script = Script({"a": 0, "late": 1.5})
    run(script, range(6))
    assert {worker for worker, _ in script.done} == {"a", "late"}


def test_who_kills_workers_is_found_among_siblings_and_given_up() -> None:
    script = Script({"a": 0, "b": 0}, kills={2})
    results, order = run(script, range(6), size=3)
    assert results == [0, 10, "2 killed", 30, 40, 50]
    assert order == [0, 1, 2, 3, 4, 5]
    assert sum(2 in payloads for _, payloads in script.done) == 3


def test_what_takes_long_is_begun_again_by_somebody_idle_and_counts_once() -> None:
    script = Script({"a": 0, "b": 0}, {("a", 0): 1000.0})
    results, order = run(script, range(4))
    assert (results, order) == ([0, 10, 20, 30], [0, 1, 2, 3])
    assert [worker for worker, payloads in script.done if payloads == (0,)] == ["a", "b"]
    assert script.now < 10


def test_what_comes_of_a_run_that_was_stopped_is_not_taken_for_the_next() -> None:
    script = Script({"a": 0})
    dispatcher = Dispatcher(script, lambda: script.now)

    def stop(done: int) -> None:
        if script.done:
            raise KeyboardInterrupt

    def nothing(number: int, result: object) -> None:
        """Results are looked at when they are all there."""

    def never(number: int, cause: str) -> int:
        raise AssertionError

    with pytest.raises(KeyboardInterrupt):
        dispatcher.run([1, 2], 1, stop, nothing, never)
    assert dispatcher.in_flight == 2
    assert dispatcher.run([7], 1, lambda done: None, nothing, never) == [70]
    assert dispatcher.in_flight == 0
