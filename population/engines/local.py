"""The local engine: threads of this process, each with a network of its own."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from lineage.records import Floats
from population.engines.interface import Descender, Lost, OnResult, Watch, WeightMaker, Work
from population.evaluation.pool import EvaluatorPool
from population.gradient.descent import Descent, DescentSettings, DescentStep, ItemSampler

T = TypeVar("T")


class LocalEngine:
    """Makes models here, and has a pool of evaluators work with them.

    Args:
        pool: opens the pool, when it is first needed.
        maker: of weights, as `pool`.
        descender: improves genomes.
        words: what it works with, in a line.
    """

    def __init__(
        self,
        pool: Callable[[], EvaluatorPool],
        maker: Callable[[], WeightMaker],
        descender: Descender,
        words: Callable[[], str] = lambda: "",
    ) -> None:
        self._words = words
        self._pool, self._maker, self._descender = pool, maker, descender

    @property
    def in_flight(self) -> int:
        """Models that were in flight when the last work ended."""
        return self._pool().in_flight

    @property
    def words(self) -> str:
        """What it works with, in a line."""
        return self._words()

    @property
    def workers(self) -> None:
        """None: threads are no processes."""
        return

    def start(self) -> None:
        """Open the pool, which makes a forward pass with each network."""
        self._pool()

    def map(
        self,
        genomes: Sequence[Floats],
        work: Work[T],
        progress: Watch,
        on_result: OnResult[T],
        lost: Lost[T] | None = None,
    ) -> list[T]:
        """See `Engine.map`; what ends this process ends all of it."""
        del lost
        return self._pool().map(self._maker().siblings(genomes), work, progress, on_result)

    def descended(
        self,
        descents: Sequence[Descent],
        samplers: Sequence[ItemSampler],
        settings: Sequence[DescentSettings],
        steps: int,
        progress: Watch,
    ) -> list[list[DescentStep]]:
        """See `Descender.descended`."""
        return self._descender.descended(descents, samplers, settings, steps, progress)

    def close(self) -> None:
        """Nothing: threads end with their process."""
