"""What the fuzz tests share: calls of the command line by the hundred, and a verdict on each.

A process that has loaded everything forks one per call, so that each has output, exit code and
time limit of its own, as a program that was started has. Cases are drawn with fixed seeds.
COLONY_FUZZ=20 in the environment multiplies the number of cases, COLONY_FUZZ_SEED=7 draws others.
"""

import gc
import importlib
import json
import os
import pkgutil
import re
import resource
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import TracebackType
from typing import IO

import typer

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


class Calls:
    """The forking process."""

    def __enter__(self) -> "Calls":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzzing"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # what lay in a buffer here, select would not see
            cwd=Path(__file__).parents[1],
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "HF_HUB_OFFLINE": "1",
                "COLUMNS": "200",
                "PYTHONIOENCODING": "utf-8:strict",
            },
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def __call__(self, *arguments: object, folder: Path) -> Ran:
        """Run `colony` in a folder; what it said is kept beside the folder, not in it."""
        said = folder.with_name(folder.name + ".said")
        words = tuple(map(str, arguments))
        request = {"arguments": words, "folder": str(folder), "said": str(said)}
        assert self._process.stdin is not None
        unsent = memoryview((json.dumps(request) + "\n").encode())
        while unsent:
            unsent = unsent[self._process.stdin.write(unsent) :]
        assert self._process.stdout is not None
        pid = int(self._process.stdout.readline())
        hung = self._waited_in_vain(pid)
        if hung:
            os.kill(pid, signal.SIGKILL)
        code = int(self._process.stdout.readline())
        out, err = (said.with_suffix(end).read_bytes() for end in (".out", ".err"))
        hung = hung or code == -signal.SIGXCPU
        return Ran(words, code, out.decode(errors="replace"), err.decode(errors="replace"), hung)

    def _waited_in_vain(self, pid: int) -> bool:
        """Wait for an answer; whether none came while the process slept on and on.

        Time alone would say nothing on a machine that is busy with something else.
        """
        worked, asleep = "", 0
        while True:
            if select.select([self._process.stdout], [], [], 1.0)[0]:
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


TEXTS = (
    "",
    " ",
    "-",
    "--",
    "---",
    "-x",
    "--help",
    "--json",
    "--archive",
    ".",
    "..",
    "/",
    "~",
    "~nobody/x",
    "*",
    "[",
    "]",
    "[bold]",
    "[/bold]",
    "[/]",
    "[link=x]a[/link]",
    "[red]x[/blue]",
    "\\[",
    "\\",
    "a\nb",
    "a\r\nb",
    "a\tb",
    "\x1b[31mred",
    "\x00".replace("\x00", "\x01"),
    "\x7f",
    "\x85",
    "\u2028",
    "\ufeff",
    "\u202e",
    "\U0001f600",
    "é",
    "e\u0301",
    "漢字",
    "\udc80",
    os.fsdecode(b"\xff\xfe"),
    os.fsdecode(b"caf\xe9"),
    "null",
    "None",
    "true",
    "nan",
    "inf",
    "0",
    "-1",
    "1",
    "#",
    "#0",
    "#-1",
    "#1",
    "##1",
    "1.0",
    "1e3",
    "0x10",
    "٣",
    "²",
    "①",
    "1_000",
    "+1",
    "9" * 10,
    "9" * 19,
    "9" * 40,
    "#" + "9" * 40,
    "9" * 5000,
    "'",
    '"',
    "'; DROP TABLE models; --",
    "%s",
    "%n%n",
    "{}",
    "{0}",
    "{x!r}",
    "$HOME",
    "`id`",
    "a" * 300,
    "a/" * 3000,
    "漢" * 4000,
    "x" * 100_000,
    "(" * 2000,
    "shipped:founders/base",
    "shipped:",
    "plugin:",
    "plugin:x",
    "x.py:",
    "x.py:A",
    "a+b",
    "+",
    "a@b",
    "@",
    "org/name",
    "org/name@main",
    "org/../name",
    "hf://x/y",
    "file:///etc/passwd",
    "http://[",
    "C:\\x",
    "CON",
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/proc/self/mem",
    "/proc/self/fd/0",
    "/root/none/none",
)

NUMBERS = (
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-0",
    "+1",
    "1.5",
    "1e3",
    "1e400",
    "nan",
    "inf",
    "-inf",
    "0x10",
    "٣",
    "²",
    "1_0",
    " 1",
    "",
    "one",
    "9" * 10,
    "9" * 19,
    "9" * 40,
    "-" + "9" * 40,
    "9" * 5000,
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "1e-320",
    "0.0001",
)


