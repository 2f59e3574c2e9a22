"""The archive watcher: follows an archive and its campaign in a thread, and posts messages.

It looks at the files ten times a second, which takes microseconds, and leases the archive when it
has changed, and now and then in any case. The libraries that it needs are loaded here, after the
first paint. The thread is a daemon, so that quitting never waits for a lock of another process.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from lineage.errors import ArchiveBusyError, ArchiveError
from tui.shared.heartbeat import Heartbeat, heartbeat_path, read_heartbeat

if TYPE_CHECKING:
    from lineage import Archive
    from lineage.commands.definitions import CommandState
    from tui.app.data.snapshot import Snapshot

EVERY_S = 0.1
"""Seconds between two looks at the files: a birth shows within a second, idling costs nothing."""

AT_LEAST_EVERY_S = 5.0
"""Seconds after which the archive is read even if its file seems unchanged: clocks of file systems
are coarse. Each time that nothing had changed this doubles, up to a minute."""

REST_S = 0.25
"""Least seconds between two leases, so that a campaign that commits often is not held up."""

AFTER_TROUBLE_S = 1.0
"""Seconds before an archive that could not be read is tried again."""

STOP_S = 0.3
"""Seconds that quitting waits for a lease in flight."""

Stamp = tuple[int, int, int] | None
"""What tells that a file has changed: inode, time and size; None if there is no file."""


class SnapshotRead(Message):
    """There is a new snapshot."""

    def __init__(self, snapshot: "Snapshot") -> None:
        super().__init__()
        self.snapshot = snapshot


class CommandsRead(Message):
    """A command was given, carried out or refused."""

    def __init__(self, command_state: "CommandState") -> None:
        super().__init__()
        self.command_state = command_state


class HeartbeatRead(Message):
    """There is a new heartbeat; None if there is no file any more."""

    def __init__(self, heartbeat: Heartbeat | None) -> None:
        super().__init__()
        self.heartbeat = heartbeat


class ArchiveTrouble(Message):
    """The archive cannot be read, in words; None when it can be again."""

    def __init__(self, words: str | None) -> None:
        super().__init__()
        self.words = words


@dataclass
class _Posted:
    """What was posted last, of each kind."""

    snapshot: "Snapshot | None" = None
    command_state: "CommandState | None" = None
    heartbeat: Heartbeat | None = None
    trouble: str | None = None


class ArchiveWatcher:
    """Follows an archive.

    Args:
        path: the archive; it need not exist yet.
        post: takes messages, from any thread.
        expected: whether a campaign is about to create the archive, so that it may be missing.
    """

    def __init__(
        self, path: Path, post: Callable[[Message], object], expected: Callable[[], bool]
    ) -> None:
        self._path, self._post, self._expected = path, post, expected
        self._archive: Archive | None = None
        self._posted = _Posted()
        self._archive_stamp: Stamp = None
        self._heartbeat_stamp: Stamp = None
        self._read_at = -AT_LEAST_EVERY_S
        self._patience_s = AT_LEAST_EVERY_S
        self._stopped = threading.Event()
        self._archive_lock = threading.Lock()
        self._thread = threading.Thread(target=self._follow, name="archive watcher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, and close the archive unless a lease takes longer than `STOP_S`."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)
        if not self._thread.is_alive():
            self._reset()

    def archive(self) -> "Archive":
        """The archive, for queries from any thread.

        Raises:
            ArchiveError: it is missing, held by another process, damaged, or no archive.
        """
        with self._archive_lock:
            if self._archive is None:
                from lineage import Archive  # noqa: PLC0415 - see the module's docstring

                self._archive = Archive(self._path, self._post_trouble)
            return self._archive

    def _follow(self) -> None:
        while not self._stopped.is_set():
            pause = EVERY_S
            try:
                self._check_files()
            except ArchiveBusyError as error:
                self._post_trouble(str(error))
            except ArchiveError as error:
                self._post_trouble(str(error))
                self._reset()
                pause = AFTER_TROUBLE_S
            self._stopped.wait(pause)

    def _check_files(self) -> None:
        heartbeat_stamp = _stamp(heartbeat_path(self._path))
        if heartbeat_stamp != self._heartbeat_stamp:
            self._heartbeat_stamp = heartbeat_stamp
            self._posted.heartbeat = read_heartbeat(self._path)
            self._post(HeartbeatRead(self._posted.heartbeat))
        stamp, now = _stamp(self._path), time.monotonic()
        if stamp is None:
            heartbeat = self._posted.heartbeat
            if self._expected() or (heartbeat is not None and heartbeat.running):
                return  # a campaign creates its archive after reading its founders
            raise ArchiveError(f"no archive at {self._path}; it is shown as soon as there is one")
        if self._archive_stamp and stamp[0] != self._archive_stamp[0]:
            self._reset()
        waited, same = now - self._read_at, stamp == self._archive_stamp
        if waited < REST_S or (same and waited < self._patience_s):
            return
        self._patience_s = min(60.0, 2 * self._patience_s) if same else AT_LEAST_EVERY_S
        self._archive_stamp = stamp
        self._read_snapshot()
        self._read_commands()
        self._read_at = time.monotonic()
        self._post_trouble(None)

    def _read_snapshot(self) -> None:
        from lineage.queries.columns import empty_columns, is_outdated, updated, with_fitness  # noqa: PLC0415
        from tui.app.data.snapshot import Snapshot, with_shares  # noqa: PLC0415

        archive, older = self.archive(), self._posted.snapshot
        columns = older.columns if older else empty_columns()
        with archive.reading() as db:
            if older and not is_outdated(db, columns):
                return
            columns = updated(db, columns)
            if older:
                columns = with_fitness(db, columns)
        settings = older.settings if older else archive.campaign()[1]
        snapshot = Snapshot(columns, older.shares if older else None, settings)
        if older is None:
            # The first view is shown at once; sums over all models follow.
            self._post(SnapshotRead(snapshot))
            self._stopped.wait(REST_S)
            with archive.reading() as db:
                snapshot = replace(snapshot, columns=with_fitness(db, columns))
        snapshot = replace(snapshot, shares=with_shares(older, snapshot))
        self._posted.snapshot = snapshot
        self._post(SnapshotRead(snapshot))

    def _read_commands(self) -> None:
        from lineage.commands.definitions import command_state  # noqa: PLC0415 - see the module's docstring

        with self.archive().reading() as db:
            now = command_state(db)
        if now != self._posted.command_state:
            self._posted.command_state = now
            self._post(CommandsRead(now))

    def _reset(self) -> None:
        """Read everything again next time: it may be another archive, or another state of it."""
        with self._archive_lock:
            if self._archive is not None:
                self._archive.close()
            self._archive = None
        self._posted.snapshot, self._posted.command_state = None, None
        self._archive_stamp, self._read_at = None, -AT_LEAST_EVERY_S

    def _post_trouble(self, words: str | None) -> None:
        if words != self._posted.trouble:
            self._posted.trouble = words
            self._post(ArchiveTrouble(words))


def _stamp(path: Path) -> Stamp:
    try:
        status = os.stat(path)  # noqa: PTH116 - half the time of Path.stat, ten times a second
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
