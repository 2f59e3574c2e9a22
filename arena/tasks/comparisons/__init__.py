"""Comparisons: how right an answer is, given the key. A new one is a file and a line here.

`compare = "NAME"` in a task.toml; `comparison = COMPARISONS["NAME"]` in a class of one's own.
"""

from arena.errors import TaskError
from arena.tasks.comparisons.comparison import EXACT, Comparison
from arena.tasks.comparisons.folded import FOLDED
from arena.tasks.comparisons.numeric import NUMERIC
from arena.tasks.comparisons.rouge_l import ROUGE_L
from arena.tasks.comparisons.sets import SETS
from arena.tasks.comparisons.token_f1 import TOKEN_F1

__all__ = ["COMPARISONS", "EXACT", "Comparison", "comparison_of"]

COMPARISONS: dict[str, Comparison] = {
    "exact": EXACT,
    "folded": FOLDED,
    "numeric": NUMERIC,
    "set": SETS,
    "f1": TOKEN_F1,
    "rouge_l": ROUGE_L,
}
"""By the name that a task.toml gives."""


def comparison_of(name: str) -> Comparison:
    """The comparison of a name.

    Raises:
        TaskError: there is none, or what it needs is not installed; the message is what comes
            behind the name of the setting.
    """
    if name not in COMPARISONS:
        raise TaskError(f"names no comparison {name!r:.60}; there are {', '.join(COMPARISONS)}")
    comparison = COMPARISONS[name]
    comparison.check()
    return comparison
