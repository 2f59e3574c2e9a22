"""What the Sources page asks the archive, in a thread: what can and what should be merged."""

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
from tui.app.data.arena import MOST_MODELS_FOR_KIN
from tui.app.data.snapshot import Snapshot


@dataclass(frozen=True)
class SourceList:
    """What can be merged, and the tasks that it could be merged for.

    Attributes:
        sources: founders first, then the living.
        tasks: names of all that were ever asked.
    """

    sources: tuple[AvailableSource, ...]
    tasks: tuple[str, ...]


def available_sources(archive: Archive) -> SourceList:
    """Founders and living models as sources of merges.

    Raises:
        ArchiveError: the archive cannot be read.
    """
    sources = (*founder_sources(archive), *member_sources(archive))
    return SourceList(sources, tuple(tasks_of(archive)))


def recommended_sources(
    archive: Archive, task: str, snapshot: Snapshot
) -> tuple[RecommendedSource, ...]:
    """The living models that should be merged for a task, the best first.

    Empty if no items of the task were asked of all of them, and in archives of more than
    `MOST_MODELS_FOR_KIN` models, where kinship takes too long.
    """
    ancestry = snapshot.ancestry
    if snapshot.newest > MOST_MODELS_FOR_KIN or archive.newest_id() > ancestry.newest:
        return ()
    return sources_for(archive, task, ancestry)
