"""F1 of words, as SQuAD has it (Rajpurkar et al. 2016, arXiv 1606.05250, its evaluation script)."""

import re
import string
from collections import Counter

from arena.tasks.comparisons.comparison import LONG_ANSWER, Comparison

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation and without a, an and the."""
    bare = text.lower().translate(_PUNCTUATION)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


def token_f1(answer: str, key: str) -> float:
    """The harmonic mean of precision and recall of words; of two texts without words 1.

    >>> token_f1("the red cat", "A cat.")
    0.6666666666666666
    """
    said, right = words_of(answer), words_of(key)
    if not said or not right:
        return float(said == right)
    common = sum((Counter(said) & Counter(right)).values())
    return 2.0 * common / (len(said) + len(right))


TOKEN_F1 = Comparison(
    "f1", lambda answer, key, tolerance: token_f1(answer, key), longest=LONG_ANSWER
)
"""Part of the words is part of the credit."""
