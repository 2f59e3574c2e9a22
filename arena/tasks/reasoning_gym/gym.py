"""The process in which reasoning-gym makes items and rates answers."""

from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

from arena.confined.line_process import LineProcess
from arena.errors import TaskError

ITEMS_S, ANSWER_S = 300.0, 10.0
"""Processor time that making a list of items, and rating an answer, may take, in seconds."""

PATIENCE_S = 900.0
"""Waited for one answer, in seconds: the program itself bounds its processor time."""


@dataclass(frozen=True)
class GymDataset:
    """A list of items of reasoning-gym.

    Attributes:
        name: of the generator.
        options: its settings, such as how difficult items are.
        seed: of the first item; each further one has the next.
        size: how many items there are.
    """

    name: str
    options: dict[str, Any] = field(hash=False)
    seed: int
    size: int


class Gym:
    """reasoning-gym in a process of its own, which starts with the first question.

    Threads may share it. An answer that ends the process is worth nothing, and the next one gets
    another process.

    Args:
        where: the reference of the task, for messages.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._process: LineProcess | None = None
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel without the process."""
        return Gym, (self._where,)

    def items(self, dataset: GymDataset) -> list[tuple[str, str | None]]:
        """Questions and answers of a list; None where a question has no single answer.

        Raises:
            TaskError: the library is not installed, or refuses the name or the settings.
        """
        if find_spec("reasoning_gym") is None:
            raise TaskError(
                f"{self._where} needs reasoning-gym: pip install 'model-colony[reasoning-gym]'"
            )
        try:
            said = self._ask(dataset, 0, None)
        except (OSError, EOFError):
            said = {"error": "making the items takes too much time or memory"}
        if "error" in said:
            raise TaskError(f"{self._where}: {said['error']}")
        return [(question, key) for question, key in said["items"]]

    def score(self, dataset: GymDataset, index: int, answer: str) -> float:
        """How right an answer is by the generator's own verifier, in [0, 1].

        One that the verifier fails on, or takes too long for, is wrong.
        """
        try:
            said = self._ask(dataset, index, answer)
        except (OSError, EOFError):
            return 0.0
        return min(1.0, max(0.0, float(said.get("score", 0.0))))

    def _ask(self, dataset: GymDataset, index: int, answer: str | None) -> dict[str, Any]:
        with self._lock:
            if self._process is None:
                program = Path(__file__).with_name("worker.py")
                self._process = LineProcess(program, PATIENCE_S)
            try:
                seconds = ITEMS_S if answer is None else ANSWER_S
                asked = {"dataset": asdict(dataset), "index": index, "answer": answer}
                return self._process.ask({**asked, "seconds": seconds})
            except (OSError, EOFError):
                self._process.kill()
                self._process = None
                raise
