"""A wrapper around tasks of users' code that checks what they give."""

from typing import Any

from arena.errors import TaskError
from arena.tasks.chats import ROLES, fault_of
from arena.tasks.task import Task
from lineage.records import Item, Message


class Checked:
    """A task whose attributes and items are checked; anything wrong is a `TaskError`.

    Args:
        task: of a user's code. Its name, kind, description and stop are read once.
        where: the reference that it was loaded by, for messages.

    Raises:
        TaskError: one of these attributes raises an error, or has a wrong type.
    """

    def __init__(self, task: Task, where: str) -> None:
        self._task, self._where = task, where
        self.name: str = self._attribute("name")
        self.kind: str = self._attribute("kind")
        self.description: str = self._attribute("description")
        self.stop: str | tuple[str, ...] | None = self._stop()

    def __getattr__(self, name: str) -> Any:
        """All other attributes of the task."""
        if name.startswith("__") or name == "_task":
            raise AttributeError(name)
        return getattr(self._task, name)

    def items(self, split: str, seed: int | None = None, limit: int | None = None) -> list[Item]:
        """The task's items, checked; see `Task.items`.

        Raises:
            TaskError: the task's code fails, or gives something else than items of this split.
        """
        where = f"{self._where}: items({split!r}, {seed}, {limit})"
        try:
            items = list(self._task.items(split, seed, limit))
        except TaskError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a user's code raises
            raise TaskError(f"{where} fails: {error_text(error)}") from None
        if not items:
            raise TaskError(f"{where} gives no items")
        for item in items:
            self._check(where, item, split)
        return items

    def extract(self, item: Item, raw: str) -> str:
        """The task's `extract`.

        Raises:
            TaskError: the task's code tries to end the program.
        """
        try:
            return self._task.extract(item, raw)
        except SystemExit as end:
            raise TaskError(f"{self._where}: extract() fails: {error_text(end)}") from None

    def verify(self, item: Item, answer: str) -> float | None:
        """The task's `verify`.

        Raises:
            TaskError: the task's code tries to end the program.
        """
        try:
            return self._task.verify(item, answer)
        except SystemExit as end:
            raise TaskError(f"{self._where}: verify() fails: {error_text(end)}") from None

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
        for field, texts in (("keys", item.keys), ("choices", item.choices)):
            if not (isinstance(texts, tuple) and all(isinstance(t, str) and t for t in texts)):
                raise TaskError(
                    f"{where} gives item {item.id!r:.80} with {field} {texts!r:.80}; "
                    "expected a tuple of texts that are not empty"
                )
        if item.choices and (len(set(item.choices)) < 2 or item.key not in {None, *item.choices}):
            raise TaskError(
                f"{where} gives item {item.id!r:.80} with choices {item.choices!r:.80} and key "
                f"{item.key!r:.80}; expected two or more, and the key among them"
            )
        turns = item.messages
        if not (
            isinstance(turns, tuple)
            and all(isinstance(turn, Message) and turn.role in ROLES for turn in turns)
            and all(isinstance(turn.content, str) and turn.content for turn in turns)
        ):
            raise TaskError(
                f"{where} gives item {item.id!r:.80} with messages {turns!r:.80}; expected a tuple "
                f"of lineage.records.Message with a role ({', '.join(ROLES)}) and a content"
            )
        if turns and (wrong := fault_of(turns)):
            raise TaskError(f"{where} gives item {item.id!r:.80}: {wrong}")

    def _stop(self) -> str | tuple[str, ...] | None:
        stop = getattr(self._task, "stop", None)
        if isinstance(stop, tuple | list) and stop and all(isinstance(s, str) and s for s in stop):
            return tuple(stop)
        text: str | None = self._attribute("stop", or_none=True)
        return text

    def _attribute(self, name: str, *, or_none: bool = False) -> Any:
        try:
            value = getattr(self._task, name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a user's code raises
            raise TaskError(
                f"{self._where}: its {name} cannot be had: {error_text(error)}"
            ) from None
        if not (isinstance(value, str) or (or_none and value is None)):
            raise TaskError(f"{self._where}: its {name} must be a text, got {value!r:.80}")
        return value


def error_text(error: BaseException) -> str:
    """An error of a user's code as one line of at most 300 characters.

    >>> error_text(ValueError("a  b"))
    'ValueError: a b'
    """
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
