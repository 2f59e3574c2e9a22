"""What the arena asks of a model. It speaks lm-eval's verbs and knows nothing of torch."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from lineage.records import Item

T = TypeVar("T")


class LoadedModel(Protocol):
    """A model that answers and judges. A match needs no more of it, whatever it is made of."""

    def generate(self, items: Sequence[Item], /) -> list[str]:
        """One raw answer per item, decoded greedily."""
        ...

    def loglikelihood(self, questions: Sequence[tuple[Item, str]], /) -> list[float]:
        """For each (item, answer), the log-probability in nats that the model answers so."""
        ...


class Lend(Protocol):
    """Lends models: for each id, a player that has become that model does some work."""

    def __call__(
        self, models: Sequence[int], work: Callable[[int, LoadedModel], T], /
    ) -> Sequence[T | None]:
        """The results of the work, in the order of the models; None for one that failed at it."""
        ...
