"""Equal as numbers, within a tolerance."""

import math

from arena.tasks.comparisons.comparison import Comparison


def number_of(text: str) -> float | None:
    """The number that a text is, with or without marks of thousands, %, $ or an end; None if none.

    >>> number_of("$1,234.50"), number_of("12 %"), number_of("twelve")
    (1234.5, 12.0, None)
    """
    bare = text.replace(",", "").replace("\u2212", "-").strip().strip("$€£% ").rstrip(".")
    try:
        number = float(bare)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in bare else None


def near(answer: str, key: str, tolerance: float) -> float:
    """1 where both are numbers that differ by no more than the tolerance, or that part of the key.

    >>> near("3.1416", "3.14159", 1e-4), near("3.2", "3.14159", 1e-4), near("pi", "pi", 1.0)
    (1.0, 0.0, 0.0)
    """
    said, right = number_of(answer), number_of(key)
    if said is None or right is None:
        return 0.0
    return float(abs(said - right) <= tolerance * max(1.0, abs(right)))


NUMERIC = Comparison("numeric", near, tolerant=True)
"""Numbers are compared as numbers."""
