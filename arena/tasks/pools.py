"""Where search items are drawn from: without duplicates, and with some kept back where that is due.

A task that makes items for a seed has as many as anybody wants, and no two draws share one. A task
that is a list has what it has: every draw for breeding comes from the same items. What is promised
of some items, that nothing else ever asks them (the arena) or looks at their keys (the examination
of a jury), can only be kept there by keeping items back, and only a list that is long enough can
spare them. From a shorter one nothing is kept back, and `shortages` says which promise is not made.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from arena.tasks import Task, each_of
from lineage.records import Item

PROBES = (1, 2)
"""Seeds that tell whether a task makes items or draws them from a list."""


@dataclass(frozen=True)
class Wanted:
    """How many search items uses of their own take, over all tasks.

    Attributes:
        panel: that the living are compared on.
        hidden: of an arena round, that nothing else asks.
        examined: whose keys tell who may sit in a jury; 0 where there is none.
    """

    panel: int
    hidden: int
    examined: int = 0


@dataclass(frozen=True)
class Pool:
    """The search items of one task.

    Attributes:
        task: whose.
        listed: all of them where they are a list; None where the task makes them for a seed.
        hidden: those that are kept back for the arena.
        examined: those that are kept back for examinations.
    """

    task: Task
    listed: tuple[Item, ...] | None = None
    hidden: tuple[Item, ...] = ()
    examined: tuple[Item, ...] = ()

    def drawn(self, seed: int, count: int) -> list[Item]:
        """Items to breed on: `count` different ones, or all that there are."""
        back = {item.id for item in (*self.hidden, *self.examined)}
        drawn = self.task.items("search", seed, count + len(back))
        return distinct(item for item in drawn if item.id not in back)[:count]

    def unseen(self, seed: int, count: int) -> list[Item]:
        """Items that nothing else asks; none where that cannot be promised."""
        if self.listed is None:
            return self.drawn(seed, count)
        return list(self.hidden[:count])

    def examination(self, seed: int, count: int) -> list[Item]:
        """Items for an examination; those that breeding asks as well where none are kept back."""
        return list(self.examined[:count]) or self.drawn(seed, count)


@dataclass(frozen=True)
class Pools:
    """The search items of all tasks. Counts are over all tasks, of each as many as of any other."""

    pools: tuple[Pool, ...]
    shortages: tuple[str, ...] = ()

    def drawn(self, seed: int, count: int) -> list[Item]:
        """Items to breed on, task by task."""
        return [item for pool in self.pools for item in pool.drawn(seed, self._each(count))]

    def unseen(self, seed: int, count: int) -> list[Item]:
        """Items that nothing else asks, task by task, as far as there are any."""
        return [item for pool in self.pools for item in pool.unseen(seed, self._each(count))]

    def examination(self, seed: int, count: int) -> list[Item]:
        """Items on which who may sit in a jury is examined, task by task."""
        return [item for pool in self.pools for item in pool.examination(seed, self._each(count))]

    def unasked(self, seed: int, count: int, asked: frozenset[str]) -> list[Item]:
        """Items for one more use, first those of each task that were never asked.

        Args:
            seed: of the draw.
            count: how many.
            asked: ids of items that were.
        """
        each = self._each(count)
        found: list[Item] = []
        for pool in self.pools:
            every = each if pool.listed is None else len(pool.listed)
            drawn = distinct(pool.task.items("search", seed, every))
            found += sorted(drawn, key=lambda item: item.id in asked)[:each]
        return found

    def hidden(self) -> frozenset[str]:
        """Ids of what lists keep back for the arena."""
        return frozenset(item.id for pool in self.pools for item in pool.hidden)

    def is_made(self, task: str) -> bool:
        """Whether a task makes its items, so that every draw is of others."""
        return any(pool.listed is None for pool in self.pools if pool.task.name == task)

    def _each(self, count: int) -> int:
        return each_of(count, len(self.pools))


def pools_of(tasks: Sequence[Task], seed: int, wanted: Wanted) -> Pools:
    """The pools of a campaign.

    Args:
        tasks: all of them.
        seed: of what is kept back.
        wanted: how many items uses of their own take.
    """
    panel, hidden = each_of(wanted.panel, len(tasks)), -(-wanted.hidden // len(tasks))
    examined = each_of(wanted.examined, len(tasks)) if wanted.examined else 0
    pools, short, unexamined = [], [], []
    for task in tasks:
        listed = _listed(task)
        if listed is None:
            pools.append(Pool(task))
            continue
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
    told = []
    if short:
        told.append(
            f"of these tasks no search items are kept back for the arena, which takes "
            f"{panel + hidden:,} of each: {_some(short)}; it asks what breeding asks too"
        )
    if unexamined:
        told.append(
            f"of these tasks no search items are kept back to examine the jury on, which takes "
            f"{panel + hidden + examined:,} of each: {_some(unexamined)}; it is examined on what "
            "breeding asks too"
        )
    return Pools(tuple(pools), tuple(told))


def distinct(items: Iterable[Item]) -> list[Item]:
    """The items, each id once, in their order."""
    first: dict[str, Item] = {}
    for item in items:
        first.setdefault(item.id, item)
    return list(first.values())


def _listed(task: Task) -> list[Item] | None:
    """All search items of a task that draws from a list; None if it makes them."""
    whole = distinct(task.items("search"))
    known = {item.id: item for item in whole}
    drawn = [item for probe in PROBES for item in task.items("search", probe, 2)]
    return whole if all(known.get(item.id) == item for item in drawn) else None


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
