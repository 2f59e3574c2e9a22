"""Failures of single models and items are passed over, with their cause; others stop the campaign.

No single model can stop a campaign, and none is lost to a passing want of memory: what fails is
tried once more. What fails for all models is no fault of theirs, and stops the campaign with that
cause.
"""

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch

from lineage import ArchiveError
from lineage.records import Floats, Item
from population.campaign.context import Context, Progress, ScoredModels
from population.errors import CampaignError, CheckpointError, Interrupted
from population.evaluation.batching import PreparedItems
from population.evaluation.evaluator import Evaluator
from population.failures import ITEM_FAILURES, one_line
from population.weights.materialise import State

T = TypeVar("T")

SYSTEMIC_ERRORS = (Interrupted, CheckpointError, ArchiveError, OSError)
"""Errors of no single model: somebody asked to stop, or files are missing or cannot be read."""

FAILURE_PREFIX = "failed: "
"""What the cause of death begins with where the work on a model raised an error."""

MAX_CAUSE_LENGTH = 200
"""Characters of a cause that are kept."""


def tolerant(
    work: Callable[[int, Evaluator, State], T], fallback: Callable[[int, str], T]
) -> Callable[[int, Evaluator, State], T]:
    """The same work, tried twice, that raises nothing but systemic errors.

    Args:
        work: called with (a model's number, an evaluator with its weights, the weights).
        fallback: gives the result for a model that failed twice, from its number and the cause.
    """

    def work_tolerantly(number: int, evaluator: Evaluator, state: State) -> T:
        try:
            return work(number, evaluator, state)
        except SYSTEMIC_ERRORS:
            raise
        except Exception:  # noqa: BLE001 - perhaps it was a want of memory that has passed
            _free_memory()
        try:
            return work(number, evaluator, state)
        except SYSTEMIC_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is kept as the cause
            return fallback(number, f"{FAILURE_PREFIX}{one_line(error)}"[:MAX_CAUSE_LENGTH])

    return work_tolerantly


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
    causes: list[str | None] = [None] * len(ids)

    def score_model(number: int, evaluator: Evaluator, state: State) -> tuple[str, Floats, Floats]:
        def score(number: int, evaluator: Evaluator, state: State) -> tuple[Floats, Floats]:
            return evaluator.score(prepared[number])

        def zeros(number: int, cause: str) -> tuple[Floats, Floats]:
            causes[number] = cause
            own = prepared[number]
            scores = np.zeros(own.items)
            return scores, scores

        return context.identify(state), *tolerant(score, zeros)(number, evaluator, state)

    rows = context.map_models(genomes, score_model, progress, label)
    if not all_may_fail:
        stop_if_all_failed(causes, label)
    for model, cause in zip(ids, causes, strict=True):
        if cause:
            context.failures.add(f"#{model} ({label}) {cause}; it counts as having no score")
    return ScoredModels(
        tuple(identity for identity, *_ in rows),
        np.array([exact for _, exact, _ in rows]),
        np.array([probability for *_, probability in rows]),
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

    def work_with(number: int, evaluator: Evaluator, state: State) -> T | None:
        return work(ids[number], evaluator)

    def report(number: int, cause: str) -> None:
        context.failures.add(f"#{ids[number]} ({label}) {cause}; it is passed over")

    return context.map_models(genomes, tolerant(work_with, report), progress, label)


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


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
