"""The legacies of a whole archive, with the rows of whoever is named in them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lineage.ancestry.line_survival import (
    Diversity,
    FounderLine,
    FounderSurvival,
    LostLine,
    diversity,
    founder_lines,
    fruitful,
    lost_lines,
)
from lineage.archive.archive import Archive
from lineage.queries.lifespans import Cause, causes_of_death, lives_of
from lineage.records import Model


@dataclass(frozen=True)
class LineSurvival:
    """What became of everybody.

    Attributes:
        diversity: of the living.
        fruitful: the offspring that the living descend from most, the most first.
        founders: the lines of all founders, the strongest first.
        lost: the lines of offspring that died, the greatest first.
        causes: of all deaths, the most frequent first.
        models: the rows of all whom the others name, by id.
    """

    diversity: Diversity
    fruitful: list[FounderSurvival]
    founders: list[FounderLine]
    lost: list[LostLine]
    causes: list[Cause]
    models: Mapping[int, Model]


def legacies_of(
    archive: Archive, most: int, told: Callable[[int, int], None] | None = None
) -> LineSurvival:
    """What became of everybody in an archive.

    Args:
        archive: whose.
        most: so many rows of what there may be many of.
        told: hears (done, total) while the kinship of the living is computed.
    """
    descent = archive.ancestry()
    lives = lives_of(archive, descent.newest)
    latest = archive.latest()
    last = latest.generation if latest else 0
    best = fruitful(descent, lives.living, most)
    founders = founder_lines(descent, lives, last)
    lost = lost_lines(descent, lives, most)
    named = {one.model for one in best} | {one.head for one in lost}
    named |= {line.founder for line in founders}
    named |= {model for line in founders for model in line.last}
    named |= {model for line in lost for model in line.last}
    return LineSurvival(
        diversity(descent, lives.living, told),
        best,
        founders,
        lost,
        causes_of_death(archive),
        {model.id: model for model in archive.models(ids=named)},
    )
