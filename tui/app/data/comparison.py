"""Two models side by side, or a child between its parents: asked for in a thread."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lineage.ancestry.relations import Relation, relation
from tui.app.data.snapshot import Snapshot

if TYPE_CHECKING:
    from lineage import Archive
    from population.analysis.difference import Difference

MOST = 5_000
"""Ancestors of either up to which kinship is worked out; it takes a second for so many."""


@dataclass(frozen=True)
class Compared:
    """Models side by side.

    Attributes:
        difference: what they are made of and what they can do.
        child: which of them is the child of the others, if one is.
        relation: how the two that were asked about are related; None where they have too many
            ancestors to work it out while somebody waits.
    """

    difference: "Difference"
    child: int | None
    relation: Relation | None

    @property
    def middle(self) -> int:
        """Which of them the others are compared with: the child, or the first."""
        return 0 if self.child is None else self.child

    def swapped(self) -> "Compared":
        """The same with its sides in the opposite order."""
        last = len(self.difference.sides) - 1
        difference = replace(self.difference, sides=self.difference.sides[::-1])
        return replace(
            self, difference=difference, child=None if self.child is None else last - self.child
        )


def compared(archive: "Archive", snapshot: Snapshot, one: int, two: int | None) -> Compared:
    """Put a model beside another, or beside its parents."""
    from population.analysis.difference import difference, models_to_compare  # noqa: PLC0415 - when first asked

    rows = {row.id: row for row in archive.models(ids=[one] if two is None else [one, two])}
    models, child = models_to_compare(archive, rows[one], None if two is None else rows[two])
    pair = (models[0].id, models[-1].id) if two is None else (one, two)
    few = all(len(snapshot.descent.ancestors(model)) <= MOST for model in pair)
    kin = relation(snapshot.descent, *pair) if few else None
    return Compared(difference(archive, models), child, kin)
