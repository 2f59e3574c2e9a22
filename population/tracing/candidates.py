"""Opening candidates: the founders of archives, checkpoints, and folders of checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lineage import Archive
from population.errors import CheckpointError, PopulationError
from population.models.checkpoints import Checkpoint
from population.models.sources import open_source
from population.references import expand_user


def open_candidates(
    references: Sequence[str], merge: Checkpoint, say: Callable[[str], None]
) -> list[Checkpoint]:
    """Open all models that could be parents of a merge, each once, under names of their own.

    Args:
        references: archives, of which the founders are meant (whatever was bred there is a sum of
            them); checkpoints as `open_source` takes them; folders that contain such.
        merge: itself never a candidate.
        say: called with a note on each model that is left out.

    Raises:
        CheckpointError: a model that was named cannot be opened, or none is left.
        ArchiveError: an archive cannot be read.
    """
    candidates: dict[str, Checkpoint] = {}
    seen = {merge.reference}
    for reference in references:
        for name, path in _models(reference):
            try:
                opened = open_source(path, name)
            except (PopulationError, OSError) as error:
                if path == reference:
                    raise
                say(f"note: {path} is left out: {error}")
                continue
            if not _fits(opened, merge):
                say(f"note: {opened.name} is left out: it has another architecture")
            elif opened.reference not in seen:
                seen.add(opened.reference)
                label = opened.name
                if label in candidates:
                    label = f"{opened.path.parent.name}/{label}"
                candidates[label] = replace(opened, name=label)
    if not candidates:
        raise CheckpointError(
            f"none of {', '.join(references)} is a model of the architecture of {merge.name!r}"
        )
    return list(candidates.values())


def _models(reference: str) -> list[tuple[str | None, str]]:
    """The names and references of the models that a reference stands for."""
    path = Path(expand_user(reference))
    if path.is_file() and path.suffix == ".duckdb":
        archive = Archive.open(path)
        paths = archive.founder_paths()
        return [(model.label, paths[model.id]) for model in archive.models(ids=paths)]
    inside = sorted(each.parent for each in path.glob("*/config.json")) if path.is_dir() else []
    if inside and not (path / "config.json").is_file():
        return [(None, str(folder)) for folder in inside]
    return [(None, reference)]


def _fits(candidate: Checkpoint, merge: Checkpoint) -> bool:
    """Whether most weights of a merge are in tensors of this name and shape, prefixes aside."""
    known = {(_last_words(name), header.shape) for name, header in candidate.tensors.items()}
    matched = sum(
        header.parameters
        for name, header in merge.tensors.items()
        if (_last_words(name), header.shape) in known
    )
    return 2 * matched >= merge.parameters


def _last_words(name: str) -> str:
    return ".".join(name.split(".")[-2:])
