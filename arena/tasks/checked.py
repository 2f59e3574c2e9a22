"""Tasks that are somebody's code, held to what a task promises: wrong items are said, not met."""

from typing import Any

from arena.errors import TaskError
from arena.tasks.task import Task
from lineage.records import Item


class Checked:
    """A task whose `items` are items, or a `TaskError` that says what they are instead.

    Args:
        task: somebody's code. Its name, kind, description and stop are asked for once.
        where: what it was named by.

    Raises:
        TaskError: one of them cannot be had, or is of another type than it should be.
    """

    def __init__(self, task: Task, where: str) -> None:
        self._task, self._where = task, where
        self.name: str = self._told("name")
        self.kind: str = self._told("kind")
        self.description: str = self._told("description")
        self.stop: str | None = self._told("stop", or_none=True)

    def __getattr__(self, name: str) -> Any:
        """Whatever else the task has."""
        if name.startswith("__") or name == "_task":
            raise AttributeError(name)
        return getattr(self._task, name)

    def items(self, split: str, seed: int | None = None, limit: int | None = None) -> list[Item]:
        """The task's.

        Raises:
            TaskError: it fails, or gives something else.
        """
        where = f"{self._where}: items({split!r}, {seed}, {limit})"
        try:
            found = list(self._task.items(split, seed, limit))
        except TaskError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever somebody's code raises
            raise TaskError(f"{where} fails: {said_of(error)}") from None
        if not found:
            raise TaskError(f"{where} gives no items")
        for item in found:
            self._check(where, item, split)
        return found

    def extract(self, item: Item, raw: str) -> str:
        """The task's; that it would end the program is an error of its own."""
        try:
            return self._task.extract(item, raw)
        except SystemExit as end:
            raise TaskError(f"{self._where}: extract() fails: {said_of(end)}") from None

    def verify(self, item: Item, answer: str) -> float | None:
        """The task's; that it would end the program is an error of its own."""
        try:
            return self._task.verify(item, answer)
        except SystemExit as end:
            raise TaskError(f"{self._where}: verify() fails: {said_of(end)}") from None

    def _check(self, where: str, item: object, split: str) -> None:
        if not isinstance(item, Item):
            raise TaskError(f"{where} gives {item!r:.80}, which is no lineage.records.Item")
        for field, expected in (("task", self.name), ("split", split)):
            if (given := getattr(item, field)) != expected:
                raise TaskError(
                    f"{where} gives item {item.id!r:.80} of {field} {given!r:.80}; "
                    f"expected {expected!r}"
                )
        for field, value, needed in (
            ("id", item.id, True),
            ("prompt", item.prompt, True),
            ("key", item.key, False),
            ("statement", item.statement, False),
        ):
            if (value is not None or needed) and not (isinstance(value, str) and value):
                raise TaskError(
                    f"{where} gives item {item.id!r:.80} with {field} {value!r:.80}; "
                    "expected a text that is not empty"
                )

    def _told(self, name: str, *, or_none: bool = False) -> Any:
        try:
            value = getattr(self._task, name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever somebody's code raises
            raise TaskError(f"{self._where}: its {name} cannot be had: {said_of(error)}") from None
        if not (isinstance(value, str) or (or_none and value is None)):
            raise TaskError(f"{self._where}: its {name} must be a text, got {value!r:.80}")
        return value


def said_of(error: BaseException) -> str:
    """An error of somebody's code in a few words."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
