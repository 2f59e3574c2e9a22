"""The protocol of loaded models, with lm-eval's verbs; never imports torch."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from lineage.records import Item

T = TypeVar("T")


class LoadedModel(Protocol):
    """A model that answers and judges; the arena needs no more of it."""

    def generate(self, items: Sequence[Item], /) -> list[str]:
        """One raw answer per item, decoded greedily."""
        ...

    def loglikelihood(self, questions: Sequence[tuple[Item, str]], /) -> list[float]:
        """Log-probabilities in nats, one for each (item, answer): shape `[questions]`."""
        ...


class Lend(Protocol):
    """Lends loaded models: calls a function with each id and its model."""

    def __call__(
        self, models: Sequence[int], work: Callable[[int, LoadedModel], T], /
    ) -> Sequence[T | None]:
        """The results of the function, in the order of the models; None where it failed."""
        ...
