"""Which items a round is played on, which keys it may look at, and who is asked how much."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from arena.tasks import items_per_task
from arena.tasks.pools import distinct_items
from lineage.records import Floats, Item

HIDDEN = 0.25
"""Part of the items that nothing else ever asks, so that nobody is bred to them."""

RUNGS = (0.25, 0.5, 1.0)
"""Newcomers answer so much of the panel; after each rung the hopeless are let go."""

HOPELESS = 0.05
"""Let go is who is among the better half with a smaller probability."""


@dataclass(frozen=True)
class RoundItems:
    """The items of a round.

    Attributes:
        items: in the order they are asked: any first part of them is of all tasks alike.
        checkable: ids of those whose keys may be looked at: by the verifier, and to tell good
            judges from bad ones.
    """

    items: tuple[Item, ...]
    checkable: frozenset[str]

    def rungs(self) -> list[int]:
        """How many items have been asked after each rung."""
        return sorted({max(1, round(part * len(self.items))) for part in RUNGS})


def round_items(
    known: Sequence[Item], fresh: Sequence[Item], count: int, checkable: float
) -> RoundItems:
    """A panel of about `count` items, as many of each task as of any other.

    Args:
        known: items that contestants were scored on anyhow, which saves asking who solved them.
        fresh: items that were not; a part `HIDDEN` of the panel is made of them, as far as there
            are any. What is known already is not fresh, and nothing is asked twice.
        count: items in all.
        checkable: the part of the items whose keys may be looked at, as far as they have any.
    """
    known = distinct_items(known)
    taken_already = {item.id for item in known}
    fresh = [item for item in distinct_items(fresh) if item.id not in taken_already]
    tasks = list(dict.fromkeys(item.task for item in (*known, *fresh)))
    each = items_per_task(count, max(1, len(tasks)))
    old, new = _in_turn(known, tasks), _in_turn(fresh, tasks)
    hidden = min(round(HIDDEN * each * len(tasks)), len(new))
    cut = each * len(tasks) - hidden
    taken = old[:cut]
    # The hidden ones go to the tasks that the others leave with fewest; where a task has none, it
    # is asked more of what is known.
    short = {task: each - sum(item.task == task for item in taken) for task in tasks}
    for item in (*new, *old[cut:]):
        if short[item.task] > 0:
            short[item.task] -= 1
            taken.append(item)
    ordered = _in_turn(taken, tasks)
    keyed = [item.id for item in ordered if item.key is not None]
    wanted = round(checkable * len(ordered))
    # Every second one, and the other half first in the next turn, so that no task is left out.
    alternating = sorted(
        range(len(keyed)), key=lambda place: ((place + place // max(1, len(tasks))) % 2, place)
    )
    return RoundItems(tuple(ordered), frozenset(keyed[place] for place in alternating[:wanted]))


def hopeless(strength: Floats, deviation: Floats) -> Floats:
    """Who will hardly turn out to be of the better half, shape (contestants,), true or false."""
    median = np.median(strength)
    return np.asarray(norm.sf(median, strength, np.maximum(deviation, 1e-9)) < HOPELESS)


def _in_turn(items: Sequence[Item], tasks: Sequence[str]) -> list[Item]:
    """The first item of every task, then the second of every task, and so on."""
    of = {task: [item for item in items if item.task == task] for task in tasks}
    turns = max((len(own) for own in of.values()), default=0)
    return [of[task][turn] for turn in range(turns) for task in tasks if turn < len(of[task])]
