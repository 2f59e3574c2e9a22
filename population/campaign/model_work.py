"""Work with models that can be sent to other processes: what it needs is data, and no context."""

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from lineage import ArchiveError
from lineage.records import Floats
from population.engines.interface import Work
from population.errors import CheckpointError, Interrupted
from population.evaluation.batching import PreparedItems
from population.evaluation.evaluator import Evaluator
from population.failures import one_line
from population.weights.identity import identity_of
from population.weights.materialise import State

T = TypeVar("T")

SYSTEMIC_ERRORS = (Interrupted, CheckpointError, ArchiveError, OSError)
"""Errors of no single model: somebody asked to stop, or files are missing or cannot be read."""

FAILURE_PREFIX = "failed: "
"""What the cause of death begins with where the work on a model raised an error."""

MAX_CAUSE_LENGTH = 200
"""Characters of a cause that are kept."""


@dataclass(frozen=True)
class Failed:
    """Stands for the result of a model that the work fails with.

    Attributes:
        cause: of the failure, with `FAILURE_PREFIX`.
    """

    cause: str


def failure(number: int, cause: str) -> Failed:
    """What is left of a model whose work ended as it should not.

    >>> failure(3, "it ended 3 workers").cause
    'failed: it ended 3 workers'

    Args:
        number: of the model.
        cause: in words.
    """
    return Failed(f"{FAILURE_PREFIX}{cause}"[:MAX_CAUSE_LENGTH])


@dataclass(frozen=True)
class Tolerant(Generic[T]):
    """Some work, tried twice, that raises nothing but systemic errors.

    Attributes:
        work: with a model.
    """

    work: Work[T]

    def __call__(self, number: int, evaluator: Evaluator, state: State) -> T | Failed:
        """The result, or why there is none."""
        try:
            return self.work(number, evaluator, state)
        except SYSTEMIC_ERRORS:
            raise
        except Exception:  # noqa: BLE001 - perhaps it was a want of memory that has passed
            _free_memory()
        try:
            return self.work(number, evaluator, state)
        except SYSTEMIC_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is kept as the cause
            return failure(number, one_line(error))


@dataclass(frozen=True)
class Identified(Generic[T]):
    """Some work, and what the model's weights are known by.

    Attributes:
        work: with a model.
        by_fingerprint: see `identity_of`.
    """

    work: Work[T]
    by_fingerprint: bool

    def __call__(self, number: int, evaluator: Evaluator, state: State) -> tuple[str, T]:
        """The identity, and the result of the work."""
        identity = identity_of(state, by_fingerprint=self.by_fingerprint)
        return identity, self.work(number, evaluator, state)


@dataclass(frozen=True)
class Scoring:
    """Scores models.

    Attributes:
        prepared: what each model is scored on.
    """

    prepared: Sequence[PreparedItems]

    def __call__(self, number: int, evaluator: Evaluator, state: State) -> tuple[Floats, Floats]:
        """Verdicts and probabilities, see `Evaluator.score`."""
        return evaluator.score(self.prepared[number])


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
