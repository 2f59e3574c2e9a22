"""Families: subsets of an archive to draw or to export."""

from collections.abc import Iterable

import numpy as np

from lineage.ancestry.ancestry import Ancestry
from lineage.archive.archive import Archive
from lineage.drawing.family import Family
from lineage.queries.fitness import fitness_of
from lineage.records import Floats


def family_of(
    archive: Archive, ids: Iterable[int], ancestry: Ancestry, fitness: Floats | None = None
) -> Family:
    """Some models with their fitness, number of children and the names of all founders.

    Args:
        archive: where they are.
        ids: of the models.
        ancestry: of the whole archive.
        fitness: of all models by id, shape `[newest + 1]`, if it was read already.
    """
    models = {model.id: model for model in archive.models(ids=ids)}
    near = models.keys() | {p.id for model in models.values() for p in model.parents}
    if fitness is None:
        scored = fitness_of(archive, near)
    else:
        scored = {i: float(fitness[i]) for i in near if np.isfinite(fitness[i])}
    last = archive.latest()
    return Family(
        models,
        scored,
        {model: int(ancestry.births[model]) for model in models},
        last.champion if last else None,
        {founder.id: founder.label for founder in archive.models(ids=ancestry.founders.tolist())},
    )


def line_of_fitter_parents(ancestry: Ancestry, fitness: Floats, model: int) -> list[int]:
    """A model, its fittest parent, that one's fittest parent, and so on to a founder.

    The same line as `Family.line`, without a `Family` of all its ancestors.

    Args:
        ancestry: of the whole archive.
        fitness: of all models by id, shape `[newest + 1]`; NaN for models that were never scored.
        model: id, where the line starts.

    Returns:
        Ids, the model first and the founder last.
    """
    line = [model]
    while parents := ancestry.parents(line[-1]):
        value = {p: float(fitness[p]) if np.isfinite(fitness[p]) else -1.0 for p in parents}
        line.append(min(parents, key=lambda p: (-value[p], -parents[p], p)))
    return line
