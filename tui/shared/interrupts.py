"""Ctrl-C at any moment of a command that writes: one line, exit code 130, nothing half-written."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

import typer

from tui.shared.console import EXIT_INTERRUPTED, err

Progress = Callable[[int, int, str], None]
MESSAGE = "interrupted; nothing was written"


class Interruptible:
    """While this is entered, Ctrl-C and SIGTERM end the command.

    Before `writing` they end the process on the spot: then it mostly imports libraries, which may
    swallow exceptions or print them. From `writing` on they raise KeyboardInterrupt, so that what
    was begun is removed; should somebody swallow that, `check` or the end of the block remembers.
    """

    def __init__(self) -> None:
        self._asked = False
        self._writing = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Interruptible":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._stop)
        return self

    def writing(self) -> None:
        """From now on there is something to be tidied up."""
        self._writing = True

    def check(self) -> None:
        """Stop here if somebody asked for it and was not heard."""
        if self._asked:
            raise KeyboardInterrupt

    def checked(self, progress: Progress) -> Progress:
        """Progress that is told, and stops if somebody asked for it."""

        def report(done: int, total: int, what: str) -> None:
            self.check()
            progress(done, total, what)

        return report

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if not self._writing:
            show_cursor = "\r\x1b[2K\x1b[?25h" if os.isatty(2) else ""
            os.write(2, f"{show_cursor}{MESSAGE}\n".encode())
            os._exit(EXIT_INTERRUPTED)
        if not self._asked:
            self._asked = True
            sys.unraisablehook = lambda _: None  # whoever swallows it is not to print it either
            raise KeyboardInterrupt

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self._asked or kind is KeyboardInterrupt:
            err.print(MESSAGE, style="yellow", highlight=False)
            raise typer.Exit(EXIT_INTERRUPTED) from None
