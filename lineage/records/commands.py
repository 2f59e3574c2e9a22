"""Records of commands to a campaign and of their outcomes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from lineage.records.allowance import allowance_of

CommandKind = Literal[
    "pause", "resume", "pin", "unpin", "cull", "mate", "add-founder", "budget", "tournament"
]

PAUSED = "paused"
"""The activity that the heartbeat of a paused campaign reports."""


@dataclass(frozen=True)
class Command:
    """A command to a campaign, and its outcome.

    Attributes:
        id: commands are carried out in the order of their ids.
        kind: what to do.
        models: ids of the models that it names.
        argument: the checkpoint of the founder to be added, or the new budget (`allowance_of`).
        given_at: when it was submitted, by the clock.
        given: the last generation that was complete then; -1 before the first.
        settled: the generation after which it was carried out or refused (a mating: in which);
            None as long as it is open.
        outcome: whether it was carried out or refused; None as long as it is open.
        answer: what was done, or why not, in words.
    """

    id: int
    kind: CommandKind
    models: tuple[int, ...]
    argument: str | None
    given_at: datetime
    given: int
    settled: int | None = None
    outcome: Literal["done", "refused"] | None = None
    answer: str | None = None

    @property
    def words(self) -> str:
        """The command as people read it.

        >>> Command(1, "mate", (12, 31), None, datetime(2026, 1, 1), 7).words
        'mate #12 with #31'
        """
        named = " with ".join(f"#{model}" for model in self.models)
        if self.kind == "budget":
            allowed = allowance_of(self.argument)
            named = allowed.words if allowed else str(self.argument)
        return " ".join(part for part in (self.kind, named or self.argument) if part)


@dataclass(frozen=True)
class CommandOutcome:
    """The outcome of a command.

    Attributes:
        command: which.
        outcome: whether it was carried out.
        answer: what was done, or why not, in words.
        model: id of the model that the answer is about, if there is one.
    """

    command: Command
    outcome: Literal["done", "refused"]
    answer: str
    model: int | None = None
