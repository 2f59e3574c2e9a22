"""What failed and was passed over: one item, one candidate or one judge, with its cause.

No single one of them may stop a campaign. What is passed over is told, and an event of the archive.
"""

import threading
from collections.abc import Callable

from arena.errors import TaskError
from population.errors import PopulationError

ITEM_FAILURES = (PopulationError, TaskError, ValueError, TypeError, IndexError, KeyError)
"""What an item that cannot be asked may raise: too long, without a key, not to be tokenised."""


class Troubles:
    """Collects what was passed over until a chapter is written; evaluators tell from their threads.

    Attributes:
        tell: told of each in a sentence, once.
    """

    def __init__(self) -> None:
        self.tell: Callable[[str], None] = lambda sentence: None
        self._mutex = threading.Lock()
        self._new: set[str] = set()
        self._told: set[str] = set()

    def add(self, sentence: str) -> None:
        """Tell, if it was not told yet."""
        with self._mutex:
            if sentence in self._told:
                return
            self._told.add(sentence)
            self._new.add(sentence)
        self.tell(sentence)

    def taken(self) -> tuple[str, ...]:
        """What came up since this was asked last. In alphabetical order: threads have none."""
        with self._mutex:
            new, self._new = tuple(sorted(self._new)), set()
        return new


def said_of(error: BaseException) -> str:
    """An error in one line, with its kind where that is no class of our own."""
    lines = str(error).strip().splitlines()
    first = " ".join(lines[0].split()) if lines else ""
    kind = type(error).__name__
    own = type(error).__module__.partition(".")[0] in ("arena", "lineage", "population")
    if not first:
        return kind
    return first if own else f"{kind}: {first}"
