"""Errors while tokenizers are read or loaded, as one-line errors for users."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from population.errors import CheckpointError
from population.json_files import read_object

TAKE_ONE = "take one model's vocabulary instead (tokenizer source: base, or that model)"
"""The remedy where vocabularies cannot be joined, for messages."""


@contextmanager
def loading(what: str, remedy: str) -> Iterator[None]:
    """Turn errors of the tokenizers library into errors for users.

    Args:
        what: what is loaded; the message begins with it.
        remedy: what to do; the message ends with it.

    Raises:
        CheckpointError: the library raised a bare exception or a ValueError.
    """
    try:
        yield
    except Exception as error:
        if type(error) not in {Exception, ValueError}:  # it raises nothing more exact
            raise
        raise CheckpointError(f"{what} does not load: {clip(str(error))}; {remedy}") from None


def read_json(file: Path, name: str) -> dict[str, Any]:
    """Read a file that holds a JSON object.

    Args:
        file: its path.
        name: the model's name, for messages.

    Raises:
        CheckpointError: the file is missing, cannot be read, or holds no JSON object.
    """
    try:
        return read_object(file, name)
    except FileNotFoundError as error:
        raise CheckpointError(f"{name}: {file} cannot be read: {error}") from None


def clip(text: str) -> str:
    """Text on one line of at most 120 characters.

    >>> clip("two   words")
    'two words'
    """
    line = " ".join(text.split())
    return line if len(line) <= 120 else line[:117] + "..."
