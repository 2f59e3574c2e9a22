"""Failures of single models and items are passed over, with their cause; others stop the campaign.

No single model can stop a campaign, and none is lost to a passing want of memory: what fails is
tried once more. What fails for all models is no fault of theirs, and stops the campaign with that
cause.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from lineage.records import Floats, Item
from population.campaign.context import Context, Progress, ScoredModels
from population.campaign.model_work import (
    FAILURE_PREFIX,
    Failed,
    Identified,
    Scoring,
    Tolerant,
    failure,
)
from population.errors import CampaignError
from population.evaluation.batching import PreparedItems
from population.evaluation.evaluator import Evaluator
from population.failures import ITEM_FAILURES, one_line
from population.weights.materialise import State

T = TypeVar("T")


def stop_if_all_failed(causes: Sequence[str | None], label: str) -> None:
    """Stop where the work failed for all models.

    Args:
        causes: of each model, or None.
        label: what the models are called in messages, in the plural.

    Raises:
        CampaignError: all of them failed; names the cause of the first.
    """
    failed = [cause for cause in causes if cause is not None and cause.startswith(FAILURE_PREFIX)]
    if causes and len(failed) == len(causes):
        raise CampaignError(
            f"all {len(causes)} {label} {failed[0]}; this generation is not committed, and "
            "`colony run` goes on once that is mended"
        )


def score_tolerantly(
    context: Context,
    genomes: Sequence[Floats],
    prepared: Sequence[PreparedItems],
    progress: Progress,
    label: str,
    ids: Sequence[int],
    *,
    all_may_fail: bool = False,
) -> ScoredModels:
    """Make some models and score each; one that fails scores 0, and its cause is reported.

    Args:
        context: makes them.
        genomes: of the models, shape (genes,) each.
        prepared: what each is scored on, all on as many items.
        progress: called while they work; may raise to stop.
        label: what the models are called in messages, in the plural.
        ids: of the models.
        all_may_fail: whether all of them may fail; otherwise that stops the campaign.

    Raises:
        CampaignError: all failed.
    """
    work = Identified(Tolerant(Scoring(tuple(prepared))), by_fingerprint=context.by_fingerprint)
    rows = context.map_models(
        genomes,
        work,
        progress,
        label,
        lost=lambda number, cause: (
            context.identity_made_by(genomes[number]),
            failure(number, cause),
        ),
    )
    causes = [found.cause if isinstance(found, Failed) else None for _, found in rows]
    if not all_may_fail:
        stop_if_all_failed(causes, label)
    for model, cause in zip(ids, causes, strict=True):
        if cause:
            context.failures.add(f"#{model} ({label}) {cause}; it counts as having no score")
    scores = [
        (np.zeros(own.items),) * 2 if isinstance(found, Failed) else found
        for own, (_, found) in zip(prepared, rows, strict=True)
    ]
    return ScoredModels(
        tuple(identity for identity, _ in rows),
        np.array([exact for exact, _ in scores]),
        np.array([probability for _, probability in scores]),
    )


def map_tolerantly(
    context: Context,
    genomes: Sequence[Floats],
    ids: Sequence[int],
    work: Callable[[int, Evaluator], T],
    progress: Progress,
    label: str,
) -> list[T | None]:
    """The results of some work with each model; None for one that fails, whose cause is reported.

    Args:
        context: makes the models.
        genomes: of the models, shape (genes,) each.
        ids: of the models.
        work: called with (a model's id, an evaluator with its weights).
        progress: called while they work; may raise to stop.
        label: what the work is called in messages.
    """
    own = Tolerant(_OfModel(work, tuple(ids)))
    results: list[T | None] = []
    for model, result in zip(
        ids, context.map_models(genomes, own, progress, label, lost=failure), strict=True
    ):
        if isinstance(result, Failed):
            context.failures.add(f"#{model} ({label}) {result.cause}; it is passed over")
        results.append(None if isinstance(result, Failed) else result)
    return results


@dataclass(frozen=True)
class _OfModel(Generic[T]):
    """Work that is told a model's id."""

    work: Callable[[int, Evaluator], T]
    ids: tuple[int, ...]

    def __call__(self, number: int, evaluator: Evaluator, state: State) -> T:
        return self.work(self.ids[number], evaluator)


def items_with_usable_keys(context: Context, items: Sequence[Item]) -> list[Item]:
    """The items that models can be scored on by their keys; why others are not is reported."""
    try:
        context.evaluator.prepare_keys(items)
    except ITEM_FAILURES:
        pass  # which of them, is found out one by one
    else:
        return list(items)
    usable = []
    for item in items:
        try:
            context.evaluator.prepare_keys([item])
        except ITEM_FAILURES as error:
            context.failures.add(f"item {item.id} is left out: {one_line(error)}")
        else:
            usable.append(item)
    return usable
