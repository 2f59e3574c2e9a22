"""How two models differ: what they are made of, block by block, and what they can do.

A child is compared with both of its first parents, since what a merge did is only seen beside what
it was made from. No weight is read: all of it is in the archive.
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
        model: which.
        shares: its founders' weights, averaged over blocks by their parameters; they sum to 1.
        weights: per block, shape (founders, blocks): columns sum to 1; None for a path alone.
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
    """Models side by side, the first of which is what the others are compared with."""

    founders: tuple[str, ...]
    blocks: tuple[str, ...]
    sides: tuple[ModelSide, ...]

    def distance(self, one: int, other: int) -> Floats | None:
        """How far two recipes are apart in each block: half the sum of what differs, in [0, ...).

        0 is the same recipe; 1 is one founder against another.
        """
        a, b = self.sides[one].weights, self.sides[other].weights
        return None if a is None or b is None else np.asarray(0.5 * np.abs(a - b).sum(axis=0))


def models_to_compare(
    archive: Archive, one: Model, two: Model | None
) -> tuple[list[Model], int | None]:
    """Whom to put side by side, and which of them is the child of the others.

    Args:
        archive: where they are.
        one: a model.
        two: another; None stands for the parents of the first. A child and one of its parents get
            the other parent with the greatest share beside them.
    """
    child, known = one, two
    if two is not None:
        if one.id in {parent.id for parent in two.parents}:
            child, known = two, one
        elif two.id not in {parent.id for parent in one.parents}:
            return [one, two], None
    ranked = [parent.id for parent in sorted(child.parents, key=lambda p: (-p.share, p.id))]
    first = known.id if known is not None else ranked[0]
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
        known = {
            split: {task: exact for task, (exact, _) in means.get(model.id, {}).items()}
            for split, means in scores.items()
        }
        sides.append(ModelSide(model, shares, weights, recipe.steps, known))
    return Difference(
        tuple(founder.label for founder in founders),
        tuple(block.name for block in blocks),
        tuple(sides),
    )
