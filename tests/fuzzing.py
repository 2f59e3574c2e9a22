"""What the fuzz tests share: calls of the command line by the hundred, and a verdict on each.

Each call has output, exit code and time limit of its own, as a program that was started has. Cases
are drawn with fixed seeds. COLONY_FUZZ=20 in the environment multiplies the number of cases,
COLONY_FUZZ_SEED=7 draws others.
"""

import json
import os
import re
import resource
import shlex
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fork_server import ForkServer, colony, say_into

TIMES = float(os.environ.get("COLONY_FUZZ", "1"))
SEED = int(os.environ.get("COLONY_FUZZ_SEED", "0"))
CPU_S = 30
"""Processor time that no call of this size takes: who takes it does not end."""
WAIT_S = 60
"""Time without any work, asleep, that no call takes: who takes it waits for nothing."""

CODES = {0, 1, 2, 130}


@dataclass(frozen=True)
class Ran:
    """A call that ended, or was ended."""

    arguments: tuple[str, ...]
    code: int
    """Negative where a signal ended it."""
    out: str
    err: str
    hung: bool

    @property
    def line(self) -> str:
        """As somebody would type it."""
        return shlex.join(ascii_only(argument) for argument in ("colony", *self.arguments))


@dataclass(frozen=True)
class Calls:
    """Makes them, one at a time."""

    server: ForkServer

    def __call__(self, *arguments: object, folder: Path) -> Ran:
        """Run `colony` in a folder; what it said is kept beside the folder, not in it."""
        said = folder.with_name(folder.name + ".said")
        words = tuple(map(str, arguments))
        pid = self.server.request(__name__, arguments=words, folder=str(folder), said=str(said))
        hung = self._waited_in_vain(pid)
        if hung:
            os.kill(pid, signal.SIGKILL)
        code = self.server.exit_code()
        out, err = (said.with_suffix(end).read_bytes() for end in (".out", ".err"))
        hung = hung or code == -signal.SIGXCPU
        return Ran(words, code, out.decode(errors="replace"), err.decode(errors="replace"), hung)

    def _waited_in_vain(self, pid: int) -> bool:
        """Wait for an answer; whether none came while the process slept on and on.

        Time alone would say nothing on a machine that is busy with something else.
        """
        worked, asleep = "", 0
        while True:
            if self.server.ends_within(1.0):
                return False
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except FileNotFoundError:  # it has ended since
                continue
            state, work = fields[0], " ".join(fields[11:15])
            asleep = asleep + 1 if state == "S" and work == worked else 0
            worked = work
            if asleep >= WAIT_S:
                return True


def wrong_with(ran: Ran, *, answers: bool = False) -> str | None:
    """What no call may do, whatever it was given; None if it did nothing of that kind.

    Args:
        ran: the call.
        answers: whether exit code 1 can be its answer, with what is the matter on stdout.
    """
    said = ran.out + ran.err
    errors = [line for line in ran.err.splitlines() if line.startswith("error:")]
    if ran.hung:
        return "it hung"
    if "Traceback" in said or "Exception ignored" in said:
        return "a traceback"
    if "this is a fault of colony" in said:  # COLONY_DEBUG=1 shows where
        return "what nobody expected"
    if ran.code not in CODES:
        return f"exit code {ran.code}"
    if ran.code == 1 and not (answers and ran.out):
        if len(errors) != 1:
            return f"{len(errors)} lines of error"
        # What points at the place, as the filter language does, is indented.
        after = ran.err.splitlines()[ran.err.splitlines().index(errors[0]) + 1 :]
        if not all(line.startswith("  ") for line in after):
            return "more lines after the error"
        if len(errors[0]) > 3000:
            return "an error of more than 3000 characters"
    if ran.code != 1 and errors:
        return f"an error and exit code {ran.code}"
    if ran.code == 0 and "--json" in ran.arguments and "--help" not in ran.arguments:
        try:
            json.loads(ran.out, parse_constant=_no_json)
        except ValueError as error:
            return f"--json that does not parse: {error}"
    return None


def _no_json(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def told(ran: Ran, reason: str, case: object = "") -> str:
    """A failure as one can repeat it."""
    return f"{reason}: {ran.line}  {case}\n{ran.out[-1000:]}\n{ran.err[-3000:]}"


def cases(what: str, count: int) -> Iterator[Random]:
    """As many generators as there are cases, each keyed by what is tried and its number."""
    for number in range(max(1, round(count * TIMES))):
        yield Random(f"{what} {SEED} {number}")


def ascii_only(text: str) -> str:
    """A string as ASCII, to be shown wherever."""
    return text.encode("ascii", "backslashreplace").decode()


def surveyed(folder: Path, without: Iterable[str] = ()) -> dict[str, bytes | str]:
    """What lies in a folder, to see that nothing was lost: contents of files, kinds of others."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = os.fspath(path.relative_to(folder))
        if any(re.fullmatch(pattern, name) for pattern in without):
            continue
        if path.is_symlink():
            found[name] = f"link to {path.readlink()}"
        elif path.is_file():
            found[name] = path.read_bytes()
        else:
            found[name] = "folder" if path.is_dir() else "other"
    return found


def differing(one: dict[str, bytes | str], other: dict[str, bytes | str]) -> list[str]:
    return sorted(k for k in one.keys() | other.keys() if one.get(k) != other.get(k))


def run(arguments: Sequence[str], folder: str, said: str) -> int:
    """What a forked process does."""
    for descriptor, end in ((1, ".out"), (2, ".err")):
        say_into(Path(said).with_suffix(end), descriptor)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, resource.RLIM_INFINITY))
    os.environ["COLUMNS"] = "200"
    sys.stdout.reconfigure(encoding="utf-8", errors="strict")  # type: ignore[union-attr]
    os.chdir(folder)
    return colony(arguments)
