"""Campaigns by the dozen, started by the command line to be watched, interrupted and killed."""

import re
import resource
import time
from pathlib import Path

from tests.fork_server import ForkServer, colony, say_into, serve


class Forks(ForkServer):
    """The process that starts them."""

    def __init__(self) -> None:
        super().__init__("tests.forks")

    def start(self, *arguments: object, said: Path, largest: int = -1) -> int:
        """Start `colony` with some arguments; its PID.

        Args:
            arguments: the arguments.
            said: the file for what it says.
            largest: the largest file in bytes that it may write, or -1 for any.
        """
        return self.request(arguments=list(map(str, arguments)), said=str(said), largest=largest)

    def wait(self) -> int:
        """Wait until it has ended; its exit code, negative if a signal ended it."""
        return self.exit_code()


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


def run(arguments: list[str], said: str, largest: int) -> int:
    """What a forked process does."""
    say_into(Path(said), 1, 2)
    if largest >= 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    return colony(arguments)


if __name__ == "__main__":
    # Loaded once, for all; transformers loads the code of a network when it is asked for by name.
    from transformers import LlamaForCausalLM  # noqa: F401

    serve(run)
