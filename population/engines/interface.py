"""What an engine is: it makes models from genomes, and has them scored, asked or improved.

Two of them exist, `local` and `ray`. What a campaign asks of them is the same, and so is what comes
back, to the bit: who breeds need not know where the work was done.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from lineage.records import Floats
from population.evaluation.evaluator import Evaluator
from population.gradient.descent import Descent, DescentSettings, DescentStep, ItemSampler
from population.weights.materialise import State

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Watch = Callable[[int], None]
"""Called with how much is done; may raise to stop."""

OnResult = Callable[[int, T, int], None]
"""Called for each result, in order, with (the model's number, the result, the item evaluations that
it took)."""

Lost = Callable[[int, str], T]
"""Gives the result for a model whose work ended the processes that did it, from its number and the
cause."""


class Work(Protocol[T_co]):
    """What is done with a model.

    To reach other processes it has to be pickled: what it holds is data, and no context.
    """

    def __call__(self, number: int, evaluator: Evaluator, state: State, /) -> T_co:
        """Work with a model.

        Args:
            number: of the model among those that are worked with.
            evaluator: has its weights.
            state: the weights.
        """
        ...


class WeightMaker(Protocol):
    """Makes weights from genomes.

    Attributes:
        batch: how many siblings fit into memory together.
    """

    batch: int

    def siblings(self, genomes: Sequence[Floats], /) -> Iterator[State]:
        """The weights for each genome, shape (genes,), in order."""
        ...


class Descender(Protocol):
    """Improves genomes by gradient steps."""

    def descended(
        self,
        descents: Sequence[Descent],
        samplers: Sequence[ItemSampler],
        settings: Sequence[DescentSettings],
        steps: int,
        progress: Watch,
    ) -> list[list[DescentStep]]:
        """Some steps of several descents, each by itself.

        Args:
            descents: where they are.
            samplers: of the items of each.
            settings: of each.
            steps: how many each takes.
            progress: called with the number of steps that have been taken, all together.

        Returns:
            The steps of each descent.
        """
        ...


class Engine(Descender, Protocol):
    """Makes models and works with them."""

    @property
    def in_flight(self) -> int:
        """Models that were in flight when the last work ended: none, unless it was stopped."""
        ...

    @property
    def words(self) -> str:
        """What it works with, in a line."""
        ...

    @property
    def workers(self) -> int | None:
        """Processes that work for it elsewhere now; None if there are never any."""
        ...

    def start(self) -> None:
        """Make sure that it can work.

        Raises:
            PopulationError: it cannot; says why.
        """
        ...

    def map(
        self,
        genomes: Sequence[Floats],
        work: Work[T],
        progress: Watch,
        on_result: OnResult[T],
        lost: Lost[T] | None = None,
    ) -> list[T]:
        """Make the models of some genomes and work with each.

        Args:
            genomes: shape (genes,) each.
            work: what is done with each.
            progress: called before each result with the number of results so far.
            on_result: called with each result.
            lost: gives the result of a model whose work ends processes; by default that is an
                error.

        Returns:
            The results in the order of the genomes.
        """
        ...

    def close(self) -> None:
        """Let go of everything that it holds."""
        ...
