"""Two models side by side, or a child between its parents: computed in a thread."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lineage.ancestry.relations import Relation, relation
from tui.app.data.snapshot import Snapshot

if TYPE_CHECKING:
    from lineage import Archive
    from population.analysis.difference import Difference

MOST = 5_000
"""Ancestors of either model up to which kinship is computed; it takes a second for so many."""


@dataclass(frozen=True)
class ModelComparison:
    """Models side by side.

    Attributes:
        difference: of their recipes, blocks and scores.
        child: the index of the child among them; None if none is.
        relation: of the two models; None where they have more than `MOST` ancestors.
    """

    difference: "Difference"
    child: int | None
    relation: Relation | None

    @property
    def middle(self) -> int:
        """The index of the model that the others are compared with: the child, or the first."""
        return 0 if self.child is None else self.child

    def swapped(self) -> "ModelComparison":
        """The same with its sides in the opposite order."""
        last = len(self.difference.sides) - 1
        difference = replace(self.difference, sides=self.difference.sides[::-1])
        return replace(
            self, difference=difference, child=None if self.child is None else last - self.child
        )


def compare_models(
    archive: "Archive", snapshot: Snapshot, one: int, two: int | None
) -> ModelComparison:
    """Compare a model with another, or with its parents.

    Args:
        archive: holds them.
        snapshot: knows their ancestry.
        one: id of the model.
        two: id of the other; None for the parents of `one`.
    """
    from population.analysis.difference import difference, models_to_compare  # noqa: PLC0415 - when first asked

    rows = {row.id: row for row in archive.models(ids=[one] if two is None else [one, two])}
    models, child = models_to_compare(archive, rows[one], None if two is None else rows[two])
    pair = (models[0].id, models[-1].id) if two is None else (one, two)
    few = all(len(snapshot.ancestry.ancestors(model)) <= MOST for model in pair)
    kin = relation(snapshot.ancestry, *pair) if few else None
    return ModelComparison(difference(archive, models), child, kin)
