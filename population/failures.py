"""Failures that a campaign survives: of one item, one offspring or one judge, each with its cause.

No single one of them may stop a campaign. Each is reported once, and is an event
of the archive.
"""

import threading
from collections.abc import Callable

from arena.errors import TaskError
from population.errors import PopulationError

ITEM_FAILURES = (PopulationError, TaskError, ValueError, TypeError, IndexError, KeyError)
"""What an item that cannot be asked may raise: too long, without a key, not to be tokenised."""


class FailureLog:
    """Collects failures until a generation is committed; evaluators add to it from their threads.

    Attributes:
        on_failure: called with each new failure, a sentence, once.
    """

    def __init__(self) -> None:
        self.on_failure: Callable[[str], None] = lambda sentence: None
        self._mutex = threading.Lock()
        self._new: set[str] = set()
        self._reported: set[str] = set()

    def add(self, sentence: str) -> None:
        """Report a failure, unless the same sentence was added before."""
        with self._mutex:
            if sentence in self._reported:
                return
            self._reported.add(sentence)
            self._new.add(sentence)
        self.on_failure(sentence)

    def drain(self) -> tuple[str, ...]:
        """The failures since the last call, in alphabetical order: threads have no other order."""
        with self._mutex:
            new, self._new = tuple(sorted(self._new)), set()
        return new


def one_line(error: BaseException) -> str:
    """The first line of an error's message, after its class name where the class is not ours.

    >>> one_line(ValueError("not a  number"))
    'ValueError: not a number'
    >>> one_line(TaskError("task 'add' has no items"))
    "task 'add' has no items"
    """
    lines = str(error).strip().splitlines()
    first = " ".join(lines[0].split()) if lines else ""
    kind = type(error).__name__
    own = type(error).__module__.partition(".")[0] in ("arena", "lineage", "population")
    if not first:
        return kind
    return first if own else f"{kind}: {first}"
