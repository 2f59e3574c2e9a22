"""The items of a round, which of them are checkable, and the rungs that newcomers climb."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from arena.tasks import items_per_task
from arena.tasks.pools import distinct_items
from lineage.records import Floats, Item

HIDDEN = 0.25
"""Fraction of items that are used nowhere but in the arena, so that no model is bred to them."""

RUNGS = (0.25, 0.5, 1.0)
"""Fractions of the panel that newcomers answer; after each rung the hopeless stop."""

HOPELESS = 0.05
"""A contestant with a smaller probability of being in the better half stops."""


@dataclass(frozen=True)
class RoundItems:
    """The items of a round.

    Attributes:
        items: in the order they are asked, alternating between tasks.
        checkable: ids of those whose keys may be looked at, by the verifier and to measure judges.
    """

    items: tuple[Item, ...]
    checkable: frozenset[str]

    def rungs(self) -> list[int]:
        """Numbers of items that have been asked after each rung."""
        return sorted({max(1, round(part * len(self.items))) for part in RUNGS})


def round_items(
    known: Sequence[Item], fresh: Sequence[Item], count: int, checkable: float
) -> RoundItems:
    """Choose about `count` items for a round, equally many of each task.

    Args:
        known: items that contestants were scored on anyway; those who solved them need not be
            asked again.
        fresh: other items; a fraction `HIDDEN` of the round is made of them, as far as there are
            any.
        count: number of items in all.
        checkable: the fraction of the items whose keys may be looked at, as far as they have any.
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
    """Whether each contestant is in the better half with a probability below `HOPELESS`.

    Args:
        strength: shape `[contestants]`, in logits.
        deviation: shape `[contestants]`, standard errors in logits.

    Returns:
        Shape `[contestants]`, boolean.
    """
    median = np.median(strength)
    return np.asarray(norm.sf(median, strength, np.maximum(deviation, 1e-9)) < HOPELESS)


def _in_turn(items: Sequence[Item], tasks: Sequence[str]) -> list[Item]:
    """The first item of every task, then the second of every task, and so on."""
    of = {task: [item for item in items if item.task == task] for task in tasks}
    turns = max((len(own) for own in of.values()), default=0)
    return [of[task][turn] for turn in range(turns) for task in tasks if turn < len(of[task])]
