"""Families: parts of an archive to draw or to export."""

from collections.abc import Iterable

import numpy as np

from lineage.ancestry.ancestry import Ancestry
from lineage.archive.archive import Archive
from lineage.drawing.family import Family
from lineage.queries.fitness import fitness_of
from lineage.records import Floats


def family_of(
    archive: Archive, ids: Iterable[int], descent: Ancestry, fitness: Floats | None = None
) -> Family:
    """Some models with what is known of them and of their parents.

    Args:
        archive: where they are.
        ids: which.
        descent: of the whole archive.
        fitness: everybody's by id, if it is known already.
    """
    models = {model.id: model for model in archive.models(ids=ids)}
    near = models.keys() | {p.id for model in models.values() for p in model.parents}
    if fitness is None:
        known = fitness_of(archive, near)
    else:
        known = {i: float(fitness[i]) for i in near if np.isfinite(fitness[i])}
    last = archive.latest()
    return Family(
        models,
        known,
        {model: int(descent.births[model]) for model in models},
        last.champion if last else None,
        {founder.id: founder.label for founder in archive.models(ids=descent.founders.tolist())},
    )


def fitter_line(descent: Ancestry, fitness: Floats, model: int) -> list[int]:
    """A model, its fittest parent, that one's fittest parent, and so on to a founder.

    The same line as `Family.line`, without a `Family` of all its ancestors.
    """
    found = [model]
    while parents := descent.parents(found[-1]):
        known = {p: float(fitness[p]) if np.isfinite(fitness[p]) else -1.0 for p in parents}
        found.append(min(parents, key=lambda p: (-known[p], -parents[p], p)))
    return found
