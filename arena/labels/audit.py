"""The audit of labels: how many of them are right, where a key can tell. Nothing depends on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lineage.queries.labels import LabelledItem


@dataclass(frozen=True)
class LabelAudit:
    """What became of the labels of a task.

    Attributes:
        labels: how many there are.
        kept: how many are kept.
        checked: how many of those kept have a key.
        right: how many of those are right.
    """

    labels: int
    kept: int
    checked: int
    right: float


def audited(
    labelled: Sequence[LabelledItem], right: Callable[[LabelledItem], float]
) -> dict[str, LabelAudit]:
    """The audit of labels by task.

    Args:
        labelled: the labels, with tasks and keys.
        right: how right a label is whose item has a key, in [0, 1].
    """
    found = {}
    for task in dict.fromkeys(one.item.task for one in labelled):
        own = [one for one in labelled if one.item.task == task]
        kept = [one for one in own if one.label.kept]
        keyed = [one for one in kept if one.item.key is not None]
        found[task] = LabelAudit(len(own), len(kept), len(keyed), sum(map(right, keyed)))
    return found
