"""Questions: what screens ask of the archive beyond the snapshot, answered beside the event loop.

A screen gives a function of the archive and one that takes the answer. The first runs in a thread,
the second in the screen: threads never touch widgets, they post messages. Of several questions of
one kind that wait, only the last is asked. Orders are given in the same way: what is asked may
lease the archive for writing.
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


class Answered(Message):
    """An answer, for whoever asked."""

    bubble = False

    def __init__(self, take: Callable[[Any], None], answer: Any) -> None:
        super().__init__()
        self.take, self.answer = take, answer


class Refused(Message):
    """A question had no answer; in words."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words


class QueryWorker:
    """Asks an archive, one question at a time.

    Args:
        reader: has the archive.
    """

    def __init__(self, reader: "ArchiveWatcher") -> None:
        self._watcher = reader
        self._waiting: dict[
            tuple[int, str],
            tuple[
                MessagePump,
                Callable[[Archive], Any],
                Callable[[Any], None],
                Callable[[str], None] | None,
            ],
        ] = {}
        self._news = threading.Condition()
        self._begun = False

    def ask(
        self,
        asker: MessagePump,
        kind: str,
        question: "Callable[[Archive], Any]",
        take: Callable[[Any], None],
        refuse: Callable[[str], None] | None = None,
    ) -> None:
        """Ask, instead of what the same asker asked of the same kind and still waits for.

        Args:
            asker: gets `Answered`, or `Refused` where the archive cannot be used.
            kind: of question.
            question: asked in a thread; must not touch widgets.
            take: gets the answer, in the asker.
            refuse: gets instead, in words, why there is none; without it the asker gets `Refused`.
        """
        with self._news:
            self._waiting.pop((id(asker), kind), None)
            self._waiting[id(asker), kind] = asker, question, take, refuse
            self._news.notify()
            if not self._begun:
                self._begun = True
                threading.Thread(target=self._answer, name="questions", daemon=True).start()

    def _answer(self) -> None:
        while True:
            with self._news:
                while not self._waiting:
                    self._news.wait()
                asker, question, take, refuse = self._waiting.pop(next(iter(self._waiting)))
            try:
                message: Message = Answered(take, question(self._watcher.archive()))
            except ArchiveError as error:
                message = Answered(refuse, str(error)) if refuse else Refused(str(error))
            asker.post_message(message)
