"""Comparing two campaigns: their champions, item by item, on what both archives hold.

Nothing is measured here, so no model is loaded and the test split stays sealed: test scores are
compared where reports of both archives have taken them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from arena.tasks.generators import SPLITS
from lineage import Archive, ArchiveError
from lineage.archive.unfinished import why_no_generation
from lineage.queries.item_scores import item_scores, offspring_count
from lineage.records import Generation, Model
from lineage.task_weights import EQUAL, TaskWeights, weights_of
from population.evaluation.intervals import Interval, mean_by_task, mean_over_tasks, scores_by_task


@dataclass(frozen=True)
class ComparedCampaign:
    """One of the two campaigns, up to the generation that is compared.

    Attributes:
        generation: the last one that counts.
        evaluations: item evaluations up to then.
        births: offspring up to then.
        wall_s: seconds of work up to then.
        founder_entropy: effective founders of the living, as a fraction of all founders.
        champion: as it was then.
    """

    generation: int
    evaluations: int
    births: int
    wall_s: float
    founder_entropy: float
    champion: Model


@dataclass(frozen=True)
class SplitComparison:
    """Two champions on the same items of a split.

    Attributes:
        split: its name.
        items: how many items both were scored on.
        first: the mean over tasks of the first champion's exact match.
        second: the second one's.
        difference: the first one's lead, paired item by item.
        tasks: by task, both means and the first one's lead.
    """

    split: str
    items: int
    first: Interval
    second: Interval
    difference: Interval
    tasks: dict[str, tuple[float, float, Interval]]


@dataclass(frozen=True)
class CampaignComparison:
    """Two campaigns at one moment, and their champions on every split that both archives hold.

    Attributes:
        first: one campaign.
        second: the other.
        splits: the comparisons, the test split first.
    """

    first: ComparedCampaign
    second: ComparedCampaign
    splits: tuple[SplitComparison, ...]


def compare_campaigns(
    first: Archive, second: Archive
) -> tuple[CampaignComparison, CampaignComparison | None]:
    """Compare two campaigns as they are, and at equal budgets if they spent differently.

    Returns:
        The comparison as they are, and at the smaller budget (None if they spent the same to 2 %).

    Raises:
        ArchiveError: one of them has no generation yet, or they have no scored item in common.
    """
    ended = _compared(first, second, None)
    spent = ended.first.evaluations, ended.second.evaluations
    if not ended.splits:
        raise ArchiveError(
            f"{first.path} and {second.path} hold no scores of their champions on the same items; "
            "`colony report` on both takes some"
        )
    if abs(spent[0] - spent[1]) <= 0.02 * max(spent):
        return ended, None
    equal = _compared(first, second, min(spent))
    return ended, equal if equal.splits else None


def _compared(first: Archive, second: Archive, budget: int | None) -> CampaignComparison:
    sides = [_campaign_side(archive, budget) for archive in (first, second)]
    one, other = (weights_of(archive.campaign()[1]) for archive in (first, second))
    weights = one if one == other else EQUAL  # neither campaign's bent decides between them
    splits = []
    for split in reversed(SPLITS):
        scores = [
            item_scores(archive, side.champion, split)
            for archive, side in zip((first, second), sides, strict=True)
        ]
        common = sorted(scores[0].keys() & scores[1].keys())
        if common:
            splits.append(_split_comparison(split, common, scores, weights))
    return CampaignComparison(sides[0], sides[1], tuple(splits))


def _campaign_side(archive: Archive, budget: int | None) -> ComparedCampaign:
    """A campaign when it had spent the budget, or as it is now."""
    counted: list[Generation] = []
    spent = 0
    for generation in archive.generations():
        # The first generation always counts: without it there is no champion to compare.
        if budget is not None and counted and spent + generation.evaluations > budget:
            break
        spent += generation.evaluations
        counted.append(generation)
    if not counted:
        raise ArchiveError(f"{archive.path} has no champion yet: {why_no_generation(archive)}")
    last = counted[-1]
    (champion,) = archive.models(ids=[last.champion])
    return ComparedCampaign(
        last.generation,
        spent,
        offspring_count(archive, last.generation),
        sum(generation.wall_s for generation in counted),
        last.founder_entropy,
        champion,
    )


_ItemScores = dict[tuple[str, str], float]
"""Exact match by (task, item)."""


def _split_comparison(
    split: str,
    common: Sequence[tuple[str, str]],
    scores: Sequence[_ItemScores],
    weights: TaskWeights,
) -> SplitComparison:
    tasks = [task for task, _ in common]
    first, second = (np.array([side[key] for key in common], dtype=np.float64) for side in scores)
    leads = mean_by_task(first - second, tasks)
    first_by_task, second_by_task = scores_by_task(first, tasks), scores_by_task(second, tasks)
    return SplitComparison(
        split,
        len(common),
        mean_over_tasks(first, tasks, weights),
        mean_over_tasks(second, tasks, weights),
        mean_over_tasks(first - second, tasks, weights),
        {
            task: (float(first_by_task[task].mean()), float(second_by_task[task].mean()), lead)
            for task, lead in leads.items()
        },
    )
