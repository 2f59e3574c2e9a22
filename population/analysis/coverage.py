"""Coverage: what a population can do together, task by task.

For every task the living offspring that is best there is chosen on the selection split, and
measured on the task's items of the test split. Had it been chosen on test items, coverage would
be too high: the best of many is partly the luckiest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lineage.records import Floats
from population.evaluation.intervals import Interval, scores_by_task


@dataclass(frozen=True)
class BestOffspring:
    """The living offspring that was chosen for a task.

    Attributes:
        model: its id.
        test: its exact match on the task's items of the test split.
    """

    model: int
    test: float


@dataclass(frozen=True)
class Coverage:
    """The best living offspring of every task.

    Attributes:
        interval: the mean over tasks of what each has on the test split.
        tasks: the best offspring by task.
    """

    interval: Interval
    tasks: Mapping[str, BestOffspring]

    def as_json(self) -> dict[str, Any]:
        """The dictionary that `report --json` prints."""
        return {
            **vars(self.interval),
            "half_width": self.interval.half_width,
            "tasks": {task: vars(best) for task, best in self.tasks.items()},
        }


def best_of_each_task(scores: Floats, tasks: Sequence[str]) -> dict[str, int]:
    """The row with the best mean on each task; of equals the first.

    >>> best_of_each_task(np.array([[1.0, 0.0], [0.0, 1.0]]), ["sum", "sort"])
    {'sum': 0, 'sort': 1}

    Args:
        scores: shape [models, items].
        tasks: the task of each item.
    """
    means = [scores_by_task(row, tasks) for row in scores]
    return {
        task: int(np.argmax([round(float(own[task].mean()), 9) for own in means]))
        for task in dict.fromkeys(tasks)
    }
