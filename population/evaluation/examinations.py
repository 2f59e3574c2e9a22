"""Tasks that say themselves what models are asked, and what their answers are worth.

Most items are questions with a key or a verifier, see `population.evaluation.questions`. A task may
have an *examiner* instead, which reads whatever texts it likes: then its answer is what counts.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from lineage.records import Floats, Item

if TYPE_CHECKING:
    from population.evaluation.evaluator import Evaluator


class Examination(Protocol):
    """Items of one task, prepared once for all models."""

    def score(self, evaluator: "Evaluator") -> tuple[Floats, Floats]:
        """How right the model that an evaluator has loaded is, and the probability of what is.

        Several evaluators may be at work at once. It counts one item evaluation for each item.

        Returns:
            Two arrays of shape (items,) in [0, 1].
        """
        ...


class Examiner(Protocol):
    """What a task has as its attribute `examiner`."""

    def prepare(self, items: Sequence[Item], evaluator: "Evaluator") -> Examination:
        """Encode and batch some items, for `score` and nothing else.

        Raises:
            TaskError: an item is not the task's any more.
        """
        ...

    def lesson(self, item: Item, evaluator: "Evaluator") -> tuple[list[int], list[int]] | None:
        """Tokens of a text and of what should follow it, for gradient steps; None for no lesson."""
        ...


def examiner_of(task: object) -> Examiner | None:
    """The examiner of a task, if it has one."""
    examiner: Examiner | None = getattr(task, "examiner", None)
    return examiner
