"""Survival of lines in a whole archive, with the rows of all models that it names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lineage.ancestry.line_survival import (
    Contribution,
    Diversity,
    FounderLine,
    LostLine,
    diversity,
    founder_lines,
    lost_lines,
    main_contributors,
)
from lineage.archive.archive import Archive
from lineage.queries.lifespans import Cause, causes_of_death, lifespans_of
from lineage.records import Model


@dataclass(frozen=True)
class LineSurvival:
    """Survival of lines in an archive.

    Attributes:
        diversity: of the living.
        main_contributors: the offspring with the largest share in the living, largest first.
        founders: the lines of all founders, the largest share first.
        lost: the lines of offspring that died out, the largest first.
        causes: of all deaths, the most frequent first.
        models: the rows of all models that the other fields name, by id.
    """

    diversity: Diversity
    main_contributors: list[Contribution]
    founders: list[FounderLine]
    lost: list[LostLine]
    causes: list[Cause]
    models: Mapping[int, Model]


def line_survival_of(
    archive: Archive, most: int, progress: Callable[[int, int], None] | None = None
) -> LineSurvival:
    """Survival of all lines in an archive.

    Args:
        archive: where to look.
        most: at most so many contributors and lost lines.
        progress: called with (done, total) while the kinship of the living is computed.
    """
    ancestry = archive.ancestry()
    lifespans = lifespans_of(archive, ancestry.newest)
    latest = archive.latest()
    last = latest.generation if latest else 0
    contributors = main_contributors(ancestry, lifespans.living, most)
    founders = founder_lines(ancestry, lifespans, last)
    lost = lost_lines(ancestry, lifespans, most)
    named = {one.model for one in contributors} | {line.head for line in lost}
    named |= {line.founder for line in founders}
    named |= {model for line in founders for model in line.last}
    named |= {model for line in lost for model in line.last}
    return LineSurvival(
        diversity(ancestry, lifespans.living, progress),
        contributors,
        founders,
        lost,
        causes_of_death(archive),
        {model.id: model for model in archive.models(ids=named)},
    )
