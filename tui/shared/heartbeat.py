"""The heartbeat: what a campaign does at this moment, in a small file beside the archive.

The archive changes with every generation, some seconds apart; watchers want to see models being
made. So the campaign replaces `ARCHIVE.live.json` a few times a second, atomically, which
costs a fifth of a millisecond and needs no lock.
"""

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lineage.storage.atomic_file import whole_file

EVERY_S = 0.25
"""Least time between two writes of the file, in seconds; watchers redraw as often."""


@dataclass(frozen=True)
class Heartbeat:
    """What a campaign does at this moment.

    Attributes:
        pid: of its process.
        began: when it was started, in seconds since the epoch.
        at: when this was written, in seconds since the epoch.
        what: is being done, such as "offspring" or "arena".
        done: how much of it, of `total`.
        total: see `done`.
        generation: the last committed one; None before that is known.
        spent: item evaluations so far, over all runs.
        budget: item evaluations in all.
        generations: the last generation, if that is limited.
        part: the fraction of the campaign that is over, in [0, 1].
        left_s: seconds until its end; None where that is not known.
        ended: why it is over; None while it runs.
        step_left_s: seconds until `what` is done; None where that is not known.
        workers: processes of a cluster that work for it; None where there are never any.
    """

    pid: int
    began: float
    at: float
    what: str = "starting"
    done: int = 0
    total: int = 0
    generation: int | None = None
    spent: int = 0
    budget: int | None = None
    generations: int | None = None
    part: float = 0.0
    left_s: float | None = None
    ended: str | None = None
    step_left_s: float | None = None
    workers: int | None = None

    @property
    def running(self) -> bool:
        """Whether the campaign runs: it has not ended, and its process exists."""
        return self.ended is None and _is_running(self.pid)


def heartbeat_path(archive: Path) -> Path:
    """The heartbeat file of the campaign in an archive."""
    return archive.with_name(archive.name + ".live.json")


def read_heartbeat(archive: Path) -> Heartbeat | None:
    """The heartbeat of the last campaign in an archive; None if there is none that can be read."""
    try:
        return Heartbeat(**json.loads(heartbeat_path(archive).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


class HeartbeatWriter:
    """Writes the heartbeat of this process.

    A file that cannot be written is no reason to stop a campaign, so that is not an error here.

    Args:
        archive: path of the campaign's archive.
    """

    def __init__(self, archive: Path) -> None:
        now = time.time()
        self._path = heartbeat_path(archive)
        self._heartbeat = Heartbeat(os.getpid(), now, now)
        self._written = 0.0

    def __enter__(self) -> "HeartbeatWriter":
        self._write(0.0)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Write how it ended: a heartbeat without an end is that of a process killed."""
        if self._heartbeat.ended is None:
            reason = "done" if error is None else str(error) or type(error).__name__
            self.update(ended=reason.splitlines()[0])

    def step(self, done: int, total: int, what: str, **changes: int | float | None) -> None:
        """Set how far something is, and write it unless the last write was a moment ago.

        Args:
            done: how much is done, of `total`.
            total: see `done`.
            what: is being done.
            changes: other fields of `Heartbeat`.
        """
        self._heartbeat = replace(self._heartbeat, what=what, done=done, total=total, **changes)  # type: ignore[arg-type]
        self._write(self._written + EVERY_S)

    def update(self, **changes: int | float | str | None) -> None:
        """Set fields of `Heartbeat`, and write it at once."""
        self._heartbeat = replace(self._heartbeat, **changes)  # type: ignore[arg-type]
        self._write(0.0)

    def _write(self, not_before: float) -> None:
        now = time.monotonic()
        if now < not_before:
            return
        self._written = now
        self._heartbeat = replace(self._heartbeat, at=time.time())
        with suppress(OSError), whole_file(self._path) as draft:
            draft.write_text(json.dumps(asdict(self._heartbeat)), encoding="utf-8")


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # somebody else's
    except OSError:
        return False
    return True
