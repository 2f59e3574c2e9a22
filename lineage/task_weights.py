"""How much each task counts in a mean over tasks: the one place where such means are weighted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lineage.records import Floats


@dataclass(frozen=True)
class TaskWeights:
    """Weights of tasks, of which only the ratios count.

    Attributes:
        by_name: positive weights; a task that is not named has 1.
    """

    by_name: Mapping[str, float] = field(default_factory=dict)

    def of(self, task: str) -> float:
        """The weight of a task."""
        return float(self.by_name.get(task, 1.0))

    def shares(self, tasks: Iterable[str]) -> dict[str, float]:
        """The part that each of some different tasks has in a mean over them; they add up to 1.

        >>> TaskWeights({"sum": 3.0}).shares(["sum", "sort"])
        {'sum': 0.75, 'sort': 0.25}
        """
        weights = {task: self.of(task) for task in tasks}
        total = sum(weights.values())
        return {task: weight / total for task, weight in weights.items()}

    def of_items(self, tasks: Sequence[str]) -> Floats:
        """The weight of each item in the mean over tasks of means over a task's items.

        Args:
            tasks: the task of each item.

        Returns:
            Shape (items,); the sum is 1.
        """
        count = {name: tasks.count(name) for name in set(tasks)}
        if not self.by_name:
            return np.array([1.0 / (len(count) * count[task]) for task in tasks])
        shares = self.shares(sorted(count))
        return np.array([shares[task] / count[task] for task in tasks])

    def mean(self, scores: Mapping[str, float]) -> float:
        """The mean of scores by task.

        >>> TaskWeights({"sum": 3.0}).mean({"sum": 1.0, "sort": 0.0})
        0.75
        """
        weights = [self.of(task) for task in scores] if self.by_name else None
        return float(np.average(list(scores.values()), weights=weights))

    def items_of_each(self, count: int, tasks: Iterable[str]) -> dict[str, int]:
        """Numbers of items by task that make about `count` in all, in proportion; at least one.

        >>> TaskWeights({"sum": 2.0}).items_of_each(30, ["sum", "sort"])
        {'sum': 20, 'sort': 10}
        """
        names = list(tasks)
        if not self.by_name:
            return dict.fromkeys(names, max(1, round(count / max(1, len(names)))))
        return {name: max(1, round(count * part)) for name, part in self.shares(names).items()}

    def told(self) -> str:
        """The weights in words; empty where all tasks count the same.

        >>> TaskWeights({"sum": 3.0, "sort": 0.5}).told()
        'sort 0.5, sum 3'
        """
        return ", ".join(f"{name} {weight:g}" for name, weight in sorted(self.by_name.items()))


EQUAL = TaskWeights()
"""All tasks count the same."""


def weights_of(config: Mapping[str, Any]) -> TaskWeights:
    """The weights in a campaign's configuration, as an archive stores it."""
    tasks = config.get("tasks")
    given = tasks.get("weights") if isinstance(tasks, Mapping) else None
    return TaskWeights(dict(given)) if given else EQUAL
