"""Bootstrap intervals of mean scores: how sure a mean over tasks is, given the items asked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lineage.records import Floats
from lineage.task_weights import EQUAL, TaskWeights

RESAMPLES = 2000
"""Bootstrap resamples of the items."""


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval.

    Attributes:
        mean: of the scores.
        low: lower end of the interval.
        high: upper end.
    """

    mean: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the width of the interval: what stands behind ± in tables."""
        return (self.high - self.low) / 2

    def __str__(self) -> str:
        return f"{self.mean:.3f} ±{self.half_width:.3f}"


def scores_by_task(scores: Floats, tasks: Sequence[str]) -> dict[str, Floats]:
    """The scores of each task's items, in the order in which tasks first appear.

    Args:
        scores: shape (items, ...).
        tasks: the task of each item.

    Returns:
        By task, an array of shape (items of the task, ...).

    >>> parts = scores_by_task(np.array([1.0, 0.0, 0.5]), ["sum", "sort", "sum"])
    >>> {task: part.tolist() for task, part in parts.items()}
    {'sum': [1.0, 0.5], 'sort': [0.0]}
    """
    names = np.array(tasks)
    return {task: scores[names == task] for task in dict.fromkeys(tasks)}


def mean_over_tasks(scores: Floats, tasks: Sequence[str], weights: TaskWeights = EQUAL) -> Interval:
    """The mean over tasks of the mean over a task's items, with a bootstrap interval.

    Items are resampled within their task, as tasks are fixed and items are drawn (percentile
    bootstrap: Efron 1979, Bootstrap methods: another look at the jackknife). For the
    difference of two models pass the differences of their scores: the pairing narrows it.

    Args:
        scores: shape (items,), in [0, 1] or differences of such.
        tasks: the task of each item, at least one.
        weights: of the tasks.

    >>> str(mean_over_tasks(np.array([1.0, 1.0, 0.0]), ["sum", "sum", "sort"]))
    '0.500 ±0.000'
    """
    rng = np.random.default_rng(0)
    means, resampled, total = {}, np.zeros(RESAMPLES), 0.0
    for task, task_scores in sorted(scores_by_task(scores, tasks).items()):
        weight = weights.of(task)
        means[task] = float(task_scores.mean())
        drawn = rng.integers(len(task_scores), size=(RESAMPLES, len(task_scores)))
        resampled += weight * task_scores[drawn].mean(axis=1)
        total += weight
    low, high = np.quantile(resampled / total, [0.025, 0.975])
    return Interval(weights.mean(means), float(low), float(high))


def mean_by_task(scores: Floats, tasks: Sequence[str]) -> dict[str, Interval]:
    """The mean over each task's items, with its interval; see `mean_over_tasks`.

    Args:
        scores: shape (items,).
        tasks: the task of each item.
    """
    parts = scores_by_task(scores, tasks)
    return {task: mean_over_tasks(own, [task] * len(own)) for task, own in parts.items()}
