"""The screen in front of a very large archive: how fast it opens, answers keys, and rests.

    python -m tests.benchmarks.tui --models 1000000 --json OUT

Starts `colony tui` in a real pseudo-terminal on a synthetic colony (see
`tests.benchmarks.lineage`) and measures from outside:

- `first_paint_s`: from the start of the process to the first frame;
- `open_s`: to the frame that shows the colony; `open_cpu_s`: processor time until then, which
  says more where the machine is busy;
- `key_ms`: processor time that a key press takes, in all threads, 95th percentile by page: moving
  a row, a page, to the ends (`PAGES`); `keys` has the median of each key;
- `rss_mb`: the most memory that the process had; `idle_cpu`: the part of a core that it uses when
  nobody does anything.

`limits` has what each may be, `of_limit` the measured part of that (below 1 is within).
"""

import argparse
import fcntl
import os
import pty
import select
import shutil
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.harness import told
from tests.benchmarks.lineage import found, grown

ROOT = Path(__file__).parents[2]
SIZE = 120, 40
QUIET_S = 0.12
"""A key has been answered when nothing more is painted for so long."""

ROW = ("j", "k", "j", "j", "k")
KEYS = {"pagedown": "\x1b[6~", "pageup": "\x1b[5~", "end": "\x1b[F", "home": "\x1b[H",
        "left": "\x1b[D", "right": "\x1b[C", "up": "\x1b[A", "down": "\x1b[B"}  # fmt: skip
LISTED = (*ROW * 9, "pagedown", *ROW * 9, "end", *ROW * 9, "pageup", *ROW * 9, "home")
"""As people press them: mostly row by row, now and then a page or to an end (see `keys`)."""


@dataclass(frozen=True)
class Tried:
    """A page: the keys that lead to it, the keys to measure there, what one may take in ms."""

    path: tuple[str, ...]
    keys: tuple[str, ...]
    limit_ms: float


PAGES = {
    "board": Tried(("2",), LISTED, 5.0),
    "line": Tried(("4", "l"), LISTED, 5.0),
    "graph": Tried(("4", "g"), (*ROW * 6, "+", *ROW, "p", *ROW), 16.0),
    "map": Tried(("4", "a"), ("left", "up", "left", "down", "right") * 6, 16.0),
}
LIMITS = {"first_paint_s": 0.5, "open_s": 1.0, "rss_mb": 400.0, "idle_cpu": 0.01}


class Terminal:
    """A process in a pseudo-terminal of its own.

    Args:
        arguments: of the Python that runs it.
        size: columns and rows.
        term: what kind of terminal it says it is.
    """

    def __init__(
        self, arguments: Sequence[str], size: tuple[int, int] = SIZE, term: str = "xterm-256color"
    ) -> None:
        self.began = time.perf_counter()
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM=term, COLORTERM="truecolor")
            os.chdir(ROOT)
            os.execv(sys.executable, [sys.executable, *arguments])
        self._ready = select.poll()  # which takes any number of open files, as select does not
        self._ready.register(self._master, select.POLLIN)
        self.resize(*size)
        self.painted = b""

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, text: str, seconds: float = 60.0) -> float:
        """Seconds from the start until a text is painted.

        Raises:
            TimeoutError: it is not.
        """
        while text.encode() not in self.painted:
            if time.perf_counter() - self.began > seconds:
                raise TimeoutError(
                    f"{text!r} was not painted; the end of it: {self.painted[-2000:]!r}"
                )
            self.read(0.05)
        return time.perf_counter() - self.began

    def read(self, seconds: float) -> int:
        """Take what is painted, waiting for so long; how many bytes."""
        if not self._ready.poll(1000 * seconds):
            return 0
        try:
            taken = os.read(self._master, 1 << 16)
        except OSError:  # its process has ended
            return 0
        self.painted = (self.painted + taken)[-(1 << 20) :]
        return len(taken)

    def settle(self, quiet_s: float = QUIET_S) -> None:
        """Wait until nothing more is painted."""
        while self.read(quiet_s):
            pass

    def press(self, key: str) -> None:
        """Press a key, and wait until it has been answered."""
        os.write(self._master, KEYS.get(key, key).encode())
        self.settle()

    def cpu_s(self) -> float:
        """Processor time of all its threads so far."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9

    def peak_mb(self) -> float:
        """The most memory that it had."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1e3

    def close(self) -> None:
        """End it, politely if it listens."""
        os.write(self._master, b"q")
        for _ in range(50):
            self.read(0.02)
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                break
        else:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._master)


def opened(path: Path) -> Terminal:
    """`colony tui` on an archive."""
    return Terminal(["-m", "tui.cli.main", "tui", str(path)])


def measured(path: Path, models: int) -> dict[str, Any]:
    """All measurements on an archive of so many models."""
    opened(path).close()  # what has to be read from the disk is read
    terminal = opened(path)
    first_paint_s = terminal.until("Colony")
    open_s = terminal.until(f"{models:,}")
    open_cpu_s = terminal.cpu_s()
    terminal.settle(3.0)
    keys: dict[str, list[float]] = {}
    for name, page in PAGES.items():
        for key in page.path:
            terminal.press(key)
        terminal.settle(1.0)
        keys[name] = []
        for key in page.keys:
            before = terminal.cpu_s()
            terminal.press(key)
            keys[name].append(1e3 * (terminal.cpu_s() - before))
    terminal.settle(1.0)
    before, start = terminal.cpu_s(), time.perf_counter()
    terminal.settle(5.0)
    idle_cpu = (terminal.cpu_s() - before) / (time.perf_counter() - start)
    result = {
        "open_s": open_s,
        "key_ms": {name: percentile(took, 95) for name, took in keys.items()},
        "rss_mb": terminal.peak_mb(),
        "idle_cpu": idle_cpu,
        "first_paint_s": first_paint_s,
        "open_cpu_s": open_cpu_s,
    }
    terminal.close()
    return {**result, "keys": {name: by_key(PAGES[name].keys, took) for name, took in keys.items()}}


def by_key(pressed: Sequence[str], took: Sequence[float]) -> dict[str, float]:
    """The median of what each key took."""
    return {
        key: statistics.median(t for k, t in zip(pressed, took, strict=True) if k == key)
        for key in dict.fromkeys(pressed)
    }


def percentile(values: Sequence[float], part: int) -> float:
    """The value that so many hundredths do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[part - 1]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print and write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=1_000_000)
    parser.add_argument("--archive", type=Path, help="one that was built before, of so many models")
    parser.add_argument("--folder", type=Path, help="where to build; default: a temporary one")
    parser.add_argument("--json", type=Path, help="write the result there as well")
    chosen = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="colony-tui-", dir=chosen.folder))
    try:
        path = chosen.archive
        if path is None:
            path = folder / "colony.duckdb"
            archive = found(path)
            grown(archive, chosen.models, 5000)
            archive.close()
        result = measured(path, chosen.models)
    finally:
        shutil.rmtree(folder)
    limits = {**LIMITS, "key_ms": {name: page.limit_ms for name, page in PAGES.items()}}
    result["models"], result["limits"] = chosen.models, limits
    result["of_limit"] = {name: result[name] / limit for name, limit in LIMITS.items()} | {
        f"key_ms.{name}": result["key_ms"][name] / page.limit_ms for name, page in PAGES.items()
    }
    told(result, chosen.json)


if __name__ == "__main__":
    main()
