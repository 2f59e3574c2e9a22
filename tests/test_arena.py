"""The arena's rules: who is believed, how ratings come about, who mates with whom."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.choosing import attraction, shared_fitness, tournament, tournament_strength
from arena.judges import JUDGES, Slate, slate_of
from arena.jury import seat_jury
from arena.players import LONGEST_ANSWER, canonical
from arena.ratings import matches_of
from arena.verdicts import earned_trust, supports
from lineage.records import Answer, Reading, Trust

ITEMS = [f"q{n}" for n in range(12)]
KEYS = dict.fromkeys(ITEMS, "right")


def slate(table: dict[int, list[str]], readings: list[Reading] | None = None) -> Slate:
    """A slate from each contestant's answers to the items."""
    answers = [
        Answer(item, model, text)
        for model, texts in table.items()
        for item, text in zip(ITEMS, texts, strict=False)
    ]
    items = ITEMS[: len(next(iter(table.values())))]
    return slate_of(sorted(table), items, answers, readings or [])


def strangers(models: list[int]) -> dict[int, dict[int, float]]:
    return {a: {b: float(a == b) for b in models} for a in models}


def support_of(table: dict[int, list[str]], keys: dict[str, str]) -> dict[int, float]:
    laid = slate(table)
    ballots = [judge(laid) for judge in JUDGES.values()]
    share, _ = supports(laid, ballots, keys, {}, strangers(sorted(table)))
    return dict(zip(laid.models, share.mean(axis=1).tolist(), strict=True))


def test_canonical_answers_leave_a_judge_nothing_to_be_impressed_by() -> None:
    assert canonical("  4２\x00\n") == "42"
    assert len(canonical("so " * 500)) <= LONGEST_ANSWER


def test_consensus_believes_the_many_and_nobody_votes_for_itself() -> None:
    support = support_of({1: ["a"] * 3, 2: ["a"] * 3, 3: ["a"] * 3, 4: ["b"] * 3}, {})
    assert support[1] == support[2] == support[3] == pytest.approx(2 / 3)
    assert support[4] == 0.0  # its own vote would have been the only one


def test_trust_earned_on_keys_outvotes_a_wrong_majority() -> None:
    """Three models share their mistakes; where keys are known they are found out."""
    wrong, right = ["right"] * 2 + ["wrong"] * 10, ["right"] * 12
    table = {1: wrong, 2: wrong, 3: wrong, 4: right, 5: right}
    checkable = {item: KEYS[item] for item in ITEMS[:-2]}
    laid = slate(table)
    share, records = supports(
        laid, [JUDGES["consensus"](laid)], checkable, {}, strangers(sorted(table))
    )
    unchecked = share[:, -1]
    assert unchecked[3] == unchecked[4] > unchecked[0]
    hits = {trust.judge: trust.hits for trust in records}
    assert hits[4] > hits[1]


def test_an_item_is_never_judged_with_the_trust_it_gave() -> None:
    laid = slate({1: ["right"], 2: ["wrong"]})
    ballots = JUDGES["consensus"](laid)
    hits, misses = earned_trust(laid, ballots, KEYS)
    assert hits.tolist() == [[1.0], [0.0]]
    assert misses.tolist() == [[0.0], [1.0]]
    # With its only evidence left out, each judge is believed by the prior alone.
    share, _ = supports(laid, [ballots], KEYS, {}, strangers([1, 2]))
    assert share.tolist() == [[0.0], [0.0]]


def test_praise_from_kin_counts_for_nothing() -> None:
    table = {1: ["a"], 2: ["a"], 3: ["b"], 4: ["b"]}
    laid = slate(table)
    kin = strangers([1, 2, 3, 4])
    kin[1][2] = kin[2][1] = 1.0
    share, _ = supports(laid, [JUDGES["consensus"](laid)], {}, {}, kin)
    assert share[0, 0] == share[1, 0] == 0.0
    assert share[2, 0] == share[3, 0] > 0.0


