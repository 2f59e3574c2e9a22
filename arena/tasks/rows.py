"""A line of a split as an item."""

from pathlib import Path

from arena.errors import TaskError
from arena.tasks.chats import chat_of, transcript
from arena.tasks.images import images_of
from arena.tasks.lines import Row, checked_text
from lineage.records import Item, Message


def item_of(where: str, number: int, row: Row, task: str, split: str, folder: Path) -> Item:
    """The item that a line holds.

    Args:
        where: file and line, for messages.
        number: of the line, which is the item's own where it has no `id`.
        row: the line.
        task: name of the task.
        split: that the file is of.
        folder: of the task, which images are relative to.

    Raises:
        TaskError: something in it is not what it should be; says what.
    """
    messages: tuple[Message, ...] = ()
    if row.get("messages") is not None:
        if row.get("prompt") is not None:
            raise TaskError(f"{where}: an item has a 'prompt' or 'messages', not both")
        messages = chat_of(where, row["messages"])
        row = {**row, "prompt": transcript(messages)}
    texts = {
        name: checked_text(where, name, row.get(name))
        for name in ("prompt", "key", "statement")
        if name == "prompt" or row.get(name) is not None
    }
    if texts.get("statement", "{}").count("{}") != 1:
        raise TaskError(f"{where}: a statement holds one {{}}, where the answer goes")
    key, keys = _keys(where, row, texts.get("key"))
    choices = _texts(where, "choices", row.get("choices"))
    if choices or row.get("correct") is not None:
        if key is not None:
            raise TaskError(
                f"{where}: of 'choices' the right one is told by its number, 'correct', and "
                "not by a key"
            )
        key = _right_choice(where, choices, row.get("correct"))
    return Item(
        f"{task}/{split}/{_own_name(where, number, row.get('id'))}",
        task,
        split,
        texts["prompt"],
        key,
        texts.get("statement"),
        messages=messages,
        keys=keys,
        choices=choices,
        images=images_of(where, folder, row.get("images"), texts["prompt"]),
    )


def _keys(where: str, row: Row, key: str | None) -> tuple[str | None, tuple[str, ...]]:
    """The key, and the others that are accepted."""
    if row.get("keys") is None:
        return key, ()
    if key is not None:
        raise TaskError(f"{where}: an item has a 'key' or several 'keys', not both")
    first, *others = dict.fromkeys(_texts(where, "keys", row["keys"]))
    return first, tuple(others)


def _texts(where: str, name: str, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not value:
        raise TaskError(f"{where}: expected {name!r} to be a list of texts, got {value!r:.60}")
    return tuple(
        checked_text(where, f"{name}, number {number}", text) for number, text in enumerate(value)
    )


def _right_choice(where: str, choices: tuple[str, ...], correct: object) -> str | None:
    if len(choices) < 2:
        raise TaskError(f"{where}: an item with 'choices' has two or more, got {len(choices)}")
    if len(set(choices)) < len(choices):
        raise TaskError(f"{where}: two 'choices' are the same")
    if correct is None:
        return None
    if type(correct) is not int or not 0 <= correct < len(choices):
        raise TaskError(
            f"{where}: 'correct' must be the number of the right choice, from 0 to "
            f"{len(choices) - 1}, got {correct!r:.60}"
        )
    return choices[correct]


def _own_name(where: str, number: int, own: object) -> str | int:
    if own is None:
        return number
    if isinstance(own, bool) or not isinstance(own, str | int) or own == "":
        raise TaskError(f"{where}: expected a text or a whole number 'id', got {own!r:.60}")
    return checked_text(where, "id", own) if isinstance(own, str) else own
