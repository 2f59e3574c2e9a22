"""Which search items are asked when: dealt from the campaign's seed, prepared once for everyone."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from arena.tasks import Task, deal_panel, each_of
from lineage.records import Answer, Item, Juror
from population.config import Search
from population.marking import Marked, Marker
from population.questions import Prepared
from population.randomness import generator

DISTINCT = 3
"""Distinct answers of a jury to an item, on average: more than was ever seen of eight jurors."""


@dataclass(frozen=True)
class Deal:
    """Search items that were dealt for one use.

    Attributes:
        items: task by task.
        marked: all of them, with the answers that count.
        rounds: columns in a random order, cut into the rounds of a race.
        by_round: the items of each round, prepared.
    """

    items: list[Item]
    marked: Marked
    rounds: tuple[tuple[int, ...], ...] = ()
    by_round: tuple[Prepared, ...] = ()

    @property
    def prepared(self) -> Prepared:
        """All of them, for everybody who is not of the jury."""
        return self.marked.prepared


class Dealer:
    """Deals the items of broods and of panels.

    Args:
        seed: the campaign's.
        search: how many are dealt.
        tasks: what they are dealt from.
        marker: says what counts on them.
    """

    def __init__(self, seed: int, search: Search, tasks: list[Task], marker: Marker) -> None:
        self._seed, self._search = seed, search
        self._tasks, self._marker = tasks, marker
        self._last: dict[str, tuple[int, Deal]] = {}
        self._selection: dict[int, Marked] = {}

    def size(self, count: int) -> int:
        """How many questions are asked at most where this many items are wanted."""
        questions = 1 if self._search.merit == "keys" else DISTINCT
        return questions * len(self._tasks) * each_of(count, len(self._tasks))

    def epoch_of(self, generation: int) -> int:
        """The epoch that a generation belongs to; each has a panel."""
        return generation // self._search.rotate

    def brood(self, generation: int) -> Deal:
        """The fresh items that a generation's brood is scored on."""
        return self._deal("brood", generation, self._search.items, 0, self.epoch_of(generation))

    def panel(self, epoch: int) -> Deal:
        """The items that the living of an epoch are compared on."""
        return self._deal("panel", epoch, self._search.panel, self._search.rounds, epoch)

    def unseen(self, epoch: int) -> list[Item]:
        """Items for the arena of an epoch that nobody is bred on."""
        return self._drawn(generator(self._seed, "arena", epoch), self._search.panel)

    def few(self, what: str, count: int) -> list[Item]:
        """Items for another use, the same whenever they are asked for; with keys if those count."""
        items = self._drawn(generator(self._seed, what), count)
        keyed = self._search.merit == "keys"
        return items if keyed else [replace(item, key=None) for item in items]

    def jury(self, epoch: int) -> tuple[Juror, ...]:
        """Whose answers stand for keys in an epoch."""
        return self._marker.jury(epoch)

    def said(self, epoch: int) -> tuple[Answer, ...]:
        """What the jury of an epoch answers to its panel and to the selection items."""
        return self._marker.said([*self.panel(epoch).items, *self.selection], epoch)

    @cached_property
    def selection(self) -> list[Item]:
        """The selection items; as many as a panel has where a jury has to answer them first."""
        each = None
        if self._search.merit == "jury":
            each = each_of(self._search.panel, len(self._tasks))
        return [item for task in self._tasks for item in task.items("selection", limit=each)]

    def marked_selection(self, epoch: int) -> Marked:
        """The selection items with the answers that count on them in an epoch."""
        if epoch not in self._selection:
            self._selection = {epoch: self._marker.mark(self.selection, epoch)}
        return self._selection[epoch]

    def _deal(self, what: str, number: int, count: int, rounds: int, epoch: int) -> Deal:
        if what not in self._last or self._last[what][0] != number:
            rng = generator(self._seed, what, number)
            items = self._drawn(rng, count)
            columns: tuple[tuple[int, ...], ...] = ()
            if rounds:
                # In a random order over all tasks at once: what a race promises depends on it.
                cut = np.array_split(rng.permutation(len(items)), rounds)
                columns = tuple(tuple(part.tolist()) for part in cut if len(part))
            marked = self._marker.mark(items, epoch)
            by_round = tuple(
                self._marker.mark([items[column] for column in part], epoch).prepared
                for part in columns
            )
            self._last[what] = (number, Deal(items, marked, columns, by_round))
        return self._last[what][1]

    def _drawn(self, rng: np.random.Generator, count: int) -> list[Item]:
        return deal_panel(self._tasks, int(rng.integers(1 << 31)), count)
