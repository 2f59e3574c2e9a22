"""Merit: the one number that breeding goes by, as numpy and as SQL have it.

Half exact match, half the probability of the key. Exact match is what counts but is silent until
the last token is right; the probability of the key rises long before. Both come from the same
forward pass.
"""

from typing import TypeVar

from lineage.records import Floats

Scores = TypeVar("Scores", float, Floats)

MERIT_SQL = "0.5 * (exact + probability)"
"""Over rows of `scores`."""


def merit(exact: Scores, probability: Scores) -> Scores:
    """The merit of scores: half exact match, half the probability of the key.

    Args:
        exact: 1 where greedy decoding gives the key, else 0, or means of that; any shape.
        probability: of the key, in [0, 1]; of the same shape.

    Returns:
        Merit in [0, 1], of the same shape.

    >>> merit(1.0, 0.5)
    0.75
    """
    return 0.5 * (exact + probability)
