"""What goes wrong while tokenizers are read or loaded, as errors for users."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from population.errors import CheckpointError
from population.json_files import read_object

TAKE_ONE = "take one model's vocabulary instead (tokenizer source: base, or that model)"
"""The way out where vocabularies cannot be joined, for messages."""


@contextmanager
def loading(what: str, remedy: str) -> Iterator[None]:
    """Turn what the library says about a tokenizer into an error for users."""
    try:
        yield
    except Exception as error:
        if type(error) not in {Exception, ValueError}:  # it raises nothing more exact
            raise
        raise CheckpointError(f"{what} does not load: {clip(str(error))}; {remedy}") from None


def read_json(file: Path, name: str) -> dict[str, Any]:
    """Read a file that holds a JSON object; `name` is the model's, for messages."""
    try:
        return read_object(file, name)
    except FileNotFoundError as error:
        raise CheckpointError(f"{name}: {file} cannot be read: {error}") from None


def clip(text: str) -> str:
    """One line, short enough for a message."""
    line = " ".join(text.split())
    return line if len(line) <= 120 else line[:117] + "..."
