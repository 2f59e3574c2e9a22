"""How two models differ: what they are made of, block by block, and what they can do.

A child is compared with both of its first parents, since what a merge did is only seen beside what
it was made from. No weight is read: all of it is in the archive.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lineage import Archive
from lineage.records import Floats, Model
from population.config import parsed
from population.spaces.chosen import depth_of, parameter_space, route_space
from population.spaces.flow import FlowSpace


@dataclass(frozen=True)
class Side:
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
    sides: tuple[Side, ...]

    def distance(self, one: int, other: int) -> Floats | None:
        """How far two recipes are apart in each block: half the sum of what differs, in [0, ...).

        0 is the same recipe; 1 is one founder against another.
        """
        a, b = self.sides[one].weights, self.sides[other].weights
        return None if a is None or b is None else np.asarray(0.5 * np.abs(a - b).sum(axis=0))


def difference(archive: Archive, models: Sequence[Model]) -> Difference:
    """Put models side by side."""
    founders = archive.models(ids=archive.founder_paths())
    blocks = archive.blocks()
    genomes = {
        model.id: genome
        for model, genome in zip(
            [model for model in models if model.kind == "offspring"],
            archive.genomes([model.id for model in models if model.kind == "offspring"]),
            strict=True,
        )
    }
    scores = {
        split: archive.task_means(split, [model.id for model in models])
        for split in ("search", "selection")
    }
    sides = []
    for model in models:
        weights, steps = _made_of(archive, founders, len(blocks), model, genomes.get(model.id))
        sizes = np.array([block.parameters for block in blocks], dtype=np.float64)
        shares = {} if weights is None else {
            founder.label: float(part)
            for founder, part in zip(founders, weights @ sizes / sizes.sum(), strict=True)
        }  # fmt: skip
        known = {
            split: {task: exact for task, (exact, _) in means.get(model.id, {}).items()}
            for split, means in scores.items()
        }
        sides.append(Side(model, shares, weights, steps, known))
    return Difference(
        tuple(founder.label for founder in founders),
        tuple(block.name for block in blocks),
        tuple(sides),
    )


def _made_of(
    archive: Archive, founders: Sequence[Model], blocks: int, model: Model, genome: Floats | None
) -> tuple[Floats | None, list[tuple[str, int, float]] | None]:
    """A model's founders' weights per block, and its path."""
    ids = [founder.id for founder in founders]
    if genome is None:
        weights = np.zeros((len(ids), blocks))
        weights[ids.index(model.id)] = 1.0
        return weights, None
    rows = [ids.index(founder) for founder in archive.basis()]
    search = parsed(archive.campaign()[1], str(archive.path)).search
    if search.space == "parameter":
        space = parameter_space(search, len(ids), rows, blocks)
        return _weights(space.coefficients(genome), rows, len(ids)), None
    depth = depth_of(search, len(ids), rows, blocks, len(genome))
    routes = route_space(search, len(ids), rows, blocks, depth)
    sources = [*(founder.label for founder in founders), "merged"]
    steps = [(sources[step.model], step.layer, step.scale) for step in routes.route(genome).steps]
    if isinstance(routes, FlowSpace):
        return None, steps
    return _weights(routes.merged(genome)[0], rows, len(ids)), steps


def _weights(coefficients: Floats, rows: Sequence[int], founders: int) -> Floats:
    """Coefficients of task vectors as weights of all founders, whose columns sum to 1."""
    weights = np.zeros((founders, coefficients.shape[1]))
    weights[list(rows)] = coefficients
    rest = 1.0 - coefficients.sum(axis=0)
    base = [row for row in range(founders) if row not in rows]
    if base:
        weights[base[0]] += rest
    else:
        weights += rest / founders
    return weights
