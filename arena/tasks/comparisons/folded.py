"""Equal but for upper and lower case and for white space."""

from arena.tasks.comparisons.comparison import Comparison


def folded(text: str) -> str:
    """A text without white space, in folded case.

    >>> folded("New  York") == folded("newyork")
    True
    """
    return "".join(text.casefold().split())


FOLDED = Comparison("folded", lambda answer, key, tolerance: float(folded(answer) == folded(key)))
"""Case and white space make no difference."""