def mutated_text(rng: Random, text: str) -> str:
    """A text with a few characters, words or stretches changed, doubled or gone."""
    for _ in range(rng.randint(1, 3)):
        place = rng.randint(0, len(text))
        end = min(len(text), place + rng.randint(0, 6))
        change = rng.randrange(6)
        if change == 0:
            text = text[:place] + text[end:]
        elif change == 1:
            text = text[:place] + rng.choice(TEXTS)[:200] + text[place:]
        elif change == 2:
            text = text[:end] + text[place:]
        elif change == 3:
            text = text[:place] + rng.choice("()<>=!~:#\"'%&|,.-+ \n") + text[place:]
        elif change == 4:
            text = text[:place] + rng.choice(NUMBERS) + text[end:]
        else:
            words = text.split(" ")
            rng.shuffle(words)
            text = " ".join(words)
    return text


def mutated_bytes(rng: Random, data: bytes) -> bytes:
    """A file with bytes flipped, cut off, put in, doubled or overwritten."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(made) + 1)
        change = rng.randrange(7)
        if change == 0 and made:
            made[place % len(made)] ^= 1 << rng.randrange(8)
        elif change == 1:
            del made[place:]
        elif change == 2:
            made[place:place] = rng.randbytes(rng.randint(1, 40))
        elif change == 3:
            made[place : place + rng.randint(1, 40)] = b""
        elif change == 4:
            made[place:place] = made[place : place + rng.randint(1, 200)]
        elif change == 5:
            made[place : place + 4] = rng.choice(
                (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xed\xa0\x80")
            )
        else:
            made[place : place + 1] = rng.choice((b"\x00", b"\r", b"\n", b'"', b"{", b"[", b","))
    return bytes(made)


ODD: tuple[object, ...] = (
    None,
    True,
    False,
    0,
    1,
    2,
    -1,
    10**9,
    10**30,
    -(10**30),
    0.5,
    -0.5,
    1e308,
    1e-320,
    float("nan"),
    float("inf"),
    -float("inf"),
    "",
    " ",
    "four",
    "1",
    "[bold]",
    "\udc80",
    "漢字",
    "a\nb",
    "x" * 5000,
    [],
    {},
    [[]],
    [None],
    {"": None},
    [1, 2, 3],
    ["a", "b"],
    {"a": 1},
    [0.5] * 100,
)


NESTS = (("[", "]"), ('{"a": ', "}"))


class Raw(str):
    """What stands in a JSON file as it is."""


def mutated_value(rng: Random, value: object) -> object:
    """A value of JSON with one or a few places changed: another kind, gone, doubled, nested."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        value = _mutated_once(rng, value)
    return value


def _mutated_once(rng: Random, value: object) -> object:
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        change = rng.random()
        if change < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if change < 0.2:
            renamed = mutated_text(rng, str(key))
            return {(renamed if k == key else k): v for k, v in value.items()}
        if change < 0.28:
            return {**value, rng.choice(TEXTS)[:50]: rng.choice(ODD)}
        return {**value, key: _mutated_once(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        place = rng.randrange(len(value))
        change = rng.random()
        if change < 0.15:
            return value[:place] + value[place + 1 :]
        if change < 0.3:
            return [*value, value[place]]
        return [*value[:place], _mutated_once(rng, value[place]), *value[place + 1 :]]
    if isinstance(value, str) and rng.random() < 0.4:
        return mutated_text(rng, value)
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.5:
        return rng.choice((0, -value, value + 1, value - 1, value * 1000, 2**31, 2**63, value / 3))
    if rng.random() < 0.05:
        depth, (opens, closes) = rng.choice((3, 40, 3000, 200_000)), rng.choice(NESTS)
        return Raw(opens * depth + dumped(value) + closes * depth)
    return rng.choice(ODD)


def dumped(value: object) -> str:
    """JSON, with what is raw as it is, and what is no JSON as Python writes it (NaN, Infinity)."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(str(k))}: {dumped(v)}" for k, v in value.items())
        return "{" + inner + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(dumped, value)) + "]"
    return json.dumps(value)


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


def serve(requests: IO[str], answers: IO[str]) -> None:
    """Fork for every request, one after the other."""
    for line in requests:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = run(**request)
            finally:
                os._exit(code)
        answers.write(f"{child}\n")
        answers.flush()
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()


def run(arguments: Sequence[str], folder: str, said: str) -> int:
    """What a forked process does: what the interpreter does with the console script."""
    from tui.cli.main import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, end in ((1, ".out"), (2, ".err")):
        file = os.open(Path(said).with_suffix(end), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, resource.RLIM_INFINITY))
    os.chdir(folder)
    sys.argv = ["colony", *arguments]
    code: object = 0
    try:
        main()
    except SystemExit as done:
        code = done.code or 0
    except BaseException:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 1


def _load() -> None:
    """Load for all what any command may need."""
    import transformers  # noqa: F401
    from transformers import AutoTokenizer, LlamaForCausalLM  # noqa: F401

    for name in ("arena", "lineage", "population", "tui"):
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            importlib.import_module(found.name)
    typer.main.get_command(importlib.import_module("tui.cli.main").app)


if __name__ == "__main__":
    _load()
    gc.freeze()  # what is loaded is not looked through, and so not copied, in every process
    serve(sys.stdin, sys.stdout)
