"""Approval: of the answers to an item one becomes its label, and the surest labels are kept.

The answer of the surest speaker is the label, weighted by trust. Voting is not: models of one base
share their mistakes, and of nine founders who cannot do a skill most agree on what is wrong. Even
as a bonus to the surest answer, or as a veto against it, what others say made labels worse
(CHANGELOG.md, "Experiments worth remembering").

Of all labels the surest part is kept. Where few of a task's are among them, nobody can do the task:
what is sure there is sure and wrong, so all of its labels are dropped (abstention).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arena.labels.confident_answer import ConfidentAnswer
from lineage.records import Floats, Label, Trust

Booleans = npt.NDArray[np.bool_]


SLACK = 3.0
"""How many times less sure, in nats, than the least sure label of the founders an answer of a
champion may be. It is less sure of what follows from labels than a specialist is of its skill, and
as often right: of 768 answers of a champion, 482, 580, 627, 669 and 699 are as sure as that label
or down to 2, 3, 5 and 8 times less; 0.998, 0.995, 0.992, 0.978 and 0.951 of them are right."""


@dataclass(frozen=True)
class ApprovalRule:
    """Which labels are kept.

    Attributes:
        share: of the founders' labels, the surest.
        least: share of a task's labels below which the task has none. With `share` 1 all are kept.
    """

    share: float = 0.6
    least: float = 0.25


def relative_trust(record: Iterable[Trust]) -> dict[tuple[int, str], float]:
    """Trust by judge and task, from 0 to 1 for the most trusted one of a task.

    Where keys could tell, it is the posterior mean of a judge's reliability under a uniform prior
    (Laplace's rule) over that of the best. Who was never examined has no entry.

    Args:
        record: hits and misses, by mode, task and stratum.

    >>> known = [Trust(1, "consensus", "sum", "strangers", 8, 0),
    ...          Trust(2, "consensus", "sum", "strangers", 2, 6)]
    >>> {model: round(worth, 2) for (model, _), worth in relative_trust(known).items()}
    {1: 1.0, 2: 0.33}
    """
    counts: dict[tuple[int, str], tuple[float, float]] = {}
    for entry in record:
        hits, misses = counts.get((entry.judge, entry.task), (0.0, 0.0))
        counts[entry.judge, entry.task] = hits + entry.hits, misses + entry.misses
    mean = {key: (1.0 + hits) / (2.0 + hits + misses) for key, (hits, misses) in counts.items()}
    best: dict[str, float] = {}
    for (_, task), worth in mean.items():
        best[task] = max(worth, best.get(task, 0.0))
    return {(judge, task): worth / best[task] for (judge, task), worth in mean.items()}


def approved(
    answers: Sequence[ConfidentAnswer],
    trust: Mapping[tuple[int, str], float],
    rule: ApprovalRule,
) -> list[Label]:
    """A label for each item that somebody answered, and which of them are kept.

    Args:
        answers: of the speakers; one or more to an item.
        trust: by model and task, see `relative_trust`; 1 for whoever is not named.
        rule: which are kept.

    Returns:
        In the order of the items' first answers.
    """
    surest: dict[str, tuple[float, ConfidentAnswer]] = {}
    for answer in answers:
        certainty = answer.sureness * trust.get((answer.model, answer.task), 1.0)
        # Of equals the older model, whoever was heard first.
        rival = surest.get(answer.item)
        if rival is None or (certainty, -answer.model) > (rival[0], -rival[1].model):
            surest[answer.item] = certainty, answer
    kept = _kept(
        np.array([certainty for certainty, _ in surest.values()]),
        [answer.task for _, answer in surest.values()],
        rule,
    )
    return [
        Label(item, answer.text, answer.model, answer.confidence, kept=bool(keep))
        for (item, (_, answer)), keep in zip(surest.items(), kept, strict=True)
    ]


def renewed(
    labels: Sequence[Label],
    answers: Sequence[ConfidentAnswer],
    trust: Mapping[tuple[int, str], float],
    rule: ApprovalRule,
    level: float,
) -> list[Label]:
    """Labels after what was not kept was asked again; what was kept stays.

    Args:
        labels: of the epoch before, kept ones and others.
        answers: one at most to each item whose label was not kept.
        trust: by model and task, see `relative_trust`; 1 for whoever is not named.
        rule: which are kept.
        level: confidence of the least sure label that founders gave and that was kept, in nats.

    Returns:
        In the order of the labels.
    """
    by_item = {answer.item: answer for answer in answers}
    asked = [by_item[label.item] for label in labels if label.item in by_item]
    certainty = np.array(
        [answer.sureness * trust.get((answer.model, answer.task), 1.0) for answer in asked]
    )
    sure = certainty >= math.exp(SLACK * level)
    dropped = _poor_tasks(sure, [answer.task for answer in asked], rule.least)
    kept = {
        answer.item
        for answer, keep in zip(asked, sure, strict=True)
        if keep and answer.task not in dropped
    }
    return [
        label
        if (answer := by_item.get(label.item)) is None
        else Label(label.item, answer.text, answer.model, answer.confidence, label.item in kept)
        for label in labels
    ]


def _kept(certainty: Floats, tasks: Sequence[str], rule: ApprovalRule) -> Booleans:
    """Which labels are kept, shape (labels,)."""
    kept = np.zeros(len(certainty), dtype=bool)
    # Stable, so that of equals those of earlier items are kept.
    kept[np.argsort(-certainty, kind="stable")[: round(rule.share * len(certainty))]] = True
    kept &= certainty > 0.0
    if rule.share < 1.0:
        dropped = _poor_tasks(kept, tasks, rule.least)
        kept &= np.array([task not in dropped for task in tasks], dtype=bool)
    return kept


def _poor_tasks(kept: Booleans, tasks: Sequence[str], least: float) -> set[str]:
    """The tasks of which too few labels are kept."""
    names = np.array(tasks)
    return {task for task in set(tasks) if kept[names == task].mean() < least}
