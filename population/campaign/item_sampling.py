"""Samples items: for offspring, for the panel, for the arena; keyed by the seed, prepared once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from arena.matches.items import HIDDEN
from arena.tasks import Task
from arena.tasks.pools import Pools, ReservedItems, distinct_items, pools_of
from arena.tasks.sampling import evaluations_each
from lineage.records import Answer, Item, Juror, Label
from lineage.task_weights import EQUAL, TaskWeights
from population.campaign.scorer import AnsweredItems, Scorer
from population.config import Config, Search
from population.errors import CampaignError, Interrupted
from population.evaluation.batching import PreparedItems
from population.failures import ITEM_FAILURES, FailureLog, one_line
from population.randomness import generator


@dataclass(frozen=True)
class ItemBatch:
    """Search items that were sampled for one use.

    Attributes:
        items: task by task.
        answered: all of them, with the answers that count.
        rounds: columns in a random order, cut into the rounds of a race.
        by_round: the items of each round, prepared.
    """

    items: list[Item]
    answered: AnsweredItems
    rounds: tuple[tuple[int, ...], ...] = ()
    by_round: tuple[PreparedItems, ...] = ()

    @property
    def prepared(self) -> PreparedItems:
        """All of them, for models that are not of the jury."""
        return self.answered.prepared


class ItemSampler:
    """Samples the items of offspring and of panels.

    Args:
        seed: the campaign's.
        search: how many are sampled.
        pools: what they are sampled from.
        scorer: says which answers to them count.
        stored_panel: the panel of an epoch that has begun, as it was sampled; nothing before. An
            epoch keeps its panel though a later version of colony, or of a task, would sample
            another.
        failures: told of items that cannot be asked, which are left out.
    """

    def __init__(
        self,
        seed: int,
        search: Search,
        pools: Pools,
        scorer: Scorer,
        stored_panel: Callable[[int], Sequence[Item]] = lambda epoch: (),
        failures: FailureLog | None = None,
    ) -> None:
        self._seed, self._search = seed, search
        self.pools, self._tasks = pools, [pool.task for pool in pools.pools]
        self._scorer, self._stored_panel = scorer, stored_panel
        self._failures = failures or FailureLog()
        # Of each kind only the newest is kept.
        self._batches: dict[str, tuple[int, ItemBatch]] = {}
        self._answered_selection: dict[int, AnsweredItems] = {}
        self._arena_only: dict[int, list[Item]] = {}

    def max_questions(self, count: int) -> int:
        """How many questions are asked at most where `count` items are sampled."""
        each = self.pools.weights.items_of_each(count, [task.name for task in self._tasks])
        evaluations = sum(each[task.name] * evaluations_each(task) for task in self._tasks)
        return self._scorer.questions * evaluations

    def epoch_of(self, generation: int) -> int:
        """The epoch that a generation belongs to; each has a panel."""
        return generation // self._search.rotate

    def offspring(self, generation: int) -> ItemBatch:
        """The fresh items that the offspring of a generation are scored on."""
        epoch = self.epoch_of(generation)
        return self._sample("brood", generation, self._search.items, 0, epoch)

    def panel(self, epoch: int) -> ItemBatch:
        """The items that the living of an epoch are compared on."""
        return self._sample("panel", epoch, self._search.panel, self._search.rounds, epoch)

    def arena_only(self, epoch: int) -> list[Item]:
        """Items for the arena of an epoch that nobody is bred on, as far as there are any."""
        if epoch not in self._arena_only:
            seed = _seed_of(generator(self._seed, "arena", epoch))
            items = self.pools.unseen(seed, self._search.panel)
            if items and self._search.merit == "keys":
                items = self._askable_items(items, epoch)
            self._arena_only = {epoch: items}
        return self._arena_only[epoch]

    def sample_for(self, purpose: str, count: int) -> list[Item]:
        """Items for another use, the same whenever they are sampled; with keys if those count."""
        items = self.pools.drawn(_seed_of(generator(self._seed, purpose)), count)
        if self._search.merit == "keys":
            return self._askable(items, 0)[0]
        return [replace(item, key=None) for item in items]

    def jury(self, epoch: int) -> tuple[Juror, ...]:
        """The models whose answers stand for keys in an epoch."""
        return self._scorer.jury(epoch)

    def jury_answers(self, epoch: int) -> tuple[Answer, ...]:
        """The answers of an epoch's jury to its panel and to the selection items."""
        items = [*self.panel(epoch).items, *self.selection(epoch)]
        return self._scorer.jury_answers(items, epoch)

    def labels(self, epoch: int) -> tuple[Sequence[Item], tuple[Label, ...]]:
        """The labels that the colony made for itself in an epoch, and their items."""
        return self._scorer.labels(epoch)

    def cost_of_epoch(self, before: int) -> int:
        """Item evaluations that it takes to get answers for the epoch after another one."""
        return self._scorer.cost_of_epoch(before)

    def teaching(self, generation: int) -> Sequence[Item]:
        """Search items with the keys that gradients may use, or what stands for them."""
        return self._scorer.teaching(self.epoch_of(generation))

    def selection(self, epoch: int) -> list[Item]:
        """The selection items of an epoch."""
        scorable = self._scorer.scorable("selection", epoch)
        return self._all_selection if scorable is None else list(scorable)

    @cached_property
    def _all_selection(self) -> list[Item]:
        """The selection items; as many as a panel has where a jury has to answer them first."""
        by_jury = self._search.merit == "jury"
        names = [task.name for task in self._tasks]
        most = self.pools.weights.items_of_each(self._search.panel, names) if by_jury else {}
        items = distinct_items(
            item
            for task in self._tasks
            for item in task.items("selection", limit=most.get(task.name))
        )
        # A jury is seated before it is asked; keys can be looked at now.
        return items if by_jury else self._askable(items, 0)[0]

    def answered_selection(self, epoch: int) -> AnsweredItems:
        """The selection items with the answers that count on them in an epoch."""
        if epoch not in self._answered_selection:
            self._answered_selection = {epoch: self._scorer.prepare(self.selection(epoch), epoch)}
        return self._answered_selection[epoch]

    def _drawn(self, seed: int, count: int, epoch: int) -> list[Item]:
        """Search items to score models on, by the tasks' weights, as far as there are."""
        scorable = self._scorer.scorable("search", epoch)
        return (
            self.pools.drawn(seed, count)
            if scorable is None
            else some(scorable, seed, count, self.pools.weights)
        )

    def _sample(self, kind: str, number: int, count: int, rounds: int, epoch: int) -> ItemBatch:
        if kind not in self._batches or self._batches[kind][0] != number:
            rng = generator(self._seed, kind, number)
            seed = _seed_of(rng)
            stored = list(self._stored_panel(number)) if kind == "panel" else []
            items, answered = (
                (stored, self._scorer.prepare(stored, epoch))
                if stored
                else self._askable(self._drawn(seed, count, epoch), epoch)
            )
            columns: tuple[tuple[int, ...], ...] = ()
            if rounds:
                # In a random order over all tasks at once: what a race promises depends on it.
                cut = np.array_split(rng.permutation(len(items)), rounds)
                columns = tuple(tuple(part.tolist()) for part in cut if len(part))
            by_round = tuple(
                self._scorer.prepare([items[column] for column in part], epoch).prepared
                for part in columns
            )
            self._batches[kind] = (number, ItemBatch(items, answered, columns, by_round))
        return self._batches[kind][1]

    def _askable(self, items: list[Item], epoch: int) -> tuple[list[Item], AnsweredItems]:
        """The items without those that cannot be asked: no single one may stop a campaign.

        Raises:
            CampaignError: none can be asked; says why.
        """
        try:
            return items, self._scorer.prepare(items, epoch)
        except Interrupted:
            raise
        except ITEM_FAILURES as error:
            askable = self._askable_items(items, epoch)
            if not askable:
                raise CampaignError(
                    f"none of {len(items)} items can be asked: {one_line(error)}"
                ) from None
        return askable, self._scorer.prepare(askable, epoch)

    def _askable_items(self, items: Sequence[Item], epoch: int) -> list[Item]:
        """The items that can be asked, tried one by one."""
        askable = []
        for item in items:
            try:
                self._scorer.prepare([item], epoch)
            except Interrupted:
                raise
            except ITEM_FAILURES as error:
                self._failures.add(f"item {item.id} is left out: {one_line(error)}")
            else:
                askable.append(item)
        return askable


def some(items: Sequence[Item], seed: int, count: int, weights: TaskWeights = EQUAL) -> list[Item]:
    """About `count` of some items, in proportion to their tasks' weights, as far as there are."""
    by_task: dict[str, list[Item]] = {}
    for item in items:
        by_task.setdefault(item.task, []).append(item)
    each = weights.items_of_each(count, by_task)
    chosen = []
    for task, own in by_task.items():
        rows = generator(seed, "some", task).permutation(len(own))[: each[task]]
        chosen += [own[row] for row in rows]
    return chosen


def item_pools(tasks: Sequence[Task], seed: int, config: Config) -> Pools:
    """The pools that a campaign samples its items from.

    Args:
        tasks: of the campaign.
        seed: the campaign's.
        config: how many items are needed.
    """
    search = config.search
    return pools_of(
        tasks,
        seed,
        ReservedItems(
            panel=search.panel,
            hidden=round(HIDDEN * config.arena.items),
            examined=search.panel if search.merit == "jury" and not config.by_labels else 0,
        ),
        config.tasks.task_weights,
    )


def _seed_of(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 31))
