"""Work on many models of which some may fail: those are passed over, with what they failed of.

No single model can stop a campaign, and none is lost to a passing want of memory: who fails is
tried once more. What fails for everybody is no fault of theirs, and stops the campaign with that
cause.
"""

import gc
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch

from lineage import ArchiveError
from lineage.records import Floats, Item
from population.campaign.context import Context, Progress, Scored
from population.errors import CampaignError, CheckpointError, Interrupted
from population.evaluation.evaluator import Evaluator
from population.evaluation.prepared import Prepared
from population.failures import ITEM_FAILURES, one_line
from population.weights.materialise import State, state_sha256

T = TypeVar("T")

SYSTEMIC = (Interrupted, CheckpointError, ArchiveError, OSError)
"""What is of no single model: somebody asked to stop, or files are missing or cannot be read."""

FAILED = "failed: "
"""What the cause begins with that a model died of whose work raised an error."""

LONGEST_CAUSE = 200
"""Characters of a cause that are kept."""


def passing(
    work: Callable[[int, Evaluator, State], T], instead: Callable[[int, str], T]
) -> Callable[[int, Evaluator, State], T]:
    """The same work, which raises only what is of no single model.

    Args:
        work: gets a model's number, an evaluator that has become it, and its weights.
        instead: what comes of a model that failed twice, from its number and its cause.
    """

    def tried(number: int, evaluator: Evaluator, state: State) -> T:
        try:
            return work(number, evaluator, state)
        except SYSTEMIC:
            raise
        except Exception:  # noqa: BLE001 - perhaps it was a want of memory that has passed
            _make_room()
        try:
            return work(number, evaluator, state)
        except SYSTEMIC:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is kept as the cause
            return instead(number, f"{FAILED}{one_line(error)}"[:LONGEST_CAUSE])

    return tried


def stop_if_all_failed(causes: Sequence[str | None], what: str) -> None:
    """Stop where nobody is left.

    Raises:
        CampaignError: all of them failed; names the cause of the first.
    """
    failed = [cause for cause in causes if cause is not None and cause.startswith(FAILED)]
    if causes and len(failed) == len(causes):
        raise CampaignError(
            f"all {len(causes)} {what} {failed[0]}; this generation is not committed, and "
            "`colony run` goes on once that is mended"
        )


def scored_or_nothing(
    context: Context,
    genomes: Sequence[Floats],
    prepared: Sequence[Prepared],
    progress: Progress,
    what: str,
    ids: Sequence[int],
    *,
    all_may: bool = False,
) -> Scored:
    """Make some models and score each; who fails has scored nothing, and it is told why.

    Args:
        context: makes them.
        genomes: of the models.
        prepared: what each is scored on, all on as many items.
        progress: told; may raise to stop.
        what: they are, in the plural.
        ids: theirs.
        all_may: whether all of them may fail; otherwise that stops the campaign.

    Raises:
        CampaignError: all failed.
    """
    causes: list[str | None] = [None] * len(ids)

    def score(number: int, evaluator: Evaluator, state: State) -> tuple[str, Floats, Floats]:
        def scored(number: int, evaluator: Evaluator, state: State) -> tuple[Floats, Floats]:
            return evaluator.score(prepared[number])

        def nothing(number: int, cause: str) -> tuple[Floats, Floats]:
            causes[number] = cause
            own = prepared[number]
            none = np.zeros(own.size if own.marks is None else len(own.marks))
            return none, none

        return state_sha256(state), *passing(scored, nothing)(number, evaluator, state)

    rows = context.each(genomes, score, progress, what)
    if not all_may:
        stop_if_all_failed(causes, what)
    for model, cause in zip(ids, causes, strict=True):
        if cause:
            context.failures.add(f"#{model} ({what}) {cause}; it counts as having no score")
    return Scored(
        tuple(sha for sha, *_ in rows),
        np.array([exact for _, exact, _ in rows]),
        np.array([probability for *_, probability in rows]),
    )


def lent(
    context: Context,
    genomes: Sequence[Floats],
    ids: Sequence[int],
    work: Callable[[int, Evaluator], T],
    progress: Progress,
    what: str,
) -> list[T | None]:
    """What some models do, by their ids; None for who fails, and it is told why."""

    def worked(number: int, evaluator: Evaluator, state: State) -> T | None:
        return work(ids[number], evaluator)

    def failed(number: int, cause: str) -> None:
        context.failures.add(f"#{ids[number]} ({what}) {cause}; it is passed over")

    return context.each(genomes, passing(worked, failed), progress, what)


def preparable(context: Context, items: Sequence[Item]) -> list[Item]:
    """The items that can be asked, by their keys; why others are left out, is told."""
    try:
        context.evaluator.prepare_keys(items)
    except ITEM_FAILURES:
        pass  # which of them, is found out one by one
    else:
        return list(items)
    left = []
    for item in items:
        try:
            context.evaluator.prepare_keys([item])
        except ITEM_FAILURES as error:
            context.failures.add(f"item {item.id} is left out: {one_line(error)}")
        else:
            left.append(item)
    return left


def _make_room() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
