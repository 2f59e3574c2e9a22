"""What a scorer is: it says which answers to items count, and what gradients may learn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lineage.records import Answer, Item, Juror, Label
from population.evaluation.batching import PreparedItems


@dataclass(frozen=True)
class AnsweredItems:
    """Items with the answers that count on them.

    Attributes:
        prepared: for all models.
        without_own_votes: for members of a jury, by id: the same without their own votes.
    """

    prepared: PreparedItems
    without_own_votes: Mapping[int, PreparedItems] = field(default_factory=dict)

    def for_each(self, models: Sequence[int]) -> list[PreparedItems]:
        """What each of some models, by id, is scored on."""
        return [self.without_own_votes.get(model, self.prepared) for model in models]


class Scorer(Protocol):
    """Says which answers count on items."""

    questions: int
    """How many questions an item is, on average and at most: answers that may count on it."""

    def prepare(self, items: Sequence[Item], epoch: int) -> AnsweredItems:
        """Some items with the answers that count on them in an epoch."""
        ...

    def cost_of_epoch(self, before: int) -> int:
        """Item evaluations that it takes to get answers for the epoch after another one."""
        ...

    def scorable(self, split: str, epoch: int) -> Sequence[Item] | None:
        """The only items of a split that can be scored in an epoch; None where all can be."""
        ...

    def teaching(self, epoch: int) -> Sequence[Item]:
        """Search items with the keys that gradients may use in an epoch, or what stands for them.

        Nothing where there are none.
        """
        ...

    def labels(self, epoch: int) -> tuple[Sequence[Item], tuple[Label, ...]]:
        """The labels that the colony made for itself in an epoch, and their items."""
        ...

    def jury(self, epoch: int) -> tuple[Juror, ...]:
        """The models whose answers stand for keys in an epoch."""
        ...

    def jury_answers(self, items: Sequence[Item], epoch: int) -> tuple[Answer, ...]:
        """The jury's answers to some items, without those that the archive has."""
        ...
