"""A process that has loaded everything, and forks one that runs the command line when asked to.

Loading torch takes longer than a small campaign; who starts campaigns by the dozen, to kill them,
starts them here. Requests are lines of JSON on stdin: the arguments of `colony`, a file for what it
says, and how large a file it may write. Answers are its PID and, when it has ended, its exit code.
"""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO


class Forks:
    """The forking process, as tests use it."""

    def __enter__(self) -> "Forks":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
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

    def start(self, *arguments: object, said: Path, largest: int = -1) -> int:
        """Start `colony` with some arguments; its PID."""
        request = {"arguments": list(map(str, arguments)), "said": str(said), "largest": largest}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._answer())

    def wait(self) -> int:
        """Wait until it has ended; its exit code, negative if a signal ended it."""
        return int(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def headless(archive: Path, config: Path) -> tuple[object, ...]:
    """The arguments of a campaign that is watched by a program."""
    return ("run", config, "--archive", archive, "--headless", "--no-report")


def acknowledged(said: Path) -> int:
    """The last generation that a campaign said was complete, or -1."""
    text = said.read_text() if said.exists() else ""  # killed before it said a word
    found = re.findall(r"^generation (\d+) ", text, re.MULTILINE)
    return int(found[-1]) if found else -1


def wait_for_generation(said: Path, generation: int) -> None:
    """Wait until a campaign says that a generation is complete."""
    deadline = time.monotonic() + 60
    while acknowledged(said) < generation:
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.005)


def serve(requests: IO[str], answers: IO[str]) -> None:
    """Fork for every request, one after the other."""
    for line in requests:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(run(**request))
        answers.write(f"{child}\n")
        answers.flush()
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()


def run(arguments: list[str], said: str, largest: int) -> int:
    """What a forked process does."""
    from tui.cli.main import main  # noqa: PLC0415

    # Where the tests run in the background of a script, SIGINT is ignored by whatever they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if largest >= 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    sys.argv = ["colony", *arguments]
    try:
        main()
    except SystemExit as done:
        return int(done.code or 0)
    return 0


if __name__ == "__main__":
    # Loaded once, for all; transformers loads the code of a network when it is asked for by name.
    from transformers import LlamaForCausalLM  # noqa: F401

    serve(sys.stdin, sys.stdout)
