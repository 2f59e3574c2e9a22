"""Which search items are asked when: dealt from the campaign's seed, prepared once for everyone."""

from dataclasses import dataclass

import numpy as np

from arena.tasks import Task, deal_panel, each_of
from lineage.records import Item
from population.config import Search
from population.player import Player, Prepared
from population.randomness import generator


@dataclass(frozen=True)
class Deal:
    """Search items that were dealt for one use.

    Attributes:
        items: task by task.
        prepared: all of them.
        rounds: columns in a random order, cut into the rounds of a race.
        by_round: the items of each round, prepared.
    """

    items: list[Item]
    prepared: Prepared
    rounds: tuple[tuple[int, ...], ...] = ()
    by_round: tuple[Prepared, ...] = ()


class Dealer:
    """Deals the items of broods and of panels.

    Args:
        seed: the campaign's.
        search: how many are dealt.
        tasks: what they are dealt from.
        player: prepares them.
    """

    def __init__(self, seed: int, search: Search, tasks: list[Task], player: Player) -> None:
        self._seed, self._search = seed, search
        self._tasks, self._player = tasks, player
        self._last: dict[str, tuple[int, Deal]] = {}

    def size(self, count: int) -> int:
        """How many items are dealt at most where this many are asked for."""
        return len(self._tasks) * each_of(count, len(self._tasks))

    def epoch_of(self, generation: int) -> int:
        """The epoch that a generation belongs to; each has a panel."""
        return generation // self._search.rotate

    def brood(self, generation: int) -> Deal:
        """The fresh items that a generation's brood is scored on."""
        return self._deal("brood", generation, self._search.items, 0)

    def panel(self, epoch: int) -> Deal:
        """The items that the living of an epoch are compared on."""
        return self._deal("panel", epoch, self._search.panel, self._search.rounds)

    def few(self, what: str, count: int) -> list[Item]:
        """Items for another use, the same whenever they are asked for."""
        return self._drawn(generator(self._seed, what), count)

    def _deal(self, what: str, number: int, count: int, rounds: int) -> Deal:
        if what not in self._last or self._last[what][0] != number:
            rng = generator(self._seed, what, number)
            items = self._drawn(rng, count)
            columns: tuple[tuple[int, ...], ...] = ()
            if rounds:
                # In a random order over all tasks at once: what a race promises depends on it.
                cut = np.array_split(rng.permutation(len(items)), rounds)
                columns = tuple(tuple(part.tolist()) for part in cut if len(part))
            prepare = self._player.prepare_keys
            by_round = tuple(prepare([items[column] for column in part]) for part in columns)
            self._last[what] = (number, Deal(items, prepare(items), columns, by_round))
        return self._last[what][1]

    def _drawn(self, rng: np.random.Generator, count: int) -> list[Item]:
        return deal_panel(self._tasks, int(rng.integers(1 << 31)), count)
