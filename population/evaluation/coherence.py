"""Criteria of coherence: whether a merged model can still use language, from a few measurements.

"Evolutionary Optimization of Model Merging Recipes" (arXiv 2403.13187) names the weakness of its
merged models: some answer without coherence. Here such a model is stopped after a few items, and
its cause of death is recorded. A model may be as bad as the worst of its references: a base model
that never ends an answer cannot teach its children to.

Only decisions are made here; `population.campaign.coherence_filter` takes the measurements.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Cause = Literal[
    "not finite",
    "norms exploded",
    "lost its language",
    "empty answers",
    "repeats itself",
    "endless answers",
]
"""Why a model is incoherent, in the order in which the criteria are checked."""


@dataclass(frozen=True)
class GeneratedAnswer:
    """An answer that was decoded greedily.

    Attributes:
        text: of the answer, without its end.
        ended: whether the model ended it by itself, rather than the limit of tokens.
    """

    text: str
    ended: bool


@dataclass(frozen=True)
class CoherenceMeasures:
    """What was measured of a model.

    Attributes:
        finite: whether its weights, and what it computes from them, are all finite.
        norm_ratio: root mean square of a tensor over the largest of its kind among the founders;
            the largest ratio of all tensors.
        surprise: mean negative log-likelihood per token of reference texts, in nats; 0 if they
            were not read.
        answers: to a few items; empty if none were generated.
    """

    finite: bool
    norm_ratio: float
    surprise: float = 0.0
    answers: tuple[GeneratedAnswer, ...] = ()


@dataclass(frozen=True)
class CoherenceLimits:
    """The limit of each criterion; where a reference is worse, it is the limit instead.

    Attributes:
        norm_ratio: eight task vectors that are perpendicular add up to sqrt(8) = 2.8 times one of
            them, and a tensor that is zero in the base is nothing but task vector. Routes with
            scales have them folded into their weights and need infinity here.
        surprise: how many times the worst reference's perplexity a model may have. Measured on 485
            merges of the shipped founders and twelve draws of eight texts: the better half never
            came above 2.7, and of those that could do nothing 0.79 were above 2.5, 0.68 above 3 and
            0.46 above 4.
        repetition: an answer is repetitive above it, see `repetition`.
        empty: share of answers that are empty.
        repetitive: share of answers that are repetitive.
        endless: share of answers that do not end by themselves.
    """

    norm_ratio: float = 3.0
    surprise: float = 3.0
    repetition: float = 0.7
    empty: float = 0.5
    repetitive: float = 0.5
    endless: float = 0.5


def repetition(text: str) -> float:
    """The repetitive part of a text: 1 - distinct n-grams / n-grams, of characters, in [0, 1).

    The measure is seq-rep-n of Welleck et al. 2019 (arXiv 1908.04319) with an n that grows with the
    text: ceil(log2(length)). Even a text of two symbols has room for that many different n-grams,
    so no alphabet and no length force a text to repeat itself; a fixed n would find repetition in
    every long text, and words are not to be had in every script. Compression would need far longer
    texts. A short answer cannot be very repetitive.

    >>> repetition("aaa"), repetition("aaaaaa"), repetition("abcdef")
    (0.5, 0.75, 0.0)
    """
    n = max(1, (len(text) - 1).bit_length())
    grams = [text[start : start + n] for start in range(len(text) - n + 1)]
    return 1.0 - len(set(grams)) / len(grams) if grams else 0.0


def cause_of_death(
    measures: CoherenceMeasures,
    references: Sequence[CoherenceMeasures],
    limits: CoherenceLimits,
    keys: Sequence[str | None] = (),
) -> Cause | None:
    """The first criterion by which a model is incoherent, or None if it is coherent.

    Args:
        measures: of the model.
        references: of the models that it is compared with: its parents, or the founders. One that
            is not finite sets no standard, and without any the surprise is not checked.
        limits: of the criteria.
        keys: of the items that the model and its references answered. An answer that is the key is
            right, however odd it looks.
    """
    references = [reference for reference in references if reference.finite]
    if not measures.finite:
        return "not finite"
    if measures.norm_ratio > max([limits.norm_ratio, *(r.norm_ratio for r in references)]):
        return "norms exploded"
    worst = max((reference.surprise for reference in references), default=math.inf)
    if measures.surprise > worst + math.log(limits.surprise):
        return "lost its language"
    criteria: list[tuple[Cause, float, Callable[[GeneratedAnswer], bool]]] = [
        ("empty answers", limits.empty, lambda answer: not answer.text.strip()),
        (
            "repeats itself",
            limits.repetitive,
            lambda answer: repetition(answer.text) > limits.repetition,
        ),
        ("endless answers", limits.endless, lambda answer: not answer.ended),
    ]
    for cause, limit, fault in criteria:
        allowed = max([limit, *(_share(r.answers, keys, fault) for r in references)])
        if _share(measures.answers, keys, fault) > allowed:
            return cause
    return None


def _share(
    answers: Sequence[GeneratedAnswer],
    keys: Sequence[str | None],
    fault: Callable[[GeneratedAnswer], bool],
) -> float:
    """The share of answers that have a fault and are not right."""
    if not answers:
        return 0.0
    pairs = zip(answers, keys, strict=True)
    right = [key is not None and answer.text.strip() == key.strip() for answer, key in pairs]
    faulty = [fault(answer) and not ok for answer, ok in zip(answers, right, strict=True)]
    return sum(faulty) / len(faulty)
