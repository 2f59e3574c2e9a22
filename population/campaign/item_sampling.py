"""Which search items are asked when: dealt from the campaign's seed, prepared once for everyone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from arena.matches.items import HIDDEN
from arena.tasks import Task, each_of
from arena.tasks.pools import Pools, Wanted, distinct, pools_of
from lineage.records import Answer, Item, Juror
from population.campaign.scoring import ScoredItems, Scorer
from population.config import Config, Search
from population.errors import CampaignError, Interrupted
from population.evaluation.prepared import Prepared
from population.failures import ITEM_FAILURES, FailureLog, one_line
from population.randomness import generator

DISTINCT = 3
"""Distinct answers of a jury to an item, on average: more than was ever seen of eight jurors."""


@dataclass(frozen=True)
class ItemBatch:
    """Search items that were dealt for one use.

    Attributes:
        items: task by task.
        marked: all of them, with the answers that count.
        rounds: columns in a random order, cut into the rounds of a race.
        by_round: the items of each round, prepared.
    """

    items: list[Item]
    marked: ScoredItems
    rounds: tuple[tuple[int, ...], ...] = ()
    by_round: tuple[Prepared, ...] = ()

    @property
    def prepared(self) -> Prepared:
        """All of them, for everybody who is not of the jury."""
        return self.marked.prepared


class ItemSampler:
    """Deals the items of broods and of panels.

    Args:
        seed: the campaign's.
        search: how many are dealt.
        pools: what they are dealt from.
        marker: says what counts on them.
        kept: the panel of an epoch that has begun, as it was dealt; nothing before. An epoch keeps
            its panel though a later version of colony, or of a task, would deal another.
        failures: told of items that cannot be asked, which are left out.
    """

    def __init__(
        self,
        seed: int,
        search: Search,
        pools: Pools,
        marker: Scorer,
        kept: Callable[[int], Sequence[Item]] = lambda epoch: (),
        failures: FailureLog | None = None,
    ) -> None:
        self._seed, self._search = seed, search
        self.pools, self._tasks = pools, [pool.task for pool in pools.pools]
        self._marker, self._kept = marker, kept
        self._failures = failures or FailureLog()
        self._last: dict[str, tuple[int, ItemBatch]] = {}
        self._selection: dict[int, ScoredItems] = {}
        self._unseen: dict[int, list[Item]] = {}

    def size(self, count: int) -> int:
        """How many questions are asked at most where this many items are wanted."""
        questions = 1 if self._search.merit == "keys" else DISTINCT
        return questions * len(self._tasks) * each_of(count, len(self._tasks))

    def epoch_of(self, generation: int) -> int:
        """The epoch that a generation belongs to; each has a panel."""
        return generation // self._search.rotate

    def offspring(self, generation: int) -> ItemBatch:
        """The fresh items that the offspring of a generation are scored on."""
        return self._deal("brood", generation, self._search.items, 0, self.epoch_of(generation))

    def panel(self, epoch: int) -> ItemBatch:
        """The items that the living of an epoch are compared on."""
        return self._deal("panel", epoch, self._search.panel, self._search.rounds, epoch)

    def unseen(self, epoch: int) -> list[Item]:
        """Items for the arena of an epoch that nobody is bred on, as far as there are any."""
        if epoch not in self._unseen:
            seed = _seed_of(generator(self._seed, "arena", epoch))
            items = self.pools.unseen(seed, self._search.panel)
            if items and self._search.merit == "keys":
                items = self._sifted(items, epoch)
            self._unseen = {epoch: items}
        return self._unseen[epoch]

    def few(self, what: str, count: int) -> list[Item]:
        """Items for another use, the same whenever they are asked for; with keys if those count."""
        items = self.pools.drawn(_seed_of(generator(self._seed, what)), count)
        if self._search.merit == "keys":
            return self._askable(items, 0)[0]
        return [replace(item, key=None) for item in items]

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
        items = distinct(
            item for task in self._tasks for item in task.items("selection", limit=each)
        )
        # A jury says what counts, and is seated before it is asked; keys are there to be looked at.
        return items if each else self._askable(items, 0)[0]

    def marked_selection(self, epoch: int) -> ScoredItems:
        """The selection items with the answers that count on them in an epoch."""
        if epoch not in self._selection:
            self._selection = {epoch: self._marker.mark(self.selection, epoch)}
        return self._selection[epoch]

    def _deal(self, what: str, number: int, count: int, rounds: int, epoch: int) -> ItemBatch:
        if what not in self._last or self._last[what][0] != number:
            rng = generator(self._seed, what, number)
            drawn = _seed_of(rng)
            kept = list(self._kept(number)) if what == "panel" else []
            items, marked = (
                (kept, self._marker.mark(kept, epoch))
                if kept
                else self._askable(self.pools.drawn(drawn, count), epoch)
            )
            columns: tuple[tuple[int, ...], ...] = ()
            if rounds:
                # In a random order over all tasks at once: what a race promises depends on it.
                cut = np.array_split(rng.permutation(len(items)), rounds)
                columns = tuple(tuple(part.tolist()) for part in cut if len(part))
            by_round = tuple(
                self._marker.mark([items[column] for column in part], epoch).prepared
                for part in columns
            )
            self._last[what] = (number, ItemBatch(items, marked, columns, by_round))
        return self._last[what][1]

    def _askable(self, items: list[Item], epoch: int) -> tuple[list[Item], ScoredItems]:
        """The items without those that cannot be asked: no single one may stop a campaign.

        Raises:
            CampaignError: none can be asked; says why.
        """
        try:
            return items, self._marker.mark(items, epoch)
        except Interrupted:
            raise
        except ITEM_FAILURES as error:
            left = self._sifted(items, epoch)
            if not left:
                raise CampaignError(
                    f"none of {len(items)} items can be asked: {one_line(error)}"
                ) from None
        return left, self._marker.mark(left, epoch)

    def _sifted(self, items: Sequence[Item], epoch: int) -> list[Item]:
        """The items that can be asked, found out one by one."""
        left = []
        for item in items:
            try:
                self._marker.mark([item], epoch)
            except Interrupted:
                raise
            except ITEM_FAILURES as error:
                self._failures.add(f"item {item.id} is left out: {one_line(error)}")
            else:
                left.append(item)
        return left


def dealing_pools(tasks: Sequence[Task], seed: int, config: Config) -> Pools:
    """The pools that a campaign deals from."""
    search = config.search
    return pools_of(
        tasks,
        seed,
        Wanted(
            panel=search.panel,
            hidden=round(HIDDEN * config.arena.items),
            examined=search.panel if search.merit == "jury" else 0,
        ),
    )


def _seed_of(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 31))
