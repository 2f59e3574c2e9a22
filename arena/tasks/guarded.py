"""A wrapper around tasks whose code must not stop a campaign: its errors are reported.

A model may say anything, so code that reads answers meets unforeseen input. An answer that
`verify` fails on is wrong; one that `extract` fails on counts as it stands.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

from arena.tasks import Task
from arena.tasks.answers import canonical
from lineage.records import Item

T = TypeVar("T")


class Guarded:
    """A task whose `extract` and `verify` never raise. All else is the task's own.

    Args:
        task: of a user's code.
        tell: called with a sentence about each failure, the same for the same item and cause.
    """

    def __init__(self, task: Task, tell: Callable[[str], None]) -> None:
        self._task, self._tell = task, tell

    def __getattr__(self, name: str) -> Any:
        """All other attributes of the task."""
        if name.startswith("__") or name == "_task":
            raise AttributeError(name)
        return getattr(self._task, name)

    @property
    def name(self) -> str:
        """The task's name."""
        return self._task.name

    @property
    def kind(self) -> str:
        """The task's kind."""
        return self._task.kind

    @property
    def description(self) -> str:
        """The task's description."""
        return self._task.description

    @property
    def stop(self) -> str | tuple[str, ...] | None:
        """The task's stop text."""
        return self._task.stop

    def items(self, split: str, seed: int | None = None, limit: int | None = None) -> list[Item]:
        """The task's items; see `Task.items`.

        Raises:
            TaskError: the task has none.
        """
        return self._task.items(split, seed, limit)

    def extract(self, item: Item, raw: str) -> str:
        """The task's canonical form of an answer; the whole answer where its code fails."""
        try:
            answer = self._task.extract(item, raw)
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises
            return self._failed("extract", item, _error_line(error), canonical(raw))
        if not isinstance(answer, str):
            return self._failed(
                "extract", item, f"it gave a {type(answer).__name__}, no text", canonical(raw)
            )
        return answer

    def verify(self, item: Item, answer: str) -> float | None:
        """The task's verdict in [0, 1] or None; 0 where its code fails."""
        try:
            worth = self._task.verify(item, answer)
            number = None if worth is None else float(worth)
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises
            return self._failed("verify", item, _error_line(error), 0.0)
        if number is not None and not (math.isfinite(number) and 0.0 <= number <= 1.0):
            return self._failed("verify", item, f"it gave {number:g}, no part of 1", 0.0)
        return number

    def _failed(self, method: str, item: Item, cause: str, instead: T) -> T:
        as_what = "the whole answer counts" if method == "extract" else "counted as wrong"
        self._tell(f"{method}() of task {self.name} fails on item {item.id}: {cause}; {as_what}")
        return instead


def _error_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
