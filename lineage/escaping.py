"""Escaping texts of unknown origin, so that a terminal neither obeys nor hides anything in them."""

from unicodedata import category

_UNSAFE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Unicode categories that a terminal obeys or cannot write: controls (of direction as well), lone
surrogates, separators of lines and paragraphs."""

_JOINERS = "\u200c\u200d"
"""Characters of such a category that do no harm, and that scripts and emoji need."""


def escaped(text: str, keep: str = "") -> str:
    r"""A text of unknown origin with control characters spelled out as Python and C write them.

    Args:
        text: anything.
        keep: characters that stay as they are, such as line feeds that are meant.

    >>> print(escaped("red: \x1b[31m"))
    red: \x1b[31m
    """
    if text.isprintable():
        return text
    return "".join(
        char if char in keep or char in _JOINERS or category(char) not in _UNSAFE
        else char.encode("unicode_escape").decode("ascii")
        for char in text
    )  # fmt: skip
