"""Verdicts: what a task says of an answer, the same wherever it is asked.

Breeding, selection, the arena and reports all go by `extract` and `verify`. Where an answer is
right if and only if it is the key (`is_literal`), a model need not be heard to the end: teacher
forcing tells whether it says the key, and `may_become` whether it still can after it has said
something else.
"""

import math
import unicodedata
from typing import Any

from arena.errors import TaskError
from arena.tasks.answers import LONGEST_ANSWER, canonical
from arena.tasks.task import Task
from lineage.records import Item


def is_literal(task: Task) -> bool:
    """Whether an answer is right if and only if it is the key, in canonical form.

    A task says so by its property `literal`; one that says nothing is asked about every answer.
    """
    return bool(getattr(task, "literal", False))


def extracted(task: Task, item: Item, text: str) -> str:
    """The canonical form of what a model said.

    Raises:
        TaskError: the task's own code failed.
    """
    found = _asked(task, "extract", item, text)
    if not isinstance(found, str):
        raise TaskError(
            f"task {task.name!r}: extract() of item {item.id} gave {found!r}, expected a text"
        )
    return found


def verdict(task: Task, item: Item, text: str) -> float | None:
    """How right what a model said is, in [0, 1]; None where only judges can tell.

    Raises:
        TaskError: the task's own code failed, or gave something else; names task and item.
    """
    return verified(task, item, extracted(task, item, text))


def verified(task: Task, item: Item, answer: str) -> float | None:
    """How right an extracted answer is, in [0, 1]; None where only judges can tell.

    Raises:
        TaskError: the task's own code failed, or gave something else; names task and item.
    """
    worth = _asked(task, "verify", item, answer)
    if worth is None:
        return None
    try:
        number = float(worth)
    except (TypeError, ValueError):
        number = math.nan
    if not 0.0 <= number <= 1.0:
        raise TaskError(
            f"task {task.name!r}: verify() of item {item.id} gave {worth!r} for {answer[:40]!r}, "
            "expected a number from 0 to 1, or None"
        )
    return number


def may_become(text: str, key: str) -> bool:
    """Whether more text behind `text` could make it the same as `key` in canonical form.

    White space and control characters may come anywhere, and what follows may combine with what is
    there, so both are compared decomposed and without them. A doubt counts as yes.
    """
    wanted = canonical(key)
    have, want = _bare(text), _bare(wanted)
    # What stands beyond the longest answer that counts may be anything.
    cut = len(wanted) == LONGEST_ANSWER
    return want.startswith(have) or (cut and have.startswith(want[:-1]))


def _bare(text: str) -> str:
    # The last character of a text may lack bytes or marks that are still to come.
    whole = unicodedata.normalize("NFKD", text.rstrip("\ufffd"))
    bare = [c for c in whole if c.isprintable() and not c.isspace()]
    while bare and unicodedata.combining(bare[-1]):
        bare.pop()
    return "".join(bare)


def _asked(task: Task, method: str, item: Item, text: str) -> Any:
    try:
        return getattr(task, method)(item, text)
    except TaskError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a user's code raises is one line
        raise TaskError(
            f"task {task.name!r}: {method}() of item {item.id} failed: "
            f"{type(error).__name__}: {str(error)[:200]}"
        ) from None
