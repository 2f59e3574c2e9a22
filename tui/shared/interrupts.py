"""What Ctrl-C means while something is written: one line, exit code 130, nothing half-written.

Three classes handle it, one around the other. They differ in what may be interrupted:

- `tui.shared.guard.CtrlC`: in every command line, from its first moment on. Raises
  KeyboardInterrupt at once, and again if a library swallows it. It loads nothing, so that it works
  while everything else is loaded.
- `Interruptible`: in commands that write files (merge, export, revive). Ends the process at once as
  long as nothing was begun; later it raises KeyboardInterrupt, so that drafts are removed.
- `StopRequest`: in campaigns and offline rounds. Sets a flag that is looked at between two models,
  never inside a commit. The second interrupt ends the process.

The last two handle SIGTERM as well. On leaving they restore the handlers that were there before.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn

import typer

from population.errors import Interrupted
from tui.shared.console import EXIT_INTERRUPTED, STOPPED, err, quoted

Progress = Callable[[int, int, str], None]
Handlers = dict[int, Any]
"""Signal handlers by signal number, as `signal.signal` returned them."""

MESSAGE = "interrupted; nothing was written"


def _install(handler: Callable[[int, FrameType | None], None]) -> Handlers:
    """Install a handler of SIGINT and SIGTERM; the handlers that were there before."""
    return {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}


def _restore(handlers: Handlers) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def exit_interrupted() -> NoReturn:
    """End at once, with exit code 130.

    Threads that are in the middle of a forward pass would be waited for otherwise.
    """
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.write(STOPPED + "\n")
        sys.stderr.flush()
    os._exit(EXIT_INTERRUPTED)


class Interruptible:
    """While this is entered, Ctrl-C and SIGTERM end the command.

    Before `begin_writing` they end the process at once: then it mostly imports libraries, which may
    swallow exceptions or print them. From then on they raise KeyboardInterrupt, so that files that
    are half written are removed; if a library swallows that, `check` or the end of the block raises
    it again.
    """

    def __init__(self) -> None:
        self._asked = False
        self._writing = False
        self._before: Handlers = {}

    def __enter__(self) -> "Interruptible":
        if threading.current_thread() is threading.main_thread():
            self._before = _install(self._stop)
        return self

    def begin_writing(self) -> None:
        """From now on there is something to clean up."""
        self._writing = True

    def check(self) -> None:
        """Stop here if Ctrl-C was pressed and some library dropped the interrupt.

        Raises:
            KeyboardInterrupt: it was pressed.
        """
        if self._asked:
            raise KeyboardInterrupt

    def checked(self, progress: Progress) -> Progress:
        """The same progress, which checks for Ctrl-C first."""

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
            sys.unraisablehook = lambda _: None  # a library that drops it should not print it
            raise KeyboardInterrupt

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _restore(self._before)
        if self._asked or kind is KeyboardInterrupt:
            err.print(MESSAGE, style="yellow", highlight=False)
            raise typer.Exit(EXIT_INTERRUPTED) from None


class StopRequest:
    """Ctrl-C and SIGTERM as a request: checked between two models, never inside a commit.

    A second Ctrl-C stops at once, which is as safe as `kill -9`: what is in flight is lost.

    Attributes:
        archive: path of the campaign's archive.
        asked: whether a stop was requested.
        kept: what the message says about the work so far.
    """

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.asked = False
        self.kept = "nothing was begun"

    def __enter__(self) -> "StopRequest":
        self._before = _install(self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        _restore(self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            exit_interrupted()
        self.asked = True

    def check(self) -> None:
        """Stop here if that was requested.

        Raises:
            Interrupted: it was; says how to go on.
        """
        if self.asked:
            raise Interrupted(
                self.kept, f"To continue: colony run --archive {quoted(self.archive)}"
            )
