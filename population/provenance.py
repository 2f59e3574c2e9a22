"""Provenance: the sources of a colony as they lie on disk, and whether they still fit each other.

Only headers are read, and torch is not needed.
"""

from dataclasses import dataclass
from pathlib import Path

from lineage import Archive
from population.checkpoints import Checkpoint
from population.errors import PopulationError
from population.merging.preflight import Profile, profile
from population.sources import open_source
from population.weights.places import file_of


@dataclass(frozen=True)
class Source:
    """A model that can be merged.

    Attributes:
        model: its id.
        name: how people refer to it.
        path: where its weights lie; None where they are made from its recipe.
        profile: what its files say; None where there are none, or where they cannot be read.
        trouble: why they cannot be.
    """

    model: int
    name: str
    path: str | None
    profile: Profile | None = None
    trouble: str | None = None


def founder_sources(archive: Archive) -> list[Source]:
    """The founders; the first that can be opened is what the others are compared with."""
    names = {model.id: model.label for model in archive.models(ids=archive.founder_paths())}
    reference: Checkpoint | None = None
    found = []
    for model, path in archive.founder_paths().items():
        try:
            checkpoint = open_source(path, names[model])
            reference = reference or checkpoint
            told = profile(checkpoint, reference)
            found.append(Source(model, names[model], path, told))
        except (PopulationError, OSError) as error:
            found.append(Source(model, names[model], path, trouble=str(error)))
    return found


def member_sources(archive: Archive) -> list[Source]:
    """The living that were bred: their weights are kept, or are made from the founders."""
    found = []
    for model in archive.models(living=True):
        if model.kind == "offspring":
            file: Path = file_of(archive.path, model.weights_sha256)
            found.append(Source(model.id, model.label, str(file) if file.is_file() else None))
    return found
