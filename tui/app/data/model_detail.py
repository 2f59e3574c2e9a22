"""Details of one model that are not in a snapshot, read in a thread."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lineage.queries.ratings import ratings_of
from lineage.records import Rating
from tui.app.data.kin import family_of
from tui.app.data.snapshot import Snapshot

if TYPE_CHECKING:
    from lineage import Archive
    from population.analysis.difference import Difference


@dataclass(frozen=True)
class ModelDetail:
    """A model beside its parents.

    Attributes:
        sides: the model, then its two fittest parents, as far as it has them.
        ratings: (generation, rating in logits), oldest first.
        descendants: how many it has, and how many of them live.
    """

    sides: "Difference"
    ratings: tuple[tuple[int, Rating], ...]
    descendants: tuple[int, int]


def model_detail_of(archive: "Archive", snapshot: Snapshot, model: int) -> ModelDetail:
    """The details of a model.

    Raises:
        ArchiveError: the archive cannot be read.
    """
    from population.analysis.difference import difference  # noqa: PLC0415 - when first asked

    chosen = [model, *family_of(snapshot, [model]).parents(model)[:2]]
    rows = {row.id: row for row in archive.models(ids=chosen)}
    below = snapshot.ancestry.descendants(model)
    return ModelDetail(
        difference(archive, [rows[side] for side in chosen]),
        tuple(ratings_of(archive, model)),
        (len(below), sum(map(snapshot.is_living, below.tolist()))),
    )
