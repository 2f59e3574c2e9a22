"""What a worker of another process works with, and how it gets it."""

from dataclasses import dataclass
from typing import Protocol

from population.engines.interface import Engine
from population.evaluation.evaluator import Evaluator
from population.failures import FailureLog


@dataclass(frozen=True)
class Bench:
    """What a worker works with.

    Attributes:
        engine: makes models in this process, and works with them.
        evaluator: one of the engine's, or like them: its meter counts, its device is theirs.
        failures: of items and tasks that were passed over.
    """

    engine: Engine
    evaluator: Evaluator
    failures: FailureLog


class BenchPlan(Protocol):
    """Says how a worker gets what it works with; it is pickled and sent."""

    def open(self) -> Bench:
        """Open everything.

        Raises:
            PopulationError: something is missing, or is not what it was on the driver.
        """
        ...
