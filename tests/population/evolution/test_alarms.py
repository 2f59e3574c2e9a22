"""Vital signs, what raises an alarm, and what is done about it."""

from dataclasses import replace

import numpy as np
import pytest

from population.evolution.alarms import (
    Alarm,
    AlarmResponse,
    DiversityMeasures,
    Thresholds,
    diversity_alarms,
    diversity_of,
    response_to,
)

WELL = DiversityMeasures(founder_entropy=0.9, mean_kinship=0.5, item_coverage=0.9, distinct=1.0)


def test_signs_by_hand() -> None:
    signs = diversity_of(
        founder_shares=np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]),
        relationship=np.array([[1.0, 0.25], [0.25, 1.0]]),
        scores=np.array([[1.0, 0.0, 0.5, 0.0, 0.6], [0.0, 0.9, 0.5, 0.0, 0.0]]),
    )
    assert signs.founder_entropy == pytest.approx(2 / 4)
    assert signs.mean_kinship == pytest.approx(0.25)
    assert signs.item_coverage == pytest.approx(3 / 5)
    assert signs.distinct == 1.0


def test_signs_of_the_diverse_and_of_the_collapsed() -> None:
    diverse = diversity_of(np.full((3, 5), 0.2), np.eye(3), np.eye(3))
    assert diverse == DiversityMeasures(pytest.approx(1.0), 0.0, 1.0, 1.0)  # type: ignore[arg-type]
    collapsed = diversity_of(np.eye(1, 5).repeat(3, axis=0), np.ones((3, 3)), np.zeros((3, 3)))
    assert collapsed == DiversityMeasures(pytest.approx(1 / 5), 1.0, 0.0, 1 / 3)  # type: ignore[arg-type]


def test_one_alone_is_its_own_kin_and_nobody_has_no_signs() -> None:
    assert diversity_of(np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 2))).mean_kinship == 1.0
    with pytest.raises(ValueError, match="anyone living"):
        diversity_of(np.ones((0, 2)), np.ones((0, 0)), np.ones((0, 2)))


def test_a_population_that_is_well_raises_no_alarm() -> None:
    assert diversity_alarms(WELL, WELL.item_coverage) == []
    assert response_to([], brood=24) == AlarmResponse(novelty=1.0, new_blood=0)


@pytest.mark.parametrize(
    ("ill", "kind", "said"),
    [
        (replace(WELL, founder_entropy=0.5), "founder entropy", "50% of the founders"),
        (replace(WELL, mean_kinship=0.95), "kinship", "is 0.95; alarming above 0.90"),
        (replace(WELL, item_coverage=0.7), "coverage", "solve 70% of the items, once it was 90%"),
        (replace(WELL, distinct=0.5), "distinct", "50% of the living differ"),
    ],
    ids=["founder entropy", "kinship", "coverage", "distinct"],
)
def test_every_sign_has_its_alarm(ill: DiversityMeasures, kind: str, said: str) -> None:
    (alarm,) = diversity_alarms(ill, WELL.item_coverage)
    assert alarm.kind == kind
    assert said in alarm.detail
    reply = response_to([alarm], brood=24)
    assert reply.novelty > 1.0 or reply.new_blood > 0


def test_coverage_is_held_against_its_best_and_may_wander_a_little() -> None:
    poor = replace(WELL, item_coverage=0.3)
    assert diversity_alarms(poor) == diversity_alarms(poor, poor.item_coverage) == []
    assert diversity_alarms(replace(WELL, item_coverage=0.85), WELL.item_coverage) == []
    assert diversity_alarms(
        replace(WELL, item_coverage=0.85), WELL.item_coverage, Thresholds(coverage_drop=0.02)
    )


def test_several_alarms_are_answered_together() -> None:
    raised = [Alarm("founder entropy", ""), Alarm("coverage", ""), Alarm("kinship", "")]
    assert response_to(raised, brood=16) == AlarmResponse(novelty=1.5, new_blood=5)
    assert response_to(raised[:1], brood=2) == AlarmResponse(novelty=1.25, new_blood=1)
