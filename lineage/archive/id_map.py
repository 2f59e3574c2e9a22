"""New numbers for the models of an archive, as it becomes part of another."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lineage.archive.archive import Archive


@dataclass(frozen=True)
class ModelOrigin:
    """One of the two archives, and the new numbers of its models."""

    schema: str
    founders: dict[int, int]
    """New ids of its founders by the old ones, ascending."""
    before: int
    """The new id before that of its first offspring."""
    genome: str
    """An expression for a genome over the founders of both."""

    def new(self, column: str) -> str:
        """An expression for the new id of an old one."""
        old, new = list(self.founders), list(self.founders.values())
        # Most founders were there before all offspring, others came later.
        first = next((i for i, model in enumerate(old) if model != i + 1), len(old))
        later = "".join(f" - ({column} > {model})::INTEGER" for model in old[first:])
        return (
            f"CASE WHEN {column} IN {old} THEN {new}[list_position({old}, {column})] "
            f"ELSE {column} + {self.before - first}{later} END"
        )

    def renumbered(self, model: int) -> int:
        """The same of a number."""
        earlier = sum(founder < model for founder in self.founders)
        return self.founders.get(model, model - earlier + self.before)

    def in_words(self, words: str) -> str:
        """Words with the models' new numbers."""
        return re.sub(r"#(\d{1,9})\b", lambda found: f"#{self.renumbered(int(found[1]))}", words)


def founders_of(archive: Archive) -> dict[int, str]:
    """The hashes of an archive's founders, by id."""
    rows = archive.models(ids=archive.founder_paths())
    return {model.id: model.weights_sha256 for model in rows}


def side_of(
    schema: str, archive: Archive, union: Sequence[str], before: int, blocks: int
) -> ModelOrigin:
    """How an archive's models and genomes are told in a union.

    Args:
        schema: the name that it is attached under.
        archive: which.
        union: hashes of the founders of both.
        before: the new id before that of its first offspring.
        blocks: columns of a genome.
    """
    places = {model: union.index(sha) + 1 for model, sha in founders_of(archive).items()}
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
