"""Campaigns by the dozen, started by the command line to be watched, interrupted and killed."""

import re
import resource
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.fork_server import ForkServer, colony, say_into
from tests.killing import Kill


@dataclass(frozen=True)
class Forks:
    """Starts them, one at a time."""

    server: ForkServer

    def start(
        self,
        *arguments: object,
        said: Path,
        largest: int = -1,
        kill: Kill | None = None,
        all_parts: bool = False,
    ) -> int:
        """Start `colony` with some arguments; its PID.

        Args:
            arguments: the arguments.
            said: the file for what it says.
            largest: the largest file in bytes that it may write, or -1 for any.
            kill: the moment at which it is killed, if it is to be.
            all_parts: whether every model of generation 0 is kept as soon as it is made.
        """
        return self.server.request(
            __name__,
            arguments=list(map(str, arguments)),
            said=str(said),
            largest=largest,
            kill=kill and asdict(kill),
            all_parts=all_parts,
        )

    def wait(self) -> int:
        """Wait until it has ended; its exit code, negative if a signal ended it."""
        return self.server.exit_code()

    def wait_for_generation(self, said: Path, generation: int) -> None:
        """Wait until the campaign says that a generation is complete."""
        self._wait_until(said, lambda: acknowledged(said) >= generation)

    def wait_for(self, said: Path, text: str, times: int = 1) -> None:
        """Wait until it has said something so many times."""
        self._wait_until(said, lambda: said.exists() and said.read_text().count(text) >= times)

    def _wait_until(self, said: Path, holds: Callable[[], bool]) -> None:
        while not holds():
            assert not self.server.ends_within(0.005) or holds(), said.read_text()


def headless(archive: Path, config: Path) -> tuple[object, ...]:
    """The arguments of a campaign that is watched by a program."""
    return ("run", config, "--archive", archive, "--headless", "--no-report")


def acknowledged(said: Path) -> int:
    """The last generation that a campaign said was complete, or -1."""
    text = said.read_text() if said.exists() else ""  # killed before it said a word
    found = re.findall(r"^generation (\d+) ", text, re.MULTILINE)
    return int(found[-1]) if found else -1


def run(
    arguments: list[str], said: str, largest: int, kill: dict[str, Any] | None, all_parts: bool
) -> int:
    """What a forked process does."""
    say_into(Path(said), 1, 2)
    if all_parts:
        patch("population.campaign.parts.WRITE_EVERY_S", 0.0).start()
    if kill:
        Kill(**kill).arm()
    if largest >= 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    return colony(arguments)
