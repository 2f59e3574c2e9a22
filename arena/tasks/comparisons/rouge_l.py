"""ROUGE-L (Lin 2004), by the library `rouge-score`, an extra: `pip install model-colony[rouge]`."""

from functools import cache
from importlib.util import find_spec
from typing import Any

from arena.errors import TaskError
from arena.tasks.comparisons.comparison import LONG_ANSWER, Comparison


def rouge_l(answer: str, key: str, tolerance: float) -> float:
    """The F-measure of the longest common subsequence of words, without stemming."""
    return float(_scorer().score(key, answer)["rougeL"].fmeasure)


def check() -> None:
    """Make sure that the library is there.

    Raises:
        TaskError: it is not.
    """
    if find_spec("rouge_score") is None:
        raise TaskError("'rouge_l' needs rouge-score: pip install 'model-colony[rouge]'")


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # noqa: PLC0415 - an extra

    return RougeScorer(["rougeL"])


ROUGE_L = Comparison("rouge_l", rouge_l, longest=LONG_ANSWER, check=check)
"""Words in the right order are part of the credit."""
