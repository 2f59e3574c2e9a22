"""Equal as sets of parts between commas or semicolons, whatever their order."""

import re

from arena.tasks.comparisons.comparison import Comparison
from arena.tasks.comparisons.folded import folded


def parts_of(text: str) -> frozenset[str]:
    """The parts of a text, with folded case and space.

    >>> parts_of("Red, blue") == parts_of("[blue; red]")
    True
    """
    parts = (folded(part) for part in re.split("[,;]", text.strip("[](){} ")))
    return frozenset(part for part in parts if part)


SETS = Comparison("set", lambda answer, key, tolerance: float(parts_of(answer) == parts_of(key)))
"""All parts of the key and no others."""
