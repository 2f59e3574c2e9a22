"""The campaign that the app starts: a process of its own, which can outlive the app."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

LAST_LINES = 2
"""Lines at the end of the log that say how a campaign ended."""


class CampaignProcess:
    """Runs `colony run --headless`; stderr goes to `ARCHIVE.log`, the report to a temporary file.

    Args:
        archive: path of the campaign's archive.
        arguments: of the command, without `--headless`.
        width: of its report, in cells.
    """

    def __init__(self, archive: Path, arguments: Sequence[str], width: int) -> None:
        self.log = archive.with_name(archive.name + ".log")
        self._arguments, self._width = arguments, width

    def __enter__(self) -> "CampaignProcess":
        self._report = tempfile.TemporaryFile()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this very command
                [sys.executable, "-m", "tui.cli.main", *self._arguments, "--headless"],
                stdin=subprocess.DEVNULL,
                stdout=self._report,
                stderr=log,
                env={**os.environ, "COLUMNS": str(self._width)},
                start_new_session=True,  # it survives the end of the terminal
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._report.close()

    @property
    def runs(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Ask it to stop after the current model; asked again, it stops at once."""
        if self.runs:
            self._process.send_signal(signal.SIGTERM)

    def report(self) -> str:
        """The report that it printed at its end; empty if it printed none."""
        self._report.seek(0)
        return self._report.read().decode("utf-8", "replace")

    def last_lines(self) -> list[str]:
        """The last lines of its log, which say how it ended."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-LAST_LINES:] if self.code() == 0 else lines[-1:]
