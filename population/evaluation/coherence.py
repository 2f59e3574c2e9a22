"""Coherence: whether a merged model still has its language, decided from a few measurements.

"Evolutionary Optimization of Model Merging Recipes" (arXiv 2403.13187) names the weakness of its
merged models: some answer without coherence. Here such a model is stopped after a few items, and
what it died of is recorded. Nobody is blamed for what its elders do as well: a base model that
never ends an answer cannot teach its children to.

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
"""What a model can die of, in the order in which it is asked."""


@dataclass(frozen=True)
class GeneratedAnswer:
    """An answer that was decoded freely, without its end.

    Attributes:
        text: as far as it went.
        ended: whether the model ended it by itself.
    """

    text: str
    ended: bool


@dataclass(frozen=True)
class Health:
    """What was measured of a model.

    Attributes:
        finite: whether its weights, and what it computes from them, are all finite.
        norm_ratio: root mean square of a tensor over the largest of its kind among the founders;
            of all tensors the largest ratio.
        surprise: mean negative log-likelihood per token of reference texts, in nats; 0 if they
            were not read.
        answers: to a few items; empty if it was not asked.
    """

    finite: bool
    norm_ratio: float
    surprise: float = 0.0
    answers: tuple[GeneratedAnswer, ...] = ()


@dataclass(frozen=True)
class CoherenceLimits:
    """What a model may do; where an elder does worse, as much as the worst of them.

    Attributes:
        norm_ratio: eight task vectors that are perpendicular add up to sqrt(8) = 2.8 times one of
            them, and a tensor that is zero in the base is nothing but task vector. Routes with
            scales have them folded into their weights and need infinity here.
        surprise: by how much the perplexity may exceed the worst elder's, as a ratio. Measured on
            485 merges of the shipped founders and twelve draws of eight texts: the better half
            never came above 2.7, and of those that could do nothing 0.79 were above 2.5, 0.68 above
            3 and 0.46 above 4.
        repetition: an answer is repetitive above it, see `repetition`.
        empty: share of answers that say nothing.
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
    """How much of a text is repetition: 1 - distinct n-grams / n-grams, of characters.

    The measure is seq-rep-n of Welleck et al. 2019 (arXiv 1908.04319) with an n that grows with the
    text: ceil(log2(length)). Even a text of two symbols has room for that many different n-grams,
    so no alphabet and no length force a text to repeat itself; a fixed n would find repetition in
    every long text, and words are not to be had in every script. Compression would need far longer
    texts. A short answer cannot be very repetitive: "aaa" has 0.5, "aaaaaa" 0.75.
    """
    n = max(1, (len(text) - 1).bit_length())
    grams = [text[start : start + n] for start in range(len(text) - n + 1)]
    return 1.0 - len(set(grams)) / len(grams) if grams else 0.0


def cause_of_death(
    health: Health,
    elders: Sequence[Health],
    limits: CoherenceLimits,
    keys: Sequence[str | None] = (),
) -> Cause | None:
    """What a model dies of, or None if it may live.

    Args:
        health: the model's.
        elders: who it is compared with: its parents, or the founders. One that is not finite sets
            no standard, and without any the surprise is not judged.
        limits: what everybody may do.
        keys: of the items that the model and its elders answered. Who answers the key is right,
            however odd that looks.
    """
    elders = [elder for elder in elders if elder.finite]
    if not health.finite:
        return "not finite"
    if health.norm_ratio > max([limits.norm_ratio, *(elder.norm_ratio for elder in elders)]):
        return "norms exploded"
    worst = max((elder.surprise for elder in elders), default=math.inf)
    if health.surprise > worst + math.log(limits.surprise):
        return "lost its language"
    faults: list[tuple[Cause, float, Callable[[GeneratedAnswer], bool]]] = [
        ("empty answers", limits.empty, lambda answer: not answer.text.strip()),
        (
            "repeats itself",
            limits.repetitive,
            lambda answer: repetition(answer.text) > limits.repetition,
        ),
        ("endless answers", limits.endless, lambda answer: not answer.ended),
    ]
    for cause, limit, fault in faults:
        allowed = max([limit, *(_share(elder.answers, keys, fault) for elder in elders)])
        if _share(health.answers, keys, fault) > allowed:
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
    wrong = [fault(answer) and not known for answer, known in zip(answers, right, strict=True)]
    return sum(wrong) / len(wrong)
