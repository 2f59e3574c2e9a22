"""What a report makes of the labels of a colony without keys: an audit, and keys to choose by."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from arena.labels.audit import LabelAudit, audited
from arena.tasks.correctness import correctness
from lineage import Archive
from lineage.queries.labels import LabelledItem, labelled_items
from lineage.queries.studies import StudyRow, studies
from lineage.records import Item
from population.campaign.context import Context


@dataclass(frozen=True)
class OwnLabels:
    """The audit of a colony's own labels, and who learned them.

    Attributes:
        tasks: the audit by task.
        studies: who learned what from whom.
    """

    tasks: dict[str, LabelAudit]
    studies: tuple[StudyRow, ...] = ()

    def __str__(self) -> str:
        """One line: how many are kept, and how many of them are right as far as keys can tell."""
        labels, kept, checked, right = self._totals
        told = f"{right / checked:.3f} of the {checked:,} with a key are right" if checked else (
            "no item has a key to tell how many are right"
        )  # fmt: skip
        tasks = sum(audit.kept > 0 for audit in self.tasks.values())
        return f"{kept:,} of {labels:,} kept, of {tasks} of {len(self.tasks)} tasks; {told}"

    def as_json(self) -> dict[str, Any]:
        """The dictionary that `report --json` prints."""
        names = ("labels", "kept", "checked", "right")
        total = dict(zip(names, self._totals, strict=True))
        return {**total, "tasks": {task: vars(audit) for task, audit in self.tasks.items()}}

    @property
    def _totals(self) -> tuple[int, int, int, float]:
        every = list(self.tasks.values())
        return (
            sum(audit.labels for audit in every),
            sum(audit.kept for audit in every),
            sum(audit.checked for audit in every),
            sum(audit.right for audit in every),
        )


def own_labels(archive: Archive, context: Context) -> OwnLabels | None:
    """The audit of the newest labels; None for a colony that makes none."""
    tasks = {task.name: task for task in context.tasks}

    def right(one: LabelledItem) -> float:
        return correctness(tasks[one.item.task], one.item, one.label.answer) or 0.0

    found = [one for one in labelled_items(archive) if one.item.task in tasks]
    return OwnLabels(audited(found, right), tuple(studies(archive))) if found else None


def keyed_by_labels(archive: Archive, items: Sequence[Item]) -> list[Item]:
    """The items with the labels that are kept for keys, where they have none.

    Their ids name the label: what was measured on one is not taken for what is on the next.
    """
    kept = {one.item.id: one.label.answer for one in labelled_items(archive) if one.label.kept}
    return [
        replace(item, id=f"{item.id}={kept[item.id]}", key=kept[item.id])
        if item.key is None and item.id in kept
        else item
        for item in items
    ]
