"""Pools of search items: sampled without duplicates, with some reserved for the arena and the jury.

A task with a generator has as many items as needed, and no two draws share one. A task that is a
list has a fixed number: every draw for breeding comes from the same items. Items that are used
nowhere but in the arena, or whose keys only the examination of a jury looks at, have to be reserved
there, and only a list that is long enough can spare them. From a shorter one nothing is reserved,
and `shortages` says so.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from arena.tasks import Task
from lineage.records import Item
from lineage.task_weights import EQUAL, TaskWeights

PROBES = (1, 2)
"""Seeds that tell whether a task makes items or samples them from a list."""


@dataclass(frozen=True)
class ReservedItems:
    """Numbers of search items that uses of their own take, over all tasks.

    Attributes:
        panel: items that the living are compared on.
        hidden: items that are used nowhere but in the arena.
        examined: items whose keys decide who may be a juror; 0 without a jury.
    """

    panel: int
    hidden: int
    examined: int = 0


@dataclass(frozen=True)
class Pool:
    """The search items of one task.

    Attributes:
        task: that they belong to.
        listed: all of them where the task is a list; None where it makes them for a seed.
        hidden: those that are reserved for the arena.
        examined: those that are reserved for examinations of the jury.
    """

    task: Task
    listed: tuple[Item, ...] | None = None
    hidden: tuple[Item, ...] = ()
    examined: tuple[Item, ...] = ()

    def drawn(self, seed: int, count: int) -> list[Item]:
        """Items to breed on: `count` different ones, or all that there are.

        Args:
            seed: of the draw.
            count: number of items.
        """
        reserved = {item.id for item in (*self.hidden, *self.examined)}
        drawn = self.task.items("search", seed, count + len(reserved))
        return distinct_items(item for item in drawn if item.id not in reserved)[:count]

    def unseen(self, seed: int, count: int) -> list[Item]:
        """Items that are used nowhere but in the arena; none where none are reserved."""
        if self.listed is None:
            return self.drawn(seed, count)
        return list(self.hidden[:count])

    def examination(self, seed: int, count: int) -> list[Item]:
        """Items for examinations of the jury; those of breeding where none are reserved."""
        return list(self.examined[:count]) or self.drawn(seed, count)


@dataclass(frozen=True)
class Pools:
    """The search items of all tasks. Counts are over all tasks, in proportion to their weights.

    Attributes:
        pools: one for each task.
        shortages: messages about lists that are too short to reserve items.
        weights: of the tasks.
    """

    pools: tuple[Pool, ...]
    shortages: tuple[str, ...] = ()
    weights: TaskWeights = EQUAL

    def drawn(self, seed: int, count: int) -> list[Item]:
        """Items to breed on, task by task."""
        return [item for pool, each in self._of_each(count) for item in pool.drawn(seed, each)]

    def unseen(self, seed: int, count: int) -> list[Item]:
        """Items that are used nowhere but in the arena, task by task, as far as there are any."""
        return [item for pool, each in self._of_each(count) for item in pool.unseen(seed, each)]

    def examination(self, seed: int, count: int) -> list[Item]:
        """Items for examinations of the jury, task by task."""
        each_of = self._of_each(count)
        return [item for pool, each in each_of for item in pool.examination(seed, each)]

    def unasked(self, seed: int, count: int, asked: frozenset[str]) -> list[Item]:
        """Items for one more use, first those of each task that were never asked.

        Args:
            seed: of the draw.
            count: number of items.
            asked: ids of items that were asked before.
        """
        items: list[Item] = []
        for pool, each in self._of_each(count):
            every = each if pool.listed is None else len(pool.listed)
            drawn = distinct_items(pool.task.items("search", seed, every))
            items += sorted(drawn, key=lambda item: item.id in asked)[:each]
        return items

    def hidden(self) -> frozenset[str]:
        """Ids of the items of lists that are reserved for the arena."""
        return frozenset(item.id for pool in self.pools for item in pool.hidden)

    def is_made(self, task: str) -> bool:
        """Whether a task makes its items, so that every draw is of others."""
        return any(pool.listed is None for pool in self.pools if pool.task.name == task)

    def _of_each(self, count: int) -> list[tuple[Pool, int]]:
        """Each pool with its part of a number of items."""
        each = self.weights.items_of_each(count, [pool.task.name for pool in self.pools])
        return [(pool, each[pool.task.name]) for pool in self.pools]


def pools_of(
    tasks: Sequence[Task], seed: int, wanted: ReservedItems, weights: TaskWeights = EQUAL
) -> Pools:
    """The pools of a campaign.

    Args:
        tasks: all of them.
        seed: of the choice of reserved items.
        wanted: numbers of items that uses of their own take.
        weights: of the tasks.
    """
    names = [task.name for task in tasks]
    panels = weights.items_of_each(wanted.panel, names)
    examinations = weights.items_of_each(wanted.examined, names)
    hidden = -(-wanted.hidden // len(tasks))
    largest = max(panels.values(), default=0)
    most_examined = max(examinations.values(), default=0)
    pools, short, unexamined = [], [], []
    for task in tasks:
        listed = _listed(task)
        if listed is None:
            pools.append(Pool(task))
            continue
        panel = panels[task.name]
        examined = examinations[task.name] if wanted.examined else 0
        order = random.Random(f"kept back/{task.name}/{seed}").sample(listed, len(listed))
        for_arena = hidden if len(order) >= panel + hidden else 0
        room = len(order) - panel - for_arena
        for_jury = examined if room >= examined else 0
        if for_arena < hidden:
            short.append(f"{task.name} has {len(order):,}")
        if for_jury < examined:
            unexamined.append(f"{task.name} has {len(order):,}")
        pools.append(
            Pool(
                task,
                tuple(listed),
                tuple(order[:for_arena]),
                tuple(order[for_arena : for_arena + for_jury]),
            )
        )
    shortages = []
    if short:
        shortages.append(
            f"of these tasks no search items are kept back for the arena, which takes "
            f"{largest + hidden:,} of each: {_some(short)}; it asks what breeding asks too"
        )
    if unexamined:
        shortages.append(
            f"of these tasks no search items are kept back to examine the jury on, which takes "
            f"{largest + hidden + most_examined:,} of each: {_some(unexamined)}; it is examined on "
            "what breeding asks too"
        )
    return Pools(tuple(pools), tuple(shortages), weights)


def distinct_items(items: Iterable[Item]) -> list[Item]:
    """The items in their order, each id once."""
    first: dict[str, Item] = {}
    for item in items:
        first.setdefault(item.id, item)
    return list(first.values())


def _listed(task: Task) -> list[Item] | None:
    """All search items of a task that draws from a list; None if it makes them."""
    whole = distinct_items(task.items("search"))
    by_id = {item.id: item for item in whole}
    drawn = [item for probe in PROBES for item in task.items("search", probe, 2)]
    return whole if all(by_id.get(item.id) == item for item in drawn) else None


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
