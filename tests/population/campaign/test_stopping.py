"""When a campaign stops, and what it says then."""

from dataclasses import replace

import pytest

from population.campaign.stopping import CampaignStanding, StoppingLimits, reason_to_stop
from population.config import Budget

YOUNG = CampaignStanding(
    generation=3, spent=900, elapsed_s=60.0, selection_history=(0.2, 0.3, 0.4, 0.5)
)


def test_without_limits_it_goes_on() -> None:
    assert reason_to_stop(YOUNG, StoppingLimits()) is None


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (
            StoppingLimits(target=0.5),
            "the champion's selection score is 0.500, the target was 0.500",
        ),
        (StoppingLimits(generations=3), "all of the 3 generations asked for are bred"),
        (StoppingLimits(item_evaluations=900), "900 of 900 item evaluations are spent"),
        (StoppingLimits(seconds=60), "the campaign has worked for 60 of 60 seconds"),
        (
            StoppingLimits(stagnation=2, improvement=0.25),
            "in 2 generations the champion's selection score has not risen above 0.550",
        ),
    ],
    ids=["target", "generations", "budget", "time", "stagnation"],
)
def test_every_limit_is_named_in_a_sentence(limits: StoppingLimits, reason: str) -> None:
    assert reason_to_stop(YOUNG, limits) == reason


@pytest.mark.parametrize(
    "limits",
    [
        StoppingLimits(target=0.51),
        StoppingLimits(generations=4),
        StoppingLimits(item_evaluations=901),
        StoppingLimits(seconds=60.1),
        StoppingLimits(stagnation=2, improvement=0.15),
        StoppingLimits(stagnation=4),
    ],
    ids=["target", "generations", "budget", "time", "stagnation", "too young to stagnate"],
)
def test_a_limit_that_is_not_reached_stops_nothing(limits: StoppingLimits) -> None:
    assert reason_to_stop(YOUNG, limits) is None


def test_a_budget_in_tokens_must_pay_for_the_next_generation_as_the_last_ones_took() -> None:
    standing = replace(YOUNG, next_cost=100, tokens=9_000)
    assert reason_to_stop(standing, StoppingLimits(tokens=10_000)) is None
    assert reason_to_stop(standing, StoppingLimits(tokens=9_999)) == (
        "9,000 of 9,999 tokens are spent, and the next generation may take 1,000"
    )
    assert reason_to_stop(standing, StoppingLimits(tokens=9_000)) == (
        "9,000 of 9,000 tokens are spent"
    )


def test_hours_are_kept_as_minutes_and_the_shorter_limit_counts() -> None:
    assert Budget(hours=2).minutes == 120.0
    assert Budget(hours=2, minutes=90).minutes == 90.0
    assert Budget.model_validate(Budget(hours=2).model_dump()) == Budget(minutes=120)


def test_a_budget_must_pay_for_the_next_generation() -> None:
    limits = StoppingLimits(item_evaluations=1000)
    assert reason_to_stop(replace(YOUNG, next_cost=100), limits) is None
    assert reason_to_stop(replace(YOUNG, next_cost=101), limits) == (
        "900 of 1,000 item evaluations are spent, and the next generation may take 101"
    )


def test_making_up_for_a_loss_is_no_progress() -> None:
    limits = StoppingLimits(stagnation=2)
    recovered = replace(YOUNG, selection_history=(0.5, 0.6, 0.3, 0.4, 0.6))
    assert reason_to_stop(recovered, limits) is not None
    risen = replace(YOUNG, selection_history=(0.5, 0.6, 0.3, 0.7, 0.4))
    assert reason_to_stop(risen, limits) is None


def test_many_small_steps_are_progress_together() -> None:
    creeping = replace(YOUNG, selection_history=[0.5 + 0.01 * n for n in range(10)])
    assert reason_to_stop(creeping, StoppingLimits(stagnation=5, improvement=0.03)) is None
    assert reason_to_stop(creeping, StoppingLimits(stagnation=2, improvement=0.03)) is not None


def test_success_is_named_before_exhaustion() -> None:
    limits = StoppingLimits(item_evaluations=1, generations=1, seconds=1, stagnation=1, target=0.1)
    assert "target" in str(reason_to_stop(YOUNG, limits))


def test_before_the_first_champion_there_is_no_target_and_no_stagnation() -> None:
    nobody = replace(YOUNG, selection_history=())
    assert reason_to_stop(nobody, StoppingLimits(target=0.0, stagnation=1)) is None
