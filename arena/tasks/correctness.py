"""Correctness of answers by the task, the same for breeding, selection, arena and report.

All go by the task's `extract` and `verify`. Where an answer is right if and only if it is the key
(`is_literal`), answers need not be decoded in full: teacher forcing tells whether a model gives the
key, and `can_become` whether a beginning can still become it.
"""

import math
import unicodedata
from typing import Any

from arena.errors import TaskError
from arena.tasks.answers import LONGEST_ANSWER, canonical
from arena.tasks.sampling import sampling_of
from arena.tasks.task import Task
from lineage.records import Item

TEACHER_FORCING = "by teacher forcing"
"""How models are scored where a forward pass tells: the fast path."""


def is_literal(task: Task) -> bool:
    """Whether an answer is right if and only if it is the key, in canonical form.

    A task says so by its attribute `literal`; without one, every answer is given to its `verify`.
    """
    return bool(getattr(task, "literal", False))


def scoring_path(task: Task, item: Item) -> str:
    """How models are scored on an item of a task, in words."""
    if getattr(task, "examiner", None) is not None:
        return "by what the task itself asks"
    if item.choices:
        return "by the likelihood of choices"
    if (sampling := sampling_of(task, item)) is not None:
        return f"by {sampling.samples} samples of an answer, pass@{sampling.pass_at}"
    return TEACHER_FORCING if is_literal(task) else "by decoding answers"


def extracted_answer(task: Task, item: Item, text: str) -> str:
    """The canonical form of a model's output.

    Raises:
        TaskError: the task's code failed, or gave no text; the message names task and item.
    """
    answer = _called(task, "extract", item, text)
    if not isinstance(answer, str):
        raise TaskError(
            f"task {task.name!r}: extract() of item {item.id} gave {answer!r}, expected a text"
        )
    return answer


def correctness(task: Task, item: Item, text: str) -> float | None:
    """How right a model's output is, in [0, 1]; None where only judges can tell.

    Raises:
        TaskError: the task's code failed, or gave something else; the message names task and item.
    """
    return verified_answer(task, item, extracted_answer(task, item, text))


def verified_answer(task: Task, item: Item, answer: str) -> float | None:
    """How right an extracted answer is, in [0, 1]; None where only judges can tell.

    Raises:
        TaskError: the task's code failed, or gave something else; the message names task and item.
    """
    worth = _called(task, "verify", item, answer)
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


def can_become(text: str, key: str) -> bool:
    """Whether more text behind `text` could make it the same as `key` in canonical form.

    White space and control characters may come anywhere, and later characters may combine with the
    last one, so both texts are compared decomposed and without them. Where it is uncertain, the
    result is True.

    >>> can_become("Par", "Paris"), can_become("Rom", "Paris")
    (True, False)
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


def _called(task: Task, method: str, item: Item, text: str) -> Any:
    try:
        return getattr(task, method)(item, text)
    except TaskError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a user's code raises is one line
        raise TaskError(
            f"task {task.name!r}: {method}() of item {item.id} failed: "
            f"{type(error).__name__}: {str(error)[:200]}"
        ) from None
