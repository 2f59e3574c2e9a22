"""Texts of unknown origin, made fit to be seen: nothing in them is obeyed or hidden."""

from unicodedata import category

_OBEYED = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Categories of signs that a terminal obeys or cannot write: controls (of direction as well), lone
halves of signs, separators of lines and paragraphs."""

_JOINERS = "\u200c\u200d"
"""Signs of such a category that do no harm, and that scripts and emoji cannot do without."""


def escaped(text: str, keep: str = "") -> str:
    r"""A text of unknown origin with nothing that a terminal would obey.

    Such signs are spelled out as Python and C write them, so that who reads the text sees what is
    in it: a line feed as `\n`, an escape as `\x1b`.

    Args:
        text: anything.
        keep: signs that stay whatever they do, such as line feeds that are meant.
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign in keep or sign in _JOINERS or category(sign) not in _OBEYED
        else sign.encode("unicode_escape").decode("ascii")
        for sign in text
    )  # fmt: skip
