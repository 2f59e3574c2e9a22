"""Intervals: how sure a mean over tasks is, given the items that happened to be asked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lineage.records import Floats

RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ±{(self.high - self.low) / 2:.3f}"


def scores_by_task(scores: Floats, tasks: Sequence[str]) -> dict[str, Floats]:
    """The scores of each task's items, in the order of the tasks: shape (its items,) each."""
    names = np.array(tasks)
    return {task: scores[names == task] for task in dict.fromkeys(tasks)}


def mean_over_tasks(scores: Floats, tasks: Sequence[str]) -> Interval:
    """The mean over tasks of the mean over a task's items, with a bootstrap interval.

    Items are resampled within their task, as tasks are fixed and items are drawn. For the
    difference of two models pass the differences of their scores: the pairing narrows it.

    Args:
        scores: shape (items,), in [0, 1] or differences of such.
        tasks: the task of each item.
    """
    rng = np.random.default_rng(0)
    means, resampled = [], np.zeros(RESAMPLES)
    for _, own in sorted(scores_by_task(scores, tasks).items()):
        means.append(own.mean())
        resampled += own[rng.integers(len(own), size=(RESAMPLES, len(own)))].mean(axis=1)
    low, high = np.quantile(resampled / len(means), [0.025, 0.975])
    return Interval(float(np.mean(means)), float(low), float(high))


def mean_by_task(scores: Floats, tasks: Sequence[str]) -> dict[str, Interval]:
    """The mean over each task's items, with the interval over these; see `mean_over_tasks`."""
    parts = scores_by_task(scores, tasks)
    return {task: mean_over_tasks(own, [task] * len(own)) for task, own in parts.items()}
