"""The arena's rules: what judges see, who is believed, what follows, who mates with whom."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.judges import JUDGES, Replies, Slate, replies_by_mode, slate_of
from arena.judges.consensus import own_answers
from arena.judges.likelihood import by_reading
from arena.judges.preference import by_comparison
from arena.matches.adjudication import adjudicate, record_of
from arena.matches.items import HIDDEN, hopeless, round_items
from arena.matches.outcomes import decided, supports
from arena.matches.round_inputs import Memory, Rules
from arena.reliability.canaries import plant_canaries
from arena.reliability.jury import select_jury
from arena.reliability.kin import RIGHT_IS_KIN, STRANGERS, WRONG_IS_KIN, closer_side
from arena.reliability.trust import earlier_counts, hits_and_misses, verdict_weights
from arena.tasks.answers import LONGEST_ANSWER, canonical, judge_question
from lineage.records import Answer, Floats, Item, PairComparison, Reading, Trust
from population.evolution.selection.parents import (
    attraction,
    select_by_tournament,
    shared_fitness,
    tournament_strength,
)
from tests.arena_players import Honest, Numbers, panel_of, played, skills

ITEMS = [(f"q{n}", "sums") for n in range(12)]


def slate_with(
    table: dict[int, list[str]],
    checkable: int = 0,
) -> Slate:
    """A slate from each contestant's answers; "right" is right, where that may be looked up."""
    answers = [
        Answer(item, model, text)
        for model, texts in table.items()
        for (item, _), text in zip(ITEMS, texts, strict=False)
    ]
    items = ITEMS[: max(len(texts) for texts in table.values())]
    open_items = {item for item, _ in items[:checkable]}
    return slate_of(
        sorted(table),
        items,
        answers,
        verify=lambda item, answer: float(answer == "right") if item in open_items else None,
    )


def replies_to(
    readings: Sequence[Reading] = (), comparisons: Sequence[PairComparison] = ()
) -> Replies:
    """What the judges of the one mode replied that there is."""
    (replies,) = replies_by_mode(readings, comparisons).values()
    return replies


def strangers(models: int) -> dict[int, Floats]:
    return dict(enumerate(np.eye(models), start=1))


def support_of(slate: Slate, relationship: dict[int, Floats] | None = None) -> Floats:
    """Everybody's mean result on every item, judges deciding."""
    related = relationship or strangers(len(slate.models))
    return supports(slate, adjudicate(slate, related, {}, verifier=False).matches)


# What judges see


def test_canonical_answers_leave_a_judge_nothing_to_be_impressed_by() -> None:
    assert canonical("  4２\x00\n") == "42"
    assert len(canonical("so " * 500)) <= LONGEST_ANSWER


def test_answers_are_read_in_the_words_of_the_task() -> None:
    item = Item("q", "t", "search", "Capital of France?", "Paris", "France's capital is {}, sir.")
    asked, text = judge_question(item, "Rome")
    assert (asked.prompt, text) == ("France's capital is ", "Rome, sir.")
    assert judge_question(Item("q", "t", "search", "1+1=", "2"), "3")[1] == "3"


def test_canaries_are_wrong_and_nobodys() -> None:
    task = Numbers()
    items = task.items("search", 0, 6)
    given = [[item.key or "", "123"] for item in items]
    planted = plant_canaries({"numbers": task}, items, given)
    assert [canary.kind for canary in planted] == ["empty", "padded", "instruction"] * 2
    for canary, item, answers in zip(planted, items, given, strict=True):
        assert task.verify(item, canary.answer) == 0.0
        assert canary.answer not in answers
        assert len(canary.answer) <= LONGEST_ANSWER


# How judges vote


