"""How a task marks what a model says: what finds the answer in it, and what makes it right."""

from collections.abc import Sequence
from dataclasses import dataclass

from arena.tasks.answers import LONGEST_ANSWER, canonical
from arena.tasks.comparisons import EXACT, Comparison
from arena.tasks.extractors import Extractor
from lineage.records import Item

DEFAULT_TOLERANCE = 1e-6
"""By how much a number may differ from the key, or by which part of it."""


@dataclass(frozen=True)
class Marking:
    """How answers are marked.

    Attributes:
        extractor: finds the answer in what a model says; None: all of it is the answer.
        comparison: of an answer with a key.
        tolerance: of the comparison, where it has one.
    """

    extractor: Extractor | None = None
    comparison: Comparison = EXACT
    tolerance: float = DEFAULT_TOLERANCE

    @property
    def literal(self) -> bool:
        """Whether an answer is right if and only if it is a key, in canonical form."""
        return self.extractor is None and self.comparison is EXACT

    def found(self, item: Item, raw: str) -> str:
        """The answer in what a model says, in canonical form; all of it where none is found.

        Raises:
            TaskError: the extractor takes too long.
        """
        chosen = self.extractor is None or item.choices  # a choice is an answer as it stands
        found = None if chosen or self.extractor is None else self.extractor.find(raw)
        longest = self.comparison.longest or LONGEST_ANSWER
        return canonical(raw if found is None else found, longest)

    def rated(self, item: Item, answer: str, keys: Sequence[str]) -> float | None:
        """How right an answer is by the key that it is nearest to, in [0, 1]; None without one.

        Args:
            item: that is answered.
            answer: in canonical form.
            keys: likewise.
        """
        if not keys:
            return None
        if item.choices:
            return float(answer in keys)
        return max(self.comparison.rate(answer, key, self.tolerance) for key in keys)


AS_IT_STANDS = Marking()
"""Right is the key, in canonical form, and nothing else."""
