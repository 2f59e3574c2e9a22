"""Processes that are killed at a chosen moment, rather than whenever a clock says.

What is to be killed kills itself, by a real SIGKILL from within a real transaction of the real
command line: nothing has to be waited for, and no machine is too fast or too slow for it.
"""

import os
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import duckdb

Moment = Literal[
    "inside", "before commit", "torn", "after commit", "draft", "write", "seal", "rename"
]
"""Where it dies.

`inside`: in a transaction, before it says something. `before commit`: when it has said everything.
`torn`: while DuckDB writes the log of the commit, which is cut off. `after commit`: before anything
goes from the log into the database file. `draft`: before weights that are kept get their name.

`write`: before a merge writes some weights. `seal`: before it writes what makes a file readable.
`rename`: before the result gets its name.
"""

LOGGED = 1000
"""Bytes of the log that get to the disk before it is torn."""


@dataclass(frozen=True)
class Kill:
    """When a process is to die.

    Attributes:
        moment: where.
        statement: how a statement begins by which the transaction is known.
        number: in which of these transactions of the process, or of what it writes otherwise, the
            first being 1.
        by: the signal.
    """

    moment: Moment
    statement: str = "INSERT INTO generations "
    number: int = 1
    by: int = signal.SIGKILL

    @property
    def code(self) -> int:
        """The exit code that it comes to."""
        return -(signal.SIGXFSZ if self.moment == "torn" else self.by)

    def arm(self) -> None:
        """Have this process killed then."""
        if self.moment == "draft":
            _arm_drafts(self)
            return
        if self.moment in {"write", "seal", "rename"}:
            _arm_files(self)
            return
        connect, doomed = duckdb.connect, _Doomed(self)
        duckdb.connect = lambda *given, **named: _Watched(  # type: ignore[assignment]
            connect(*given, **named), doomed
        )


class _Doomed:
    """Counts transactions, and ends the process in one of them."""

    def __init__(self, kill: Kill) -> None:
        self._kill, self._seen, self._among = kill, 0, False

    def execute(self, statement: str, run: Callable[[], Any]) -> Any:
        kill, its_end = self._kill, False
        if statement == "BEGIN":
            self._among = False
        elif statement.lstrip().startswith(kill.statement):
            self._seen += not self._among
            self._among = True
            if kill.moment == "inside" and self._seen == kill.number:
                _die(kill)
        elif statement == "COMMIT":
            its_end = self._among and self._seen == kill.number
        if its_end and kill.moment == "before commit":
            _die(kill)
        if its_end and kill.moment == "torn":
            # The kernel kills whoever writes on, in the middle of what DuckDB does.
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (LOGGED, LOGGED))
        done = run()
        if its_end and kill.moment == "after commit":
            _die(kill)
        return done


class _Watched:
    """A connection that says to somebody what it is about to execute."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, doomed: _Doomed) -> None:
        self._connection, self._doomed = connection, doomed

    def execute(self, statement: str, *given: Any, **named: Any) -> Any:
        return self._doomed.execute(
            statement, lambda: self._connection.execute(statement, *given, **named)
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _arm_drafts(kill: Kill) -> None:
    sync = os.fsync

    def watched(descriptor: int) -> None:
        sync(descriptor)
        if Path(f"/proc/self/fd/{descriptor}").readlink().suffix == ".draft":
            _die(kill)

    os.fsync = watched  # type: ignore[assignment]


def _arm_files(kill: Kill) -> None:
    write, rename, seen = os.pwrite, os.rename, 0

    def count() -> None:
        nonlocal seen
        seen += 1
        if seen == kill.number:
            _die(kill)

    def watched_write(descriptor: int, content: bytes, offset: int) -> int:
        if kill.moment == ("write" if offset else "seal"):
            count()
        return write(descriptor, content, offset)

    def watched_rename(source: Path, target: Path) -> None:
        if kill.moment == "rename":
            count()
        rename(source, target)

    os.pwrite, os.rename = watched_write, watched_rename  # type: ignore[assignment]


def _die(kill: Kill) -> None:
    os.kill(os.getpid(), kill.by)