def test_consensus_believes_the_many_and_nobody_votes_for_itself() -> None:
    support = support_of(slate_with({1: ["a"] * 3, 2: ["a"] * 3, 3: ["a"] * 3, 4: ["b"] * 3}))
    assert support[0] == pytest.approx(support[1])
    assert (support[0] > 0.5).all()
    assert (support[3] < 0.5).all()
    alone = adjudicate(slate_with({1: ["a"], 2: ["b"]}), strangers(2), {}, verifier=False)
    assert len(alone.matches.a) == 0


def test_likelihood_ranks_within_judge_and_item() -> None:
    """A judge whose log-likelihoods are all low has the same say as one whose are all high."""
    readings = [
        Reading("q0", judge, "likelihood", text, level - gap)
        for judge, level in ((1, -1.0), (2, -500.0))
        for text, gap in (("a", 0.0), ("b", 1.0), ("c", 2.0))
    ]
    slate = slate_with({1: ["a"], 2: ["b"], 3: ["c"]})
    (signs,) = by_reading(slate, replies_to(readings)).signs
    assert signs[0].tolist() == signs[1].tolist() == [[0, 1, 1], [-1, 0, 1], [-1, -1, 0]]


def test_a_judge_says_nothing_of_what_it_has_not_read() -> None:
    slate = slate_with({1: ["a"], 2: ["b"], 3: ["c"]})
    read = [Reading("q0", 1, "likelihood", t, -1.0) for t in "ab"]
    (signs,) = by_reading(slate, replies_to(read)).signs
    assert signs[0, :, 2].tolist() == signs[0, 2, :].tolist() == [0, 0, 0]


def test_a_preference_that_depends_on_the_order_is_none() -> None:
    compared = [
        PairComparison("q0", 1, "preference", "a", "b", 2.0, 1.0),
        PairComparison("q1", 1, "preference", "a", "b", 2.0, -1.0),
    ]
    slate = slate_with({1: ["a", "a"], 2: ["b", "b"]})
    agreed, torn = by_comparison(slate, replies_to(comparisons=compared)).signs
    assert agreed[0].tolist() == [[0, 1], [-1, 0]]
    assert not torn.any()


def test_every_kind_of_judge_is_antisymmetric() -> None:
    """Whoever prefers a to b does not prefer b to a."""
    readings = [Reading("q0", 1, "likelihood", text, -float(n)) for n, text in enumerate("abc")]
    compared = [PairComparison("q0", 2, "preference", "a", "c", -1.0, -2.0)]
    slate = slate_with({1: ["a"], 2: ["b"], 3: ["c"]})
    replies = replies_by_mode(readings, compared)
    for mode, kind in JUDGES.items():
        for signs in kind.votes(slate, replies.get(mode, Replies())).signs:
            np.testing.assert_array_equal(signs, -signs.swapaxes(1, 2))


# Who is believed


def test_trust_earned_on_keys_outvotes_a_wrong_majority() -> None:
    """Three models share their mistakes; where keys are known they are found out."""
    wrong, right = ["wrong"] * 12, ["right"] * 12
    table = {1: wrong, 2: wrong, 3: wrong, 4: right, 5: right}
    blind = support_of(slate_with(table))
    assert (blind[0] > blind[3]).all()
    seeing = support_of(slate_with(table, checkable=8))
    assert (seeing[3, 8:] > seeing[0, 8:]).all()


def test_an_item_is_never_judged_with_the_trust_it_gave() -> None:
    """The only item of which a key is known: its evidence is left out there."""
    slate = slate_with({1: ["right"], 2: ["wrong"], 3: ["right"]}, checkable=1)
    ballots = own_answers(slate)
    hits, misses = hits_and_misses(slate, ballots, np.eye(3))
    assert hits[:, 0, STRANGERS].tolist() == [1.0, 0.0, 1.0]
    assert misses[:, 0, STRANGERS].tolist() == [0.0, 0.0, 0.0]  # nobody judges its own match
    told = verdict_weights(hits, misses, np.array([0]), hits, misses)
    nothing = verdict_weights(0 * hits, 0 * misses, np.array([0]), 0 * hits, 0 * misses)
    np.testing.assert_allclose(told.balanced, nothing.balanced)


