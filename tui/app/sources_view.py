"""What the page Sources asks the archive, in a thread: what can be merged, and what should be."""

from dataclasses import dataclass

from arena.selecting import Candidates, Choice, selected
from lineage import Archive
from lineage.descent import Descent, relationships
from lineage.queries.candidates import common_scores
from lineage.queries.tasks import tasks_of
from population.provenance import Source, founder_sources, member_sources


@dataclass(frozen=True)
class Stock:
    """What can be merged, and for what.

    Attributes:
        sources: founders first, then the living.
        tasks: that were ever asked.
    """

    sources: tuple[Source, ...]
    tasks: tuple[str, ...]


def stock(archive: Archive) -> Stock:
    """What can be merged."""
    sources = (*founder_sources(archive), *member_sources(archive))
    return Stock(sources, tuple(tasks_of(archive)))


def choices(archive: Archive, task: str, descent: Descent) -> tuple[Choice, ...]:
    """The living that should be merged for a task, the best first; none that nobody was asked."""
    scores, ratings = common_scores(archive, task)
    if not scores.items:
        return ()
    related = relationships(descent.kinship(scores.models))
    return selected(Candidates(scores.models, scores.exact, related, ratings))
