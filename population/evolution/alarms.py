"""Diversity of the living, the alarms that a loss of it raises, and the response to an alarm.

A colony collapses quietly: scores still rise a little while one lineage takes over, and what the
others could do is lost. Measure the living offspring alone: founders never die, and would hide it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lineage.records import Floats


@dataclass(frozen=True)
class DiversityMeasures:
    """How diverse the living are; every measure is in [0, 1].

    Attributes:
        founder_entropy: effective number of founders / number of founders. The effective number is
            exp(entropy) of the founders' shares in all the living together.
        mean_kinship: mean coefficient of relationship of two of the living.
        item_coverage: share of the items that at least one of the living solves (score > 0.5).
        distinct: distinct rows of scores / number of the living.
    """

    founder_entropy: float
    mean_kinship: float
    item_coverage: float
    distinct: float


@dataclass(frozen=True)
class Thresholds:
    """When a measure is alarming. The numbers in parentheses are of five recorded campaigns.

    They had eight founders and a base, 32 living, and were still progressing after 22 generations.

    Attributes:
        founder_entropy: alarming below (0.87-0.92 throughout). Of two founders, 0.6 is reached when
            one holds 95 % of everyone's ancestry; of nine, when it is as if nearly four were lost.
        mean_kinship: alarming above (0.12 at first, 0.75-0.80 at the end). It rises in any colony
            that is closed, and progress goes on: what stops it is mates that are the same. At 0.9
            attraction, which counts 1 - relationship, has a tenth of its pull left.
        coverage_drop: alarming if coverage falls by more than this below its best (0.89-0.95; with
            fresh items alone it moved by up to 0.05).
        distinct: alarming below (1.00). Copies that differ in their hash alone waste places; with
            a few easy items rows may be equal by chance, so this is not close to 1.
    """

    founder_entropy: float = 0.6
    mean_kinship: float = 0.9
    coverage_drop: float = 0.1
    distinct: float = 0.75


Kind = Literal["founder entropy", "kinship", "coverage", "distinct"]


@dataclass(frozen=True)
class Alarm:
    """A measure of diversity that is beyond its threshold.

    Attributes:
        kind: which measure.
        detail: a sentence with its value and the threshold.
    """

    kind: Kind
    detail: str


@dataclass(frozen=True)
class AlarmResponse:
    """What the next generation does about its alarms.

    Attributes:
        novelty: factor on the strength of fitness sharing.
        new_blood: how many children get a founder as their mate.
    """

    novelty: float = 1.0
    new_blood: int = 0


RESPONSES: dict[Kind, tuple[float, float]] = {
    "founder entropy": (1.25, 1 / 8),
    "kinship": (1.0, 1 / 8),
    "coverage": (1.5, 1 / 16),
    "distinct": (1.5, 0.0),
}
"""For each alarm the factor on fitness sharing, and the part of the offspring that gets new blood.

Kin need other mates, and no reward brings back a founder that is gone, so these two get new blood.
Where the living have grown alike or a skill was lost, what few can do must pay more; a factor of
1.5 takes fitness sharing from its usual exponent of 1 to 1.5."""


def diversity_of(founder_shares: Floats, relationship: Floats, scores: Floats) -> DiversityMeasures:
    """The diversity of the living.

    The effective number of founders is exp(-sum_f p_f log p_f) for founder shares p (Hill number of
    order 1: Hill 1973, Diversity and evenness, equation 7).

    Args:
        founder_shares: shape (living, founders); rows sum to 1.
        relationship: shape (living, living): coefficients of relationship.
        scores: shape (living, items) in [0, 1], all on the same items.

    Raises:
        ValueError: there are no models.

    >>> measures = diversity_of(np.eye(2), np.eye(2), np.array([[1.0, 0.0], [0.0, 0.0]]))
    >>> measures.founder_entropy, measures.mean_kinship, measures.item_coverage
    (1.0, 0.0, 0.5)
    """
    living = len(scores)
    if living == 0:
        raise ValueError("a population without anyone living has no diversity")
    share = founder_shares.mean(axis=0)
    present = share[share > 0.0]
    effective = np.exp(-np.sum(present * np.log(present)))
    pairs = ~np.eye(living, dtype=np.bool_)
    return DiversityMeasures(
        founder_entropy=float(effective / len(share)),
        # A single model can only mate with itself.
        mean_kinship=float(relationship[pairs].mean()) if living > 1 else 1.0,
        item_coverage=float((scores > 0.5).any(axis=0).mean()),
        distinct=len({row.tobytes() for row in scores}) / living,
    )


def diversity_alarms(
    measures: DiversityMeasures,
    best_coverage: float | None = None,
    thresholds: Thresholds | None = None,
) -> list[Alarm]:
    """The measures that are alarming, each with a sentence.

    Args:
        measures: as they are.
        best_coverage: the largest item coverage so far; without it a loss goes unseen.
        thresholds: when a measure is alarming.
    """
    limit = thresholds or Thresholds()
    alarms: list[Alarm] = []
    if measures.founder_entropy < limit.founder_entropy:
        alarms.append(
            Alarm(
                "founder entropy",
                f"the living descend from {measures.founder_entropy:.0%} of the founders, in "
                f"effect; alarming below {limit.founder_entropy:.0%}",
            )
        )
    if measures.mean_kinship > limit.mean_kinship:
        alarms.append(
            Alarm(
                "kinship",
                f"the mean relationship of the living is {measures.mean_kinship:.2f}; "
                f"alarming above {limit.mean_kinship:.2f}",
            )
        )
    best = measures.item_coverage if best_coverage is None else best_coverage
    if best - measures.item_coverage > limit.coverage_drop:
        alarms.append(
            Alarm(
                "coverage",
                f"the living solve {measures.item_coverage:.0%} of the items, once it was "
                f"{best:.0%}; alarming if {limit.coverage_drop:.0%} are lost",
            )
        )
    if measures.distinct < limit.distinct:
        alarms.append(
            Alarm(
                "distinct",
                f"{measures.distinct:.0%} of the living differ in what they can do; "
                f"alarming below {limit.distinct:.0%}",
            )
        )
    return alarms


def response_to(alarms: Sequence[Alarm], brood: int) -> AlarmResponse:
    """The response to some alarms: the largest factor, and the sum of their new blood.

    Args:
        alarms: see `diversity_alarms`.
        brood: children of a generation. Where new blood is called for, it is one child at least.

    >>> response_to([Alarm("coverage", ""), Alarm("kinship", "")], brood=16)
    AlarmResponse(novelty=1.5, new_blood=3)
    """
    responses = [RESPONSES[alarm.kind] for alarm in alarms]
    return AlarmResponse(
        novelty=max((factor for factor, _ in responses), default=1.0),
        new_blood=int(np.ceil(brood * sum(part for _, part in responses))),
    )
