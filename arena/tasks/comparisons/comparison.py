"""What a comparison is, and the one that most tasks use: an answer is the key or is wrong."""

from collections.abc import Callable
from dataclasses import dataclass

LONG_ANSWER = 2_000
"""Characters of an answer that counts by how much of it is right."""


def _nothing() -> None:
    """Nothing has to be there."""


@dataclass(frozen=True)
class Comparison:
    """A way to compare an answer with a key.

    Attributes:
        name: in a task.toml.
        rate: how right an answer is, in [0, 1], given (answer, key, tolerance), both texts in
            canonical form.
        longest: characters of the two that are read; None for what judges get to see.
        tolerant: whether the tolerance means anything to it.
        check: makes sure that what it needs is installed; raises a `TaskError` if not.
    """

    name: str
    rate: Callable[[str, str, float], float]
    longest: int | None = None
    tolerant: bool = False
    check: Callable[[], None] = _nothing


EXACT = Comparison("exact", lambda answer, key, tolerance: float(answer == key))
"""Right is the key, in canonical form: the only one that needs no answer to be decoded."""
