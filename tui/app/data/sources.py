"""What the page Sources asks the archive, in a thread: what can be merged, and what should be."""

from dataclasses import dataclass

from lineage import Archive
from lineage.queries.tasks import tasks_of
from population.analysis.recommendation import RecommendedSource
from population.analysis.source_attribution import (
    AvailableSource,
    founder_sources,
    member_sources,
    sources_for,
)
from tui.app.data.arena import KIN_UP_TO
from tui.app.data.snapshot import Snapshot


@dataclass(frozen=True)
class SourceStock:
    """What can be merged, and for what.

    Attributes:
        sources: founders first, then the living.
        tasks: that were ever asked.
    """

    sources: tuple[AvailableSource, ...]
    tasks: tuple[str, ...]


def stock(archive: Archive) -> SourceStock:
    """What can be merged."""
    sources = (*founder_sources(archive), *member_sources(archive))
    return SourceStock(sources, tuple(tasks_of(archive)))


def choices(archive: Archive, task: str, snapshot: Snapshot) -> tuple[RecommendedSource, ...]:
    """The living that should be merged for a task, the best first.

    None where nothing was asked of all of them, and where it would take too long to work out whose
    kin they are.
    """
    descent = snapshot.descent
    if snapshot.newest > KIN_UP_TO or archive.newest_id() > descent.newest:
        return ()
    return sources_for(archive, task, descent)
