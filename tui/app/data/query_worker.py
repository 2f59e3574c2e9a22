"""Queries: what pages ask the archive beyond the snapshot, answered beside the event loop.

A page gives a function of the archive and one that takes the answer. The first runs in a thread,
the second in the page: threads never touch widgets, they post messages. Of several queries of one
kind that wait, only the last is run. Commands are submitted in the same way: a query may lease the
archive for writing.
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual.message import Message
from textual.message_pump import MessagePump

from lineage.errors import ArchiveError

if TYPE_CHECKING:
    from lineage import Archive
    from tui.app.data.archive_watcher import ArchiveWatcher


class Answered(Message, bubble=False):
    """The answer to a query, for the widget that asked."""

    def __init__(self, take: Callable[[Any], None], answer: Any) -> None:
        super().__init__()
        self.take, self.answer = take, answer


class Refused(Message, bubble=False):
    """A query had no answer; says why."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words


class QueryWorker:
    """Runs queries in a thread, one at a time.

    Args:
        watcher: of the archive.
    """

    def __init__(self, watcher: "ArchiveWatcher") -> None:
        self._watcher = watcher
        self._waiting: dict[
            tuple[int, str],
            tuple[
                MessagePump,
                Callable[[Archive], Any],
                Callable[[Any], None],
                Callable[[str], None] | None,
            ],
        ] = {}
        self._changed = threading.Condition()
        self._started = False

    def ask(
        self,
        asker: MessagePump,
        kind: str,
        question: "Callable[[Archive], Any]",
        take: Callable[[Any], None],
        refuse: Callable[[str], None] | None = None,
    ) -> None:
        """Queue a query, in place of a waiting one of the same asker and kind.

        Args:
            asker: gets `Answered`, or `Refused` where the archive cannot be used.
            kind: of query.
            question: runs in a thread; must not touch widgets.
            take: gets the answer, in the asker.
            refuse: gets the reason if there is no answer; without it the asker gets `Refused`.
        """
        with self._changed:
            self._waiting.pop((id(asker), kind), None)
            self._waiting[id(asker), kind] = asker, question, take, refuse
            self._changed.notify()
            if not self._started:
                self._started = True
                threading.Thread(target=self._answer, name="queries", daemon=True).start()

    def _answer(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                asker, question, take, refuse = self._waiting.pop(next(iter(self._waiting)))
            try:
                message: Message = Answered(take, question(self._watcher.archive()))
            except ArchiveError as error:
                message = Answered(refuse, str(error)) if refuse else Refused(str(error))
            asker.post_message(message)