def test_trust_is_counted_by_whose_kin_is_wrong() -> None:
    """Judge 3 is kin of 2: it is right among strangers, and praises 2 where that is wrong."""
    relationship = np.eye(3)
    relationship[2, 1] = relationship[1, 2] = 0.5
    readings = [
        Reading(item, 3, "likelihood", text, value)
        for item, _ in ITEMS
        for text, value in (("right", -2.0), ("wrong", -1.0), ("third", -3.0))
    ]
    slate = slate_with({1: ["right"] * 12, 2: ["wrong"] * 12, 3: ["third"] * 12}, 12)
    hits, misses = hits_and_misses(
        slate, by_reading(slate, replies_to(readings)), relationship[[2]]
    )
    assert hits[0, :, WRONG_IS_KIN].sum() == 0.0
    assert misses[0, :, WRONG_IS_KIN].sum() == 12.0
    assert misses[0, :, STRANGERS].sum() == misses[0, :, RIGHT_IS_KIN].sum() == 0.0


def test_praise_of_kin_is_worth_what_it_proved() -> None:
    """A judge that always praises kin has said nothing with it, and much with blame of kin."""
    hits, misses = np.zeros((1, 1, 4)), np.zeros((1, 1, 4))
    hits[0, 0, RIGHT_IS_KIN], misses[0, 0, WRONG_IS_KIN] = 40.0, 40.0
    hits[0, 0, STRANGERS] = 40.0
    none = np.zeros((1, 1, 4))
    told = verdict_weights(hits, misses, np.array([0]), none, none)
    assert told.for_kin[0, 0] == 0.0
    assert told.balanced[0, 0] > 2.0
    misses[0, 0, WRONG_IS_KIN], hits[0, 0, WRONG_IS_KIN] = 0.0, 40.0
    assert verdict_weights(hits, misses, np.array([0]), none, none).for_kin[0, 0] > 2.0


def test_a_little_known_judge_says_little() -> None:
    def belief(right: float, wrong: float) -> float:
        hits, misses = np.zeros((1, 1, 4)), np.zeros((1, 1, 4))
        hits[0, 0, STRANGERS], misses[0, 0, STRANGERS] = right, wrong
        none = np.zeros((1, 1, 4))
        return float(verdict_weights(hits, misses, np.array([0]), none, none).balanced[0, 0])

    assert belief(0, 0) == belief(20, 20) == 0.0
    assert 0.0 <= belief(3, 0) < belief(30, 0) < belief(300, 0)


def test_records_are_looked_up_by_judge_mode_task_and_stratum() -> None:
    known = record_of([Trust(2, "consensus", "sums", "right is kin", 3.0, 1.0)])
    hits, misses = earlier_counts(known, [1, 2], "consensus", ["other", "sums"])
    assert hits[1, 1, RIGHT_IS_KIN] == 3.0
    assert hits.sum() == 3.0
    assert misses.sum() == 1.0


def test_who_is_closer_to_neither_is_closer_to_nobody() -> None:
    related = np.array([[0.5, 0.5, 0.9], [0.0, 0.04, 0.4]])
    assert closer_side(related, [0, 1, 2], [1, 2, 0]).tolist() == [[0, -1, 1], [0, -1, 1]]


# What follows


def test_keys_decide_where_they_may_be_looked_at() -> None:
    slate = slate_with({1: ["wrong"] * 2, 2: ["wrong"] * 2, 3: ["right"] * 2}, checkable=1)
    matches = decided(slate, [], verifier=True)
    assert set(matches.item.tolist()) == {0}
    for a, b, score in zip(matches.a, matches.b, matches.score, strict=True):
        assert score == (1.0 if a == 2 else 0.0 if b == 2 else 0.5)
    assert len(decided(slate, [], verifier=False).a) == 0


