"""Founder ablation: the accuracy that a model loses when a founder is taken out of it.

A knock-out sets the coefficients of a founder's task vector to 0, everywhere or in a few blocks,
and leaves all else as it is; what accuracy is lost on a task is what the vector was needed for *in
this model*. That measures necessity and is not additive: two founders that both bring a skill cost
nothing one by one, and two that only work together cost it twice. Losses below 0 are gains.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from lineage import Archive
from lineage.records import Floats, Model
from population.campaign.context import Context, Progress, genome_of, silent
from population.config import parse_config
from population.errors import PopulationError
from population.evaluation.intervals import Interval, mean_by_task, mean_over_tasks, scores_by_task
from population.evolution.spaces.parameter import ParameterSpace
from population.models.blocks import Layout, levels_of
from population.weights.founder_shares import vector_shares

Masks = dict[str, npt.NDArray[np.bool_]]
"""Blocks that are knocked out together, by name: shape (blocks,) each."""

Grain = Literal["model", "layer", "block"]

EVERYWHERE = "everywhere"


@dataclass(frozen=True)
class Ablation:
    """The cost of taking a founder out of some blocks.

    Attributes:
        founder: whose task vector.
        where: name of the blocks.
        coefficient: what was taken out: the mean over these blocks, weighted by their parameters.
        share: the vector's part in all that is added to the base there, in [0, 1]: of the sums of
            absolute coefficients, weighted in the same way.
        loss: accuracy lost, the mean over tasks, with an interval over items.
        losses: accuracy lost by task, each with its interval.
        probability_losses: probability of the key lost by task; it moves where no answer flips yet.
    """

    founder: str
    where: str
    coefficient: float
    share: float
    loss: Interval
    losses: dict[str, Interval]
    probability_losses: dict[str, float]

    def credit(self, task: str) -> float:
        """The vector's share times what knocking it out costs on a task; 0 where it costs nothing.

        A vector that is a trace of the model gets little credit for what breaks without it.
        """
        return self.share * max(self.losses[task].mean, 0.0)


@dataclass(frozen=True)
class FounderAblation:
    """The ablations of a model.

    Attributes:
        model: the model.
        split: of the items.
        items: how many.
        accuracy: of the whole model by task.
        knockouts: every founder everywhere; then, if asked for, each in each group of blocks.
    """

    model: Model
    split: str
    items: int
    accuracy: dict[str, float]
    knockouts: tuple[Ablation, ...]

    def source(self, task: str) -> str | None:
        """The founder with the most credit for a task whose loss is beyond chance, or None."""
        needed = [
            knockout
            for knockout in self.knockouts
            if knockout.where == EVERYWHERE and knockout.losses[task].low > 0.0
        ]
        best = max(needed, key=lambda knockout: knockout.credit(task), default=None)
        return None if best is None else best.founder


def check_linear(archive: Archive, model: Model) -> None:
    """Make sure that a model has coefficients to knock out; no founder is opened.

    Raises:
        PopulationError: it is a path through layers.
    """
    space = parse_config(archive.campaign()[1], str(archive.path)).search.space
    if space != "parameter":
        raise PopulationError(
            f"{model.label} is a path through layers, without coefficients to knock out; "
            "`colony show` tells which founders' layers it takes"
        )


def ablate_founders(
    archive: Archive,
    context: Context,
    model: Model,
    *,
    tasks: Sequence[str] = (),
    split: Literal["search", "selection"] = "selection",
    grain: Grain = "model",
    progress: Progress = silent,
) -> FounderAblation:
    """Knock founders out of a model, all in one batch, and score what is left of it.

    Args:
        archive: where the model is.
        context: of that archive.
        model: founder or offspring.
        tasks: their names; all if empty.
        split: of the items; the test split stays sealed.
        grain: besides the whole model, knock out layer by layer or block by block.
        progress: called with (done, total, what).

    Raises:
        PopulationError: the model is a path, or there is no such task.
    """
    check_linear(archive, model)
    task_names = [task.name for task in context.tasks]
    if unknown := [task for task in tasks if task not in task_names]:
        raise PopulationError(f"no task is named {unknown[0]!r}; there are {', '.join(task_names)}")
    items = [item for item in context.split(split) if not tasks or item.task in tasks]
    space, genome = context.factory.parameter_space, genome_of(archive, context, model)
    coefficients = space.coefficients(genome)
    masks = block_masks(context.factory.layout, grain)
    genomes = [
        genome,
        *(
            knocked_out(space, genome, row, mask)
            for mask in masks.values()
            for row in range(len(coefficients))
        ),
    ]
    # Where a coefficient is 0 already there is nothing new to make, nor to score.
    unique = {genome.tobytes(): genome for genome in genomes}
    row_of = {content: number for number, content in enumerate(unique)}
    prepared = context.evaluator.prepare_keys(items)
    scored = context.score(list(unique.values()), prepared, progress, "knocking out")
    rows = [row_of[genome.tobytes()] for genome in genomes]
    accuracy_lost = scored.exact[rows[0]] - scored.exact[rows[1:]]
    probability_lost = scored.probability[rows[0]] - scored.probability[rows[1:]]
    task_of_item = [item.task for item in items]
    blocks, vectors = context.factory.layout.blocks, context.factory.basis.vectors
    sizes = np.array([block.parameters for block in blocks], dtype=np.float64)
    names = [context.founders[vector].name for vector in vectors]
    knockouts = [
        Ablation(
            name,
            where,
            float(np.average(coefficients[row, mask], weights=sizes[mask])),
            float(vector_shares(coefficients[:, mask], sizes[mask])[row]),
            mean_over_tasks(accuracy_lost[number], task_of_item, context.weights),
            mean_by_task(accuracy_lost[number], task_of_item),
            means_by_task(probability_lost[number], task_of_item),
        )
        for number, (where, mask, row, name) in enumerate(
            (where, mask, row, name)
            for where, mask in masks.items()
            for row, name in enumerate(names)
        )
    ]
    accuracy = means_by_task(scored.exact[rows[0]], task_of_item)
    return FounderAblation(model, split, len(items), accuracy, tuple(knockouts))


def block_masks(layout: Layout, grain: Grain) -> Masks:
    """Masks of blocks that are knocked out together, by name: shape [blocks] each."""
    names = [block.name for block in layout.blocks]
    masks = {EVERYWHERE: np.ones(len(names), dtype=np.bool_)}
    if grain == "block":
        return masks | {name: np.array([name == other for other in names]) for name in names}
    if grain == "layer":
        layer = levels_of(layout)[0]
        for number in dict.fromkeys(layer.tolist()):
            mask = layer == number
            masks[" ".join(names[int(mask.argmax())].split()[:2])] = mask
    return masks


def knocked_out(
    space: ParameterSpace, genome: Floats, row: int, mask: npt.NDArray[np.bool_]
) -> Floats:
    """A genome with the coefficients of one task vector set to 0 in some blocks.

    >>> space = ParameterSpace(3, (1, 2), 2, -1.0, 2.0)
    >>> knocked_out(space, np.ones(4), 0, np.array([True, False])).tolist()
    [0.0, 1.0, 1.0, 1.0]

    Args:
        space: what it means.
        genome: shape [genes].
        row: index of the vector.
        mask: shape [blocks].

    Returns:
        Shape [genes].
    """
    result = genome.copy()
    space.coefficients(result)[row, mask] = 0.0
    return result


def means_by_task(scores: Floats, tasks: Sequence[str]) -> dict[str, float]:
    """Means by task of scores of shape [items]."""
    return {task: float(own.mean()) for task, own in scores_by_task(scores, tasks).items()}
