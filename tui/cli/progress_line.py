"""What a campaign does now, on stderr.

On a terminal it is one line that is replaced in place, and vanishes when there is something else to
print. In a pipe or a file it is a line of plain text every few seconds, and only if nothing else
was printed meanwhile: a quick campaign prints its generations and nothing more.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console

from lineage.cleanup import afterwards
from tui.shared.pace import Steps, clock

EVERY_S = 5.0
"""Seconds without output after which a line is written to a pipe."""

PAINT_S = 0.2
"""Least time between two updates of the line on a terminal, in seconds."""

_CLEAR = "\r\x1b[2K"


class ProgressLine:
    """Prints how far something is.

    Args:
        console: for lines that stay.
        stream: gets the progress; that of the console.
        interactive: whether it is a terminal, where the line is replaced in place.
        now: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        console: Console,
        stream: TextIO | None = None,
        interactive: bool | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._stream = stream or sys.stderr
        self._interactive = console.is_terminal if interactive is None else interactive
        self._now, self._steps = now, Steps()
        self._written_at = now()
        self._painted, self._what = False, ""
        self.left: float | None = None
        """Seconds until what is being done is done; None where that is not known."""

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self.clear()
        self._written_at = self._now()
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def step(self, done: int, total: int, what: str) -> None:
        """Print how far something is, unless the last line was printed a moment ago.

        Args:
            done: how much is done, of `total`.
            total: see `done`.
            what: is being done.
        """
        now = self._now()
        self.left = self._steps.left(now, done, total, what)
        new, self._what = what != self._what, what
        wanted = (
            new or now - self._written_at >= PAINT_S
            if self._interactive
            else now - self._written_at >= EVERY_S
        )
        if not wanted:
            return
        self._written_at = now
        line = progress_text(done, total, what, self.left)
        if self._interactive:
            room = max(20, self._console.width - 1)
            self._stream.write(_CLEAR + line[:room])
            self._painted = True
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def clear(self) -> None:
        """Remove the line that is replaced in place."""
        if self._painted:
            self._stream.write(_CLEAR)
            self._stream.flush()
            self._painted = False


@contextmanager
def cleared(line: ProgressLine) -> Iterator[None]:
    """Remove the line on leaving, whatever happens."""
    with afterwards(line.clear):
        yield


def progress_text(done: int, total: int, what: str, left: float | None) -> str:
    """How far something is, in a line of plain text without control characters.

    Args:
        done: how much is done, of `total`.
        total: see `done`.
        what: is being done.
        left: seconds until it is done; None where that is not known.
    """
    plain = "".join(sign if sign.isprintable() else "?" for sign in what)
    words = f"{plain} {done}/{total}" if total > 1 else plain
    return words if left is None else f"{words}, {clock(left)} left"