def test_likelihood_ranks_within_judge_and_item() -> None:
    """A judge whose log-likelihoods are all low has the same say as one whose are all high."""
    readings = [
        Reading("q0", judge, text, level - gap)
        for judge, level in ((1, -1.0), (2, -500.0))
        for text, gap in (("a", 0.0), ("b", 1.0), ("c", 2.0))
    ]
    laid = slate({1: ["a"], 2: ["b"], 3: ["c"]}, readings)
    (votes,) = JUDGES["likelihood"](laid).votes
    assert votes.tolist() == [[1.0, 0.5, 0.0]] * 2


def test_a_judge_that_did_not_read_everything_abstains() -> None:
    laid = slate({1: ["a"], 2: ["b"]}, [Reading("q0", 1, "a", -1.0)])
    assert np.isnan(JUDGES["likelihood"](laid).votes[0]).all()


def test_the_jury_is_trusted_and_from_distant_lines() -> None:
    record = {
        (m, "likelihood"): Trust(m, "likelihood", h, 10 - h)
        for m, h in ((1, 9.0), (2, 8.9), (3, 6.0), (4, 1.0))
    }
    related = np.eye(4)
    related[0, 1] = related[1, 0] = 0.9
    assert seat_jury([1, 2, 3, 4], related, record, 2) == [1, 3]
    assert seat_jury([1, 2, 3, 4], related, record, 2, seated=[4]) == [4, 1]
    assert sorted(seat_jury([1, 2], related[:2, :2], {}, 5)) == [1, 2]


def test_matches_are_between_different_answers_only() -> None:
    laid = slate({1: ["a", "x"], 2: ["a", "y"], 3: ["b", "x"]})
    matches = matches_of(laid, np.array([[0.9, 0.5], [0.9, 0.5], [0.1, 0.5]]))
    rows = zip(matches.a, matches.b, matches.item, matches.score, strict=True)
    assert sorted(rows) == [(0, 1, 1, 0.5), (0, 2, 0, 1.0), (1, 2, 0, 1.0), (1, 2, 1, 0.5)]


# Choosing


def test_what_few_can_do_is_worth_more() -> None:
    scores = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    fitness = shared_fitness(scores)
    assert fitness[2] > fitness[0] == fitness[1]
    np.testing.assert_allclose(shared_fitness(scores, alpha=0.0), [1.0, 1.0, 1.0])


def test_attraction_seeks_what_the_first_lacks_from_somebody_unrelated() -> None:
    scores = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    pull = attraction(scores, 0, np.array([1.0, 0.0, 0.0, 0.9]))
    assert pull[0] == pull[1] == 0.0
    assert pull[2] > pull[3] > 0.0
    assert pull.sum() == pytest.approx(1.0)


@given(st.integers(2, 8), st.integers(1, 6), st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_attraction_is_a_distribution_that_leaves_the_first_out(
    models: int, items: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 2, (models, items)).astype(float)
    pull = attraction(scores, 0, np.eye(models)[0])
    assert pull[0] == 0.0
    assert (pull >= 0).all()
    assert pull.sum() == pytest.approx(1.0)


def test_a_tournament_is_won_by_the_strongest_drawn() -> None:
    strength = np.array([1.0, 5.0, 2.0])
    assert tournament(np.random.default_rng(0), strength, 3) == 1
    assert tournament(np.random.default_rng(0), strength, 99) == 1
    winners = [tournament(np.random.default_rng(n), strength, 1) for n in range(60)]
    assert set(winners) == {0, 1, 2}


def test_many_children_and_a_low_rating_make_a_weaker_suitor() -> None:
    def strength(rating: list[float], children: list[float], weight: float = 1.0) -> np.ndarray:
        rng = np.random.default_rng(0)
        nothing = np.zeros(2)
        return tournament_strength(
            rng, np.array(rating), nothing, np.ones(2), np.array(children), weight
        )

    assert np.argmax(strength([0.0, 1.0], [0.0, 0.0])) == 1
    assert np.argmax(strength([0.0, 0.0], [9.0, 0.0])) == 1
    assert strength([0.0, 5.0], [0.0, 0.0], weight=0.0).tolist() == [1.0, 1.0]
