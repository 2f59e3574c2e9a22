"""The last number that a model says, as tasks of arithmetic take it."""

import re

_NUMBER = re.compile(
    r"(?<![\w.,])[-\u2212]?(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?"
)
"""A minus counts where nothing stands before it: in 5-3 the last number is 3."""


class LastNumber:
    """Finds the last number.

    >>> LastNumber().find("3 boxes of $1,200.50 each: 3,601.50.")
    '3601.50'
    """

    def find(self, text: str) -> str | None:
        """The number without marks of thousands; None where there is none."""
        found = _NUMBER.findall(text)
        return found[-1].replace(",", "").replace("\u2212", "-") if found else None
