"""What the living can do together, and of whom they are made: recorded with every generation.

Quality-diversity search measures an archive of niches by how many are filled and by the sum of the
best scores in them (QD-score: Pugh, Soros and Stanley 2016, Frontiers in Robotics and AI 3: 40,
section 3.3). Niches here are the items of the panel: `item_coverage` is the part that is filled,
and the QD-score, as a mean over items, compares panels of other sizes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lineage.records import Floats, Item
from population.campaign.context import Context
from population.evaluation.intervals import scores_by_task
from population.evaluation.results import Results
from population.weights.founder_shares import effective_number, vector_shares


@dataclass(frozen=True)
class QualityDiversity:
    """Measures of the living offspring.

    Attributes:
        task_coverage: mean over tasks of the exact match, on the panel, of the best on each task.
        qd_score: mean over the items of the panel of the best merit that somebody has there.
        founders_by_weight: how many founders with equal parts in the weights of the living would
            be as diverse; None where weights are no sums of task vectors.
    """

    task_coverage: float
    qd_score: float
    founders_by_weight: float | None


def quality_diversity(
    context: Context,
    panel: Sequence[Item],
    standing: Results,
    genomes: Sequence[Floats],
) -> QualityDiversity | None:
    """Measure the living offspring; None if there are none.

    Args:
        context: with the founders and the weights of tasks.
        panel: items, shape (items,).
        standing: results on the panel, shape (offspring, items).
        genomes: of the offspring, shape (genes,) each.
    """
    if not genomes:
        return None
    parts = scores_by_task(standing.exact.T, [item.task for item in panel])
    best = {task: float(exact.mean(axis=0).max()) for task, exact in parts.items()}
    return QualityDiversity(
        context.weights.mean(best),
        float(standing.merit.max(axis=0).mean()),
        _founders_by_weight(context, genomes),
    )


def _founders_by_weight(context: Context, genomes: Sequence[Floats]) -> float | None:
    if context.geometry is None:
        return None
    space, lengths = context.factory.parameter_space, context.geometry.lengths
    shares = [vector_shares(space.coefficients(genome), lengths) for genome in genomes]
    return effective_number(np.mean(shares, axis=0))
