"""Renders chats in a chat template, in a process of its own that can be given up."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from arena.confined.line_process import PATIENCE_S, LineProcess
from arena.errors import TaskError
from lineage.records import IMAGE_MARK, Message
from population.evaluation.chat import worker

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
        self._process: LineProcess | None = None
        self._broken: str | None = None
        self._texts: dict[tuple[tuple[Message, ...], bool, bool], str] = {}
        self._lock = Lock()

    def rendered(
        self, chat: Sequence[Message], *, open_end: bool = True, images: bool = False
    ) -> str:
        """A chat as text, as a model reads it.

        Args:
            chat: its turns.
            open_end: whether an assistant's turn is begun at its end.
            images: whether contents are lists of texts and images, which stand where its marks are.

        Raises:
            TaskError: the template fails on this chat, or takes too much; says why.
        """
        key = (tuple(chat), open_end, images)
        with self._lock:
            if key not in self._texts:
                text = self._ask(key[0], open_end, images)
                if len(self._texts) >= CACHED:
                    self._texts.clear()
                self._texts[key] = text
            return self._texts[key]

    def _ask(self, chat: Sequence[Message], open_end: bool, images: bool) -> str:
        if self._broken is None:
            messages = [
                {"role": turn.role, "content": _parts(turn.content) if images else turn.content}
                for turn in chat
            ]
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
            answer: dict[str, str] = process.ask(line)
        except (OSError, EOFError) as error:
            process.kill()
            self._process = None
            # One that was ended once would end again, item by item.
            self._broken = (
                f"gave no answer for {PATIENCE_S:.0f} s"
                if isinstance(error, TimeoutError)
                else f"takes more than {self._seconds:g} s for a chat, or {worker.SPARE_S:.0f} s "
                "for several, or more memory than it may; give the founders another one"
            )
            return {"error": self._broken}
        return answer

    def _running(self) -> LineProcess:
        if self._process is None:
            self._process = LineProcess(Path(worker.__file__))
            self._process.tell(self._task)
        return self._process


def _parts(content: str) -> list[dict[str, str]]:
    """Texts and images of a turn, as templates of vision-language models read them."""
    parts: list[dict[str, str]] = []
    for number, text in enumerate(content.split(IMAGE_MARK)):
        if number:
            parts.append({"type": "image"})
        if text:
            parts.append({"type": "text", "text": text})
    return parts
