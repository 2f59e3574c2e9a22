"""What a campaign does, told to whoever reads its stderr.

On a terminal it is one line that is replaced in place, and vanishes when there is something else to
say. In a pipe or a file it is a line of plain text every few seconds, and only where nothing else
was said meanwhile: a quick campaign tells its generations and nothing more.
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
"""Seconds of silence after which a pipe is told something."""

PAINT_S = 0.2
"""Seconds from one painting of the line on a terminal to the next."""

_CLEAR = "\r\x1b[2K"


class ProgressLine:
    """Tells what is done.

    Args:
        console: for lines that stay.
        stream: where what is done goes; that of the console.
        lively: whether somebody looks at it on a terminal.
        now: seconds that only grow.
    """

    def __init__(
        self,
        console: Console,
        stream: TextIO | None = None,
        lively: bool | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._stream = stream or sys.stderr
        self._lively = console.is_terminal if lively is None else lively
        self._now, self._steps = now, Steps()
        self._written_at = now()
        self._painted, self._what = False, ""
        self.left: float | None = None
        """Seconds that what is done takes yet, if that is known."""

    def say(self, line: str) -> None:
        """Say something that stays."""
        self.wipe()
        self._written_at = self._now()
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def step(self, done: int, total: int, what: str) -> None:
        """Tell how far something is, as seldom as suits the reader."""
        now = self._now()
        self.left = self._steps.left(now, done, total, what)
        new, self._what = what != self._what, what
        wanted = (
            new or now - self._written_at >= PAINT_S
            if self._lively
            else now - self._written_at >= EVERY_S
        )
        if not wanted:
            return
        self._written_at = now
        line = progress_text(done, total, what, self.left)
        if self._lively:
            room = max(20, self._console.width - 1)
            self._stream.write(_CLEAR + line[:room])
            self._painted = True
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def wipe(self) -> None:
        """Take the line away that is replaced in place."""
        if self._painted:
            self._stream.write(_CLEAR)
            self._stream.flush()
            self._painted = False


@contextmanager
def wiped(teller: ProgressLine) -> Iterator[None]:
    """Leave no half-told line behind, whatever happens."""
    with afterwards(teller.wipe):
        yield


def progress_text(done: int, total: int, what: str, left: float | None) -> str:
    """How far something is, in a line of plain text without control characters."""
    plain = "".join(sign if sign.isprintable() else "?" for sign in what)
    words = f"{plain} {done}/{total}" if total > 1 else plain
    return words if left is None else f"{words}, {clock(left)} left"
