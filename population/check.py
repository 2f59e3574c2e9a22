"""The check: replays recipes and compares what they make with what was born."""

import random
from dataclasses import dataclass

from lineage import Archive, ArchiveError
from population.errors import CheckpointError, PopulationError
from population.materialise import state_sha256
from population.sources import open_source
from population.workshop import Progress, reopen_workshop, silent


@dataclass(frozen=True)
class Damage:
    """Something that is not as it was."""

    what: str
    detail: str


@dataclass(frozen=True)
class Findings:
    """What a check looked at, and what it found."""

    founders: int
    replayed: int
    offspring: int
    damages: tuple[Damage, ...]


def check(archive: Archive, sample: int | None = None, progress: Progress = silent) -> Findings:
    """Check founders by hash, rows for sense, and offspring by replaying their recipes.

    Args:
        archive: what to check.
        sample: replay this many offspring, drawn at random; None replays all.
        progress: told (done, total, what).
    """
    damages = [Damage("row", problem) for problem in archive.inconsistencies()]
    paths = archive.founder_paths()
    founders = {model.id: model for model in archive.models(ids=paths)}
    for number, (model, path) in enumerate(paths.items()):
        row = founders[model]
        progress(number, len(paths), f"founder {row.label}")
        try:
            if open_source(path, row.name).sha256() != row.weights_sha256:
                damages.append(Damage(f"founder {row.label}", f"the weights in {path} changed"))
        except CheckpointError as error:
            damages.append(Damage(f"founder {row.label}", str(error)))
    offspring = [model for model in archive.models() if model.kind == "offspring"]
    chosen = offspring
    if sample is not None and sample < len(offspring):
        chosen = sorted(random.sample(offspring, sample), key=lambda model: model.id)
    if any(damage.what.startswith("founder") for damage in damages):
        damages.append(
            Damage("offspring", "cannot be replayed before the founders are as they were")
        )
        return Findings(len(paths), 0, len(offspring), tuple(damages))
    try:
        maker = reopen_workshop(archive).maker
        size = max(1, min(maker.batch, 32))
        for start in range(0, len(chosen), size):
            batch = chosen[start : start + size]
            progress(start, len(chosen), "replaying recipes")
            genomes = archive.genomes([model.id for model in batch])
            for born, state in zip(batch, maker.siblings(list(genomes)), strict=True):
                if state_sha256(state) != born.weights_sha256:
                    damages.append(
                        Damage(born.label, "its recipe makes other weights than were born")
                    )
    except (ArchiveError, PopulationError) as error:
        damages.append(Damage("offspring", str(error)))
    return Findings(len(paths), len(chosen), len(offspring), tuple(damages))
