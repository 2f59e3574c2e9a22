"""The reader: follows an archive and its campaign from a thread of its own, and posts messages.

It looks at the files ten times a second, which takes microseconds, and leases the archive when it
has changed, and now and then in any case. The libraries that it needs are loaded here, after the
first paint. The thread is a daemon, since waiting for a lock that somebody else holds must not keep
anybody from quitting.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
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
"""How often the files are looked at: a birth shows within a second, and idling costs nothing."""

AT_LEAST_EVERY_S = 5.0
"""When the archive is read again even if its file seems to be as it was: clocks of file systems are
coarse. Each time that nothing had changed it takes twice as long to the next, up to a minute."""

REST_S = 0.25
"""Between two leases: a campaign that commits all the time must not be read all the time."""

AFTER_TROUBLE_S = 1.0
"""Before an archive that could not be read is tried again."""

PARTING_S = 0.3
"""How long whoever quits waits for a lease in flight."""

Stamp = tuple[int, int, int] | None
"""What tells that a file has changed: inode, time and size; None if there is no file."""


class SnapshotRead(Message):
    """There is a new snapshot."""

    def __init__(self, snapshot: "Snapshot") -> None:
        super().__init__()
        self.snapshot = snapshot


class CommandsRead(Message):
    """Something was asked of the campaign, or came of it."""

    def __init__(self, command_state: "CommandState") -> None:
        super().__init__()
        self.asked = command_state


class HeartbeatRead(Message):
    """The campaign has told what it does; None where no campaign ever did."""

    def __init__(self, heartbeat: Heartbeat | None) -> None:
        super().__init__()
        self.heartbeat = heartbeat


class ArchiveTrouble(Message):
    """The archive cannot be read, in words; None when it can be again."""

    def __init__(self, words: str | None) -> None:
        super().__init__()
        self.words = words


class ArchiveWatcher:
    """Follows an archive.

    Args:
        path: the archive; it need not be there yet.
        post: takes messages, from any thread.
        awaited: whether somebody is about to make the archive, so that it may be missing.
    """

    def __init__(
        self, path: Path, post: Callable[[Message], object], awaited: Callable[[], bool]
    ) -> None:
        self._path, self._post, self._awaited = path, post, awaited
        self._archive: Archive | None = None
        self._snapshot: Snapshot | None = None
        self._asked: CommandState | None = None
        self._seen: Stamp = None
        self._beat: Stamp = None
        self._heartbeat: Heartbeat | None = None
        self._read_at = -AT_LEAST_EVERY_S
        self._patience_s = AT_LEAST_EVERY_S
        self._said: str | None = None
        self._over = threading.Event()
        self._there = threading.Lock()
        self._thread = threading.Thread(target=self._follow, name="reader", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Follow no longer, and let go of the archive unless a lease of it takes too long."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(PARTING_S)
        if not self._thread.is_alive():
            self._forget()

    def archive(self) -> "Archive":
        """The archive, for questions; any thread may ask.

        Raises:
            ArchiveError: it is missing, held by somebody, damaged, or no archive.
        """
        with self._there:
            if self._archive is None:
                from lineage import Archive  # noqa: PLC0415 - see the module's docstring

                self._archive = Archive(self._path, self._say)
            return self._archive

    def _follow(self) -> None:
        while not self._over.is_set():
            pause = EVERY_S
            try:
                self._look()
            except ArchiveBusyError as error:
                self._say(str(error))
            except ArchiveError as error:
                self._say(str(error))
                self._forget()
                pause = AFTER_TROUBLE_S
            self._over.wait(pause)

    def _look(self) -> None:
        beat = _stamp(heartbeat_path(self._path))
        if beat != self._beat:
            self._beat, self._heartbeat = beat, read_heartbeat(self._path)
            self._post(HeartbeatRead(self._heartbeat))
        stamp, now = _stamp(self._path), time.monotonic()
        if stamp is None:
            if self._awaited() or (self._heartbeat is not None and self._heartbeat.running):
                return  # a campaign makes its archive once its founders have been read
            raise ArchiveError(f"no archive at {self._path}; it is shown as soon as there is one")
        if self._seen and stamp[0] != self._seen[0]:
            self._forget()
        waited, same = now - self._read_at, stamp == self._seen
        if waited < REST_S or (same and waited < self._patience_s):
            return
        self._patience_s = min(60.0, 2 * self._patience_s) if same else AT_LEAST_EVERY_S
        self._seen = stamp
        self._read()
        self._hear()
        self._read_at = time.monotonic()
        self._say(None)

    def _read(self) -> None:
        from lineage.queries.columns import empty_columns, is_outdated, updated, with_fitness  # noqa: PLC0415
        from tui.app.data.snapshot import Snapshot, with_shares  # noqa: PLC0415

        archive, older = self.archive(), self._snapshot
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
            # What a person sees first is there at once; the sums over everybody follow.
            self._post(SnapshotRead(snapshot))
            self._over.wait(REST_S)
            with archive.reading() as db:
                snapshot = replace(snapshot, columns=with_fitness(db, columns))
        self._snapshot = replace(snapshot, shares=with_shares(older, snapshot))
        self._post(SnapshotRead(self._snapshot))

    def _hear(self) -> None:
        from lineage.commands.definitions import command_state  # noqa: PLC0415 - see the module's docstring

        with self.archive().reading() as db:
            now = command_state(db)
        if now != self._asked:
            self._asked = now
            self._post(CommandsRead(now))

    def _forget(self) -> None:
        """Read everything anew next time: it may be another archive, or another state of it."""
        with self._there:
            if self._archive is not None:
                self._archive.close()
            self._archive = None
        self._snapshot, self._asked = None, None
        self._seen, self._read_at = None, -AT_LEAST_EVERY_S

    def _say(self, words: str | None) -> None:
        if words != self._said:
            self._said = words
            self._post(ArchiveTrouble(words))


def _stamp(path: Path) -> Stamp:
    try:
        status = os.stat(path)  # noqa: PTH116 - half the time of Path.stat, ten times a second
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