def test_who_was_not_asked_plays_no_match() -> None:
    answers = [Answer("q0", 1, "a"), Answer("q0", 2, "b"), Answer("q0", 4, "b")]
    slate = slate_of([1, 2, 3, 4], ITEMS[:1], answers)
    result = adjudicate(slate, strangers(4), {}, verifier=False)
    assert 2 not in {*result.matches.a.tolist(), *result.matches.b.tolist()}
    assert np.isnan(supports(slate, result.matches)[2]).all()


def test_the_jury_is_trusted_and_from_distant_lines() -> None:
    trust = np.array([0.9, 0.89, 0.6, 0.1])
    related = np.eye(4)
    related[0, 1] = related[1, 0] = 0.9
    assert select_jury([1, 2, 3, 4], related, trust, 2) == [1, 3]
    assert select_jury([1, 2, 3, 4], related, trust, 2, seated=[4]) == [4, 1]
    assert sorted(select_jury([1, 2], related[:2, :2], trust[:2], 5)) == [1, 2]


# Rounds


def test_a_panel_is_of_all_tasks_alike_partly_hidden_and_half_checkable() -> None:
    tasks = [Numbers(name) for name in ("a", "b", "c", "d")]
    known = [item for task in tasks for item in task.items("search", 0, 20)]
    fresh = [item for task in tasks for item in task.items("search", 1, 20)]
    panel = round_items(known, fresh, 48, 0.5)
    count = {task.name: sum(i.task == task.name for i in panel.items) for task in tasks}
    assert set(count.values()) == {12}
    hidden = [item for item in panel.items if item in fresh]
    assert len(hidden) == HIDDEN * 48
    checkable = [item for item in panel.items if item.id in panel.checkable]
    assert len(checkable) == 24
    assert {item.task for item in checkable} == set(count)
    for rung in panel.rungs():
        here = [item.task for item in panel.items[:rung]]
        assert max(map(here.count, count)) - min(map(here.count, count)) <= 1


def test_items_without_keys_are_never_checkable() -> None:
    items = [Item(f"q{n}", "t", "search", "?", "k" if n % 4 == 0 else None) for n in range(16)]
    panel = round_items(items, [], 16, 0.5)
    assert panel.checkable == {f"q{n}" for n in range(0, 16, 4)}


def test_nothing_is_asked_twice() -> None:
    """A second round on the same panel, with the first in memory, asks nobody and says the same."""
    players = [Honest(n, skill) for n, skill in enumerate(skills(8))]
    panel = panel_of(0, 24)
    first = played(players, panel, Rules())
    again = played(
        players,
        panel,
        Rules(),
        memory=Memory(first.answers, first.readings, first.comparisons, first.canaries),
    )
    assert again.answers == again.readings == again.canaries == ()
    assert again.tokens == again.predicted == 0
    assert again.ratings == first.ratings


def test_the_hopeless_are_let_go_and_the_rest_answers_everything() -> None:
    players = [Honest(n, skill) for n, skill in enumerate([0.02] * 3 + [0.9] * 7)]
    panel = panel_of(0, 40)
    answers = played(players, panel, Rules()).answers
    count = [sum(answer.model == model for answer in answers) for model in range(1, 11)]
    assert set(count[3:]) == {40}
    assert max(count[:3]) < 40
    assert hopeless(np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.1, 0.1])).tolist() == [
        True, False, False,
    ]  # fmt: skip


def test_a_round_costs_about_what_was_predicted() -> None:
    """All rungs climbed by equals, whose answers differ as usual."""
    players = [Honest(n, 0.6) for n in range(8)]
    result = played(players, panel_of(0, 24), Rules())
    assert result.predicted / 2 < result.tokens < 2 * result.predicted


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
    assert select_by_tournament(np.random.default_rng(0), strength, 3) == 1
    assert select_by_tournament(np.random.default_rng(0), strength, 99) == 1
    winners = [select_by_tournament(np.random.default_rng(n), strength, 1) for n in range(60)]
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
