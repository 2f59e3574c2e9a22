"""Leases: how several processes share one DuckDB file.

DuckDB lets one process write or many read, so no process may keep the file open. A lease attaches
it to an in-memory connection, runs one transaction and detaches it again; after every detach the
file on disk is complete, and copying it is a backup. Attaching takes well under a millisecond,
opening a connection thirty, which is why the connection is kept and the file is not.

A database that is shared in another way, a server for instance, takes the place of
`ArchiveConnection` by offering the same two contexts, `read` and `write`.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import duckdb

from lineage.cleanup import afterwards
from lineage.errors import ArchiveError
from lineage.storage.database_errors import archive_error, holder_of, is_busy
from lineage.storage.locations import check_place

PATIENCE_S = 30.0
"""How long to wait for a process that holds the file before giving up, in seconds."""

MENTION_AFTER_S = 1.0
"""Waits shorter than this are not reported, in seconds."""

PARTING_S = 0.5
"""How long `close` waits for a lease that it interrupted, in seconds."""


class ArchiveConnection:
    """One database file, leased for a transaction at a time.

    Args:
        path: the database file.
        on_wait: called once per wait with a sentence such as "waiting for PID 6894 ...".
        new: the file is made by the first write; otherwise it has to be there. (Attaching would
            make it, so an archive that vanished would come back empty.)

    Raises:
        ArchiveError: no archive can lie there.
    """

    def __init__(
        self, path: Path, on_wait: Callable[[str], None] | None = None, *, new: bool = False
    ) -> None:
        check_place(path)
        self.path = path
        self._on_wait = on_wait
        self._new = new
        self._connection = _connection()
        self._mutex = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Lease the file for reading. Fetch everything inside: open cursors would keep the lock.

        Raises:
            ArchiveBusyError: another process held the file for more than `PATIENCE_S`.
            ArchiveError: the file is missing, damaged or no archive, or a statement failed.
        """
        with self._lease("read") as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Lease the file for one transaction, committed on leaving and rolled back on an error.

        Raises:
            ArchiveBusyError: another process held the file for more than `PATIENCE_S`.
            ArchiveFullError: the disk is full.
            ArchiveError: the file is missing, damaged or cannot be written, or a statement failed.
        """
        with self._lease("write") as connection:
            yield connection

    def close(self) -> None:
        """Close the in-memory connection; the file is never held between leases.

        A lease of another thread is interrupted; one that still waits for the file is left alone.
        """
        self._connection.interrupt()
        if self._mutex.acquire(timeout=PARTING_S):
            self._connection.close()
            self._mutex.release()

    @contextmanager
    def _lease(self, mode: Literal["read", "write"]) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._mutex:
            try:
                self._attach(mode)
                # The first error is the one to raise: a failed transaction makes everything after
                # it fail, with messages that say nothing about the cause.
                with afterwards(self._detach):
                    try:
                        self._connection.execute("USE colony")
                        self._connection.execute("BEGIN")
                        yield self._connection
                        self._connection.execute("COMMIT")
                    except BaseException:
                        self._abandon()
                        raise
            except duckdb.Error as error:
                raise archive_error(self.path, error, PATIENCE_S) from error

    def _attach(self, mode: str) -> None:
        """Attach the file, waiting with growing, jittered pauses while another process holds it."""
        if not self.path.exists() and not (self._new and mode == "write"):
            raise ArchiveError(
                f"no archive at {self.path}; `colony run --archive {self.path}` starts one"
            )
        options = "READ_ONLY" if mode == "read" else "READ_WRITE"
        # Absolute, for a name such as `md:mine` would be taken for that of a server.
        where = str(self.path.absolute()).replace("'", "''")
        statement = f"ATTACH '{where}' AS colony (TYPE duckdb, {options})"
        start, pause, mentioned = time.monotonic(), 0.002, False
        while True:
            try:
                self._connection.execute(statement)
            except duckdb.Error as error:
                if not is_busy(error):
                    raise
                waited = time.monotonic() - start
                if waited > PATIENCE_S:
                    raise
                if waited > MENTION_AFTER_S and not mentioned and self._on_wait:
                    self._on_wait(f"waiting for {holder_of(error)} to release {self.path}")
                    mentioned = True
                time.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(2 * pause, 0.05)
            else:
                self._new = False
                return

    def _abandon(self) -> None:
        with suppress(duckdb.Error):  # a failed COMMIT has ended the transaction already
            self._connection.execute("ROLLBACK")

    def _detach(self) -> None:
        """Leave the file. A checkpoint that fails here (a full disk) must not keep the lease."""
        try:
            self._connection.execute("USE memory")
            self._connection.execute("DETACH colony")
        except duckdb.Error:  # also what damage does to a connection that came upon it
            self._connection.close()
            self._connection = _connection()
            raise


def _connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(":memory:", config={"threads": 1})
