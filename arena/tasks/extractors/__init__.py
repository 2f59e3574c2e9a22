"""Extractors: what finds the answer in what a model says. A new one is a file and a line here.

`extract = "NAME"` in a task.toml, or `"NAME:ARGUMENT"` for one that takes an argument.
"""

from collections.abc import Callable
from typing import Protocol

from arena.errors import TaskError
from arena.tasks.extractors.expression import Expression
from arena.tasks.extractors.json_field import JsonField
from arena.tasks.extractors.last_number import LastNumber


class Extractor(Protocol):
    """Finds the answer in what a model says."""

    def find(self, text: str) -> str | None:
        """The answer in a text; None where there is none: then the whole text is the answer.

        Raises:
            TaskError: it takes too long.
        """
        ...


EXTRACTORS: dict[str, tuple[str | None, Callable[[str], Extractor]]] = {
    "expression": ("a regular expression", Expression),
    "json": ("the name of a field", JsonField),
    "last_number": (None, lambda argument: LastNumber()),
}
"""By name: what the argument is, None for none; and what makes one of it."""


def extractor_of(text: str) -> Extractor:
    """The extractor that a task names, `NAME` or `NAME:ARGUMENT`.

    Raises:
        TaskError: there is none of this name, or its argument is wrong; the message is what comes
            behind the name of the setting.

    >>> extractor_of("json:answer").find('I say {"answer": 4}')
    '4'
    """
    name, colon, argument = text.partition(":")
    if name not in EXTRACTORS:
        raise TaskError(f"names no extractor {name!r:.60}; there are {', '.join(EXTRACTORS)}")
    wanted, make = EXTRACTORS[name]
    if wanted is None and colon:
        raise TaskError(f"{name!r} takes nothing behind it, got {argument!r:.60}")
    if wanted is not None and not argument:
        raise TaskError(f"{name!r} needs {wanted} behind it, as in '{name}:...'")
    return make(argument)
