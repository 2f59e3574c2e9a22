"""Renders chats in a chat template, in a process of its own that can be given up."""

import json
import os
import select
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from arena.errors import TaskError
from lineage.records import Message
from population.evaluation.chat import worker

PATIENCE_S = 120.0
"""Waited for one chat, in seconds. The worker's own limit is in processor time, so that no result
depends on how busy a machine is; this is for one that does not run at all."""

CACHED = 1 << 14
"""Chats that are kept as they were rendered."""


class ChatRenderer:
    """A chat template with the process that renders it, which starts with the first chat.

    Threads may share it.

    Args:
        template: in Jinja, as transformers reads it.
        variables: what it may use beside the messages: the tokenizer's special tokens.
        owner: of the template, for messages.
        seconds: of processor time that one chat may take.
    """

    def __init__(
        self,
        template: str,
        variables: Mapping[str, Any],
        owner: str,
        seconds: float = worker.SECONDS,
    ) -> None:
        self._seconds = seconds
        self._task = {"template": template, "variables": dict(variables), "seconds": seconds}
        self._owner = owner
        self._process: subprocess.Popen[bytes] | None = None
        self._broken: str | None = None
        self._texts: dict[tuple[tuple[Message, ...], bool], str] = {}
        self._lock = Lock()

    def rendered(self, chat: Sequence[Message], *, open_end: bool = True) -> str:
        """A chat as text, as a model reads it.

        Args:
            chat: its turns.
            open_end: whether an assistant's turn is begun at its end.

        Raises:
            TaskError: the template fails on this chat, or takes too much; says why.
        """
        key = (tuple(chat), open_end)
        with self._lock:
            if key not in self._texts:
                text = self._ask(key[0], open_end)
                if len(self._texts) >= CACHED:
                    self._texts.clear()
                self._texts[key] = text
            return self._texts[key]

    def _ask(self, chat: Sequence[Message], open_end: bool) -> str:
        if self._broken is None:
            messages = [{"role": turn.role, "content": turn.content} for turn in chat]
            line = {"messages": messages, "add_generation_prompt": open_end}
            answer = self._answer(line)
            if "text" in answer:
                return answer["text"]
            raise TaskError(f"the chat template of {self._owner} {answer['error']}")
        raise TaskError(f"the chat template of {self._owner} {self._broken}")

    def _answer(self, line: dict[str, Any]) -> dict[str, str]:
        """What the worker answers; what is wrong where it does not."""
        process = self._running()
        try:
            _write(process, line)
            answer: dict[str, str] = json.loads(_read_line(process))
        except (OSError, EOFError, TimeoutError) as error:
            process.kill()
            process.wait()
            self._process = None
            # One that was ended once would end again, item by item.
            self._broken = (
                f"takes more than {self._seconds:g} s for a chat, or {worker.SPARE_S:.0f} s for "
                "several, or more memory than it may; give the founders another one"
                if isinstance(error, (EOFError, OSError))
                else f"gave no answer for {PATIENCE_S:.0f} s"
            )
            return {"error": self._broken}
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603 - this project's own program
                [sys.executable, "-P", str(Path(worker.__file__))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # what interrupts the campaign is no error of the template
            )
            weakref.finalize(self, _end, self._process)
            _write(self._process, self._task)
        return self._process


def _write(process: subprocess.Popen[bytes], value: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(value).encode("ascii") + b"\n")
    process.stdin.flush()


def _read_line(process: subprocess.Popen[bytes]) -> bytes:
    """A line that a process writes.

    Raises:
        EOFError: it ended.
        TimeoutError: it writes nothing for too long.
    """
    assert process.stdout is not None
    deadline, line = time.monotonic() + PATIENCE_S, b""
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0.0 or not select.select([process.stdout], [], [], left)[0]:
            raise TimeoutError
        part = os.read(process.stdout.fileno(), 1 << 16)
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
