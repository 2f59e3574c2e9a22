"""A program that renders chats in a stranger's template: a line of JSON in, a line of JSON out.

A template is code. transformers' sandbox keeps it from files and from Python's insides, but not
from looping for ever or making giant text, so it runs in a process of its own that may take a
bounded time and memory, write nothing, start nothing and open no files but those of the libraries.
The system ends it if it takes more.

`renderer` starts it. The first line is the template and what it may use; each other line is a chat.
It imports nothing of this project, and starts in a second, as it does without torch.
"""

import json
import resource
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from transformers.utils import chat_template_utils

SECONDS = 5.0
"""Processor time that a chat may take; those in use take a thousandth of a second."""

EACH_S, SPARE_S = 0.02, 30.0
"""Processor time that all chats may take together: so much for each, and some more."""

MEMORY = 1 << 30
"""Bytes that a template may take beside those of the program."""

LONGEST = 1 << 22
"""Characters of a rendered chat, at most."""

TODAY = datetime(2024, 7, 26)
"""The day that templates are told, which is that of Llama 3.1's where none is told: the same chat
must be the same tokens tomorrow."""


_REFUSED = frozenset({
    *("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"),
    *("subprocess.Popen", "socket.connect", "socket.bind"),
})  # fmt: skip
"""Events of Python's audit that no template brings about, unless it got out of the sandbox."""


def main() -> None:
    """Answer every line until there are no more."""
    task = json.loads(sys.stdin.readline())
    _confine()
    left = SPARE_S
    for line in sys.stdin:
        asked = json.loads(line)
        left, before = left + EACH_S, time.process_time()
        # By default its signal ends a process.
        signal.setitimer(signal.ITIMER_VIRTUAL, min(task["seconds"], max(left, EACH_S)))
        try:
            answer = {"text": _rendered(task, asked)}
        except MemoryError:
            answer = {"error": f"takes more than {MEMORY >> 20:,} MB of memory"}
        except Exception as error:  # noqa: BLE001 - whatever a template raises
            reason = " ".join(f"{error}".split()) or type(error).__name__
            answer = {"error": f"fails: {reason[:200]}"}
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        left -= time.process_time() - before
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _rendered(task: dict[str, Any], asked: dict[str, Any]) -> str:
    template = chat_template_utils._compile_jinja_template(task["template"])
    text: str = template.render(
        **task["variables"], tools=None, documents=None, strftime_now=TODAY.strftime, **asked
    )
    if len(text) > LONGEST:
        raise ValueError(f"it makes a text of {len(text):,} characters")
    text.encode("utf-8")  # half of a surrogate pair is no text
    return text


def _confine() -> None:
    """Give up what a template has no use for."""
    used = 0
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            used = int(file.read().split()[0]) * resource.getpagesize()
    for limit, most in (
        (resource.RLIMIT_AS, used + MEMORY),
        (resource.RLIMIT_FSIZE, 0),
    ):
        _, hard = resource.getrlimit(limit)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (allowed, hard))
    libraries = tuple(
        f"{Path(folder).resolve()}/"
        for folder in {sys.prefix, sys.base_prefix, *sys.path}
        if folder
    )

    def refuse(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and not str(args[0]).startswith(libraries):
            raise PermissionError("it opens a file")
        if event in _REFUSED:
            raise PermissionError("it starts something")

    sys.addaudithook(refuse)


if __name__ == "__main__":
    main()
