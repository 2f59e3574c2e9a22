"""A program that answers lines of JSON, in a process of its own that can be given up."""

import json
import os
import select
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import Any

PATIENCE_S = 120.0
"""Waited for one answer, in seconds. Programs bound their own processor time, so that no result
depends on how busy a machine is; this is for one that does not run at all."""


class LineProcess:
    """A running program: a line of JSON in, a line of JSON out. It ends with its owner.

    Args:
        program: a Python file that imports nothing of this project.
        patience: seconds that an answer may take.
    """

    def __init__(self, program: Path, patience: float = PATIENCE_S) -> None:
        self._patience = patience
        self._process = subprocess.Popen(  # noqa: S603 - this project's own program
            [sys.executable, "-P", str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # what interrupts a campaign is no error of the program
        )
        weakref.finalize(self, _end, self._process)

    def tell(self, value: dict[str, Any]) -> None:
        """Write a line that is not answered.

        Raises:
            OSError: the program ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value).encode("ascii") + b"\n")
        self._process.stdin.flush()

    def ask(self, value: dict[str, Any]) -> dict[str, Any]:
        """Write a line, and read the one that answers it.

        Raises:
            OSError: the program ended.
            EOFError: likewise.
            TimeoutError: it answers nothing for too long.
        """
        self.tell(value)
        answer: dict[str, Any] = json.loads(self._read_line())
        return answer

    def kill(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.wait()

    def _read_line(self) -> bytes:
        assert self._process.stdout is not None
        deadline, line = time.monotonic() + self._patience, b""
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0.0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise TimeoutError
            part = os.read(self._process.stdout.fileno(), 1 << 16)
            if not part:
                raise EOFError
            line += part
        return line


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
