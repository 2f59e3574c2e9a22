"""A program that renders chats in a stranger's template: a line of JSON in, a line of JSON out.

A template is code. transformers' sandbox keeps it from files and from Python's insides, but not
from looping for ever or making giant text, so it runs in a process of its own that may take a
bounded time and memory, write nothing, start nothing and open no files but those of the libraries.
The system ends it if it takes more.

`renderer` starts it. The first line is the template and what it may use; each other line is a chat.
It imports nothing of this project but `confinement`, and starts in a second, without torch.
"""

import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from transformers.utils import chat_template_utils

sys.path.append(str(Path(__file__).resolve().parents[3] / "arena" / "confined"))
from confinement import allow_seconds, confine  # type: ignore[import-not-found]

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


def main() -> None:
    """Answer every line until there are no more."""
    task = json.loads(sys.stdin.readline())
    confine(MEMORY)
    left = SPARE_S
    for line in sys.stdin:
        asked = json.loads(line)
        left, before = left + EACH_S, time.process_time()
        allow_seconds(min(task["seconds"], max(left, EACH_S)))
        try:
            answer = {"text": _rendered(task, asked)}
        except MemoryError:
            answer = {"error": f"takes more than {MEMORY >> 20:,} MB of memory"}
        except Exception as error:  # noqa: BLE001 - whatever a template raises
            reason = " ".join(f"{error}".split()) or type(error).__name__
            answer = {"error": f"fails: {reason[:200]}"}
        allow_seconds(0.0)
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


if __name__ == "__main__":
    main()
