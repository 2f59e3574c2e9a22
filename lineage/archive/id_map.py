"""New ids and genomes for the models of an archive that becomes part of a merged one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lineage.archive.archive import Archive


@dataclass(frozen=True)
class ModelOrigin:
    """One of the two archives that are merged, and the new ids of its models.

    Attributes:
        schema: the name that its database is attached under.
        founders: new ids of its founders by the old ones, ascending.
        before: the new id before that of its first offspring.
        genome: an SQL expression for a genome over the founders of both archives.
    """

    schema: str
    founders: dict[int, int]
    before: int
    genome: str

    def new(self, column: str) -> str:
        """An SQL expression for the new id of the old id in a column."""
        old, new = list(self.founders), list(self.founders.values())
        # Most founders were there before all offspring, others came later.
        first = next((i for i, model in enumerate(old) if model != i + 1), len(old))
        later = "".join(f" - ({column} > {model})::INTEGER" for model in old[first:])
        return (
            f"CASE WHEN {column} IN {old} THEN {new}[list_position({old}, {column})] "
            f"ELSE {column} + {self.before - first}{later} END"
        )

    def renumbered(self, model: int) -> int:
        """The new id of an old one.

        >>> origin = ModelOrigin("b", {1: 1, 2: 4}, before=10, genome="r.genome")
        >>> [origin.renumbered(model) for model in (1, 2, 3, 4)]
        [1, 4, 11, 12]
        """
        earlier = sum(founder < model for founder in self.founders)
        return self.founders.get(model, model - earlier + self.before)

    def in_words(self, words: str) -> str:
        """A text in which `#id` names models, with their new ids."""
        return re.sub(r"#(\d{1,9})\b", lambda match: f"#{self.renumbered(int(match[1]))}", words)


def origin_of(
    schema: str, archive: Archive, union: Sequence[str], before: int, blocks: int
) -> ModelOrigin:
    """How ids and genomes of an archive map to those of the merged one.

    Args:
        schema: the name that its database is attached under.
        archive: one of the two.
        union: hashes of the founders of both archives, in their new order.
        before: the new id before that of its first offspring.
        blocks: columns of a genome.
    """
    places = {model: union.index(sha) + 1 for model, sha in archive.founder_hashes().items()}
    if len(places) == len(union):
        return ModelOrigin(schema, places, before, "r.genome")
    rows = {places[founder]: number for number, founder in enumerate(archive.basis())}
    base = set(places.values()) - rows.keys()
    parts = [
        f"r.genome[{rows[place] * blocks + 1}:{(rows[place] + 1) * blocks}]"
        if place in rows
        else f"list_resize([]::DOUBLE[], {blocks}, 0.0)"
        for place in range(1, len(union) + 1)
        if place not in base
    ]
    return ModelOrigin(schema, places, before, f"flatten([{', '.join(parts)}])")
