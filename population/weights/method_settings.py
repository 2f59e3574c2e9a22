"""The settings of merge methods in campaigns: those of a task vector, from its density."""

from collections.abc import Sequence
from typing import cast

from population.bred_methods import SCE
from population.merging.methods import METHODS
from population.merging.methods.task_vectors import TaskVectors

EPSILON = 0.9
"""DELLA's spread of probabilities around a density, as a part of the largest that there can be,
where its default would be larger."""


def task_vector_method(name: str) -> TaskVectors:
    """A merge method that sparsifies task vectors, by name."""
    return cast(TaskVectors, METHODS[name])


def settings_of(name: str, density: float) -> dict[str, float]:
    """The settings of a method for a task vector, beside its weight: those that recipes write.

    >>> settings_of("ties", 0.5), settings_of("sce", 0.5)
    ({'density': 0.5}, {})

    Args:
        name: of the method.
        density: share of the task vector that is kept.
    """
    if name == SCE:
        return {}
    settings = {"density": density}
    for parameter in task_vector_method(name).parameters:
        if parameter.per_model and parameter.name not in {"weight", "density"}:
            settings[parameter.name] = float(parameter.default or 0.0)
    if "epsilon" in settings and density < 1.0:
        most = EPSILON * min(density, 1.0 - density)
        settings["epsilon"] = min(settings["epsilon"], most)
    return settings


def selected_share(densities: Sequence[float]) -> float:
    """The share of elements that SCE selects, which is one for all task vectors: the first's.

    >>> selected_share((0.3, 1.0))
    0.3

    Args:
        densities: of the task vectors.
    """
    return densities[0]
