"""The sources of an archive: where they lie, whether they fit, and which to merge for a task.

Only headers are read, and torch is not needed.
"""

from dataclasses import dataclass

from lineage import Archive
from lineage.ancestry.ancestry import Ancestry
from lineage.ancestry.coefficients import relationships
from lineage.queries.candidates import living_on_common_items
from population.analysis.recommendation import RecommendedSource, SourceCandidates, recommend
from population.errors import PopulationError
from population.merging.preflight import Profile, profile
from population.models.checkpoints import Checkpoint
from population.models.sources import open_source
from population.weights.paths import weights_file


@dataclass(frozen=True)
class AvailableSource:
    """A model that can be merged.

    Attributes:
        model: its id.
        name: its label.
        path: of its weights; None where they are made from its recipe.
        profile: of its files; None where there are none, or where they cannot be read.
        trouble: why they cannot be read.
    """

    model: int
    name: str
    path: str | None
    profile: Profile | None = None
    trouble: str | None = None

    @property
    def fits(self) -> str:
        """Whether it can be merged with the others, or why not."""
        if self.trouble is not None:
            return f"no: {self.trouble}"
        return "yes, bred here" if self.profile is None else self.profile.fits


def founder_sources(archive: Archive) -> list[AvailableSource]:
    """The founders; the first that can be opened is what the others are compared with."""
    names = {model.id: model.label for model in archive.models(ids=archive.founder_paths())}
    reference: Checkpoint | None = None
    sources = []
    for model, path in archive.founder_paths().items():
        try:
            checkpoint = open_source(path, names[model])
            reference = reference or checkpoint
            description = profile(checkpoint, reference)
            sources.append(AvailableSource(model, names[model], path, description))
        except (PopulationError, OSError) as error:
            sources.append(AvailableSource(model, names[model], path, trouble=str(error)))
    return sources


def member_sources(archive: Archive) -> list[AvailableSource]:
    """The living offspring: their weights are kept, or are made from the founders."""
    sources = []
    for model in archive.models(living=True):
        if model.kind == "offspring":
            sha256 = model.weights_sha256  # without one, nothing is kept
            file = None if sha256 is None else weights_file(archive.path, sha256)
            kept = file is not None and file.is_file()
            sources.append(AvailableSource(model.id, model.label, str(file) if kept else None))
    return sources


def sources_for(archive: Archive, task: str, descent: Ancestry) -> tuple[RecommendedSource, ...]:
    """The living models that should be merged for a task, the best first.

    `population.analysis.recommendation` has the criterion. Empty if no item was scored for all of
    them. Most of the time goes into their relationships.
    """
    scores, ratings = living_on_common_items(archive, task)
    if not scores.items:
        return ()
    related = relationships(descent.kinship(scores.models))
    return recommend(SourceCandidates(scores.models, scores.exact, related, ratings))
