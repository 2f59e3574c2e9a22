"""The difference between models: their recipes, block by block, and their scores.

An offspring is compared with both of its first parents, since the effect of a merge is only seen
beside what it was made from. No weight is read: all of it is in the archive.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lineage import Archive
from lineage.records import Floats, Model
from population.weights.stored_recipes import stored_recipe


@dataclass(frozen=True)
class ModelSide:
    """A model as it is compared.

    Attributes:
        model: the model.
        shares: its founders' weights, averaged over blocks by their parameters; they sum to 1.
        weights: per block, shape [founders, blocks]: columns sum to 1; None for a path alone.
        steps: the path through layers as (model, layer, scale), or None.
        scores: mean exact match by split and task.
    """

    model: Model
    shares: dict[str, float]
    weights: Floats | None
    steps: list[tuple[str, int, float]] | None
    scores: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Difference:
    """Models side by side.

    Attributes:
        founders: names of the founders.
        blocks: names of the blocks.
        sides: the models; the others are compared with the first.
    """

    founders: tuple[str, ...]
    blocks: tuple[str, ...]
    sides: tuple[ModelSide, ...]

    def distance(self, one: int, other: int) -> Floats | None:
        """Half the sum of absolute differences of the founders' weights: shape [blocks].

        0 is the same recipe; 1 is one founder against another. None if one is a path alone.

        Args:
            one: index of a side.
            other: index of another one.
        """
        a, b = self.sides[one].weights, self.sides[other].weights
        return None if a is None or b is None else np.asarray(0.5 * np.abs(a - b).sum(axis=0))


def models_to_compare(
    archive: Archive, one: Model, other: Model | None
) -> tuple[list[Model], int | None]:
    """The models to put side by side, and the index of the child among them, if there is one.

    Args:
        archive: where they are.
        one: a model.
        other: another; None stands for the parents of the first. A child and one of its parents
            get the other parent with the greatest share beside them.
    """
    child, parent_given = one, other
    if other is not None:
        if one.id in {parent.id for parent in other.parents}:
            child, parent_given = other, one
        elif other.id not in {parent.id for parent in one.parents}:
            return [one, other], None
    ranked = [parent.id for parent in sorted(child.parents, key=lambda p: (-p.share, p.id))]
    first = parent_given.id if parent_given is not None else ranked[0]
    chosen = [first, *(parent for parent in ranked if parent != first)][:2]
    rows = {row.id: row for row in archive.models(ids=chosen)}
    parents = [rows[parent] for parent in chosen]
    return [parents[0], child, *parents[1:]], 1


def difference(archive: Archive, models: Sequence[Model]) -> Difference:
    """Put models side by side."""
    founders = archive.models(ids=archive.founder_paths())
    blocks = archive.blocks()
    scores = {
        split: archive.task_means(split, [model.id for model in models])
        for split in ("search", "selection")
    }
    sides = []
    for model in models:
        recipe = stored_recipe(archive, founders, model)
        weights = recipe.weights
        sizes = np.array([block.parameters for block in blocks], dtype=np.float64)
        shares = {} if weights is None else {
            founder.label: float(part)
            for founder, part in zip(founders, weights @ sizes / sizes.sum(), strict=True)
        }  # fmt: skip
        scores_of_model = {
            split: {task: exact for task, (exact, _) in means.get(model.id, {}).items()}
            for split, means in scores.items()
        }
        sides.append(ModelSide(model, shares, weights, recipe.steps, scores_of_model))
    return Difference(
        tuple(founder.label for founder in founders),
        tuple(block.name for block in blocks),
        tuple(sides),
    )
