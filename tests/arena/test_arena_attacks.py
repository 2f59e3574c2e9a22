"""Evolution attacks its judges. Each attack that works elsewhere gains one place at most here.

Everybody plays the same rounds twice: once as it is, and once as it would if it were honest.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from arena.judges import preference
from arena.matches.round_inputs import Memory, Rules
from arena.reliability.canaries import KINDS
from tests.arena_players import (
    ITEMS,
    MODELS,
    RULES,
    AlwaysA,
    Chorus,
    Comparing,
    Constant,
    Honest,
    Padded,
    gain,
    honest,
    panel_of,
    places,
    played,
    skills,
    with_ring,
    worst,
)


@pytest.mark.parametrize("rules", RULES, ids=["verifier", "judges"])
@pytest.mark.parametrize("size", [MODELS // 10, MODELS // 2], ids=["minority", "majority"])
def test_a_ring_that_praises_itself_gains_nothing(size: int, rules: Rules) -> None:
    assert gain(with_ring(worst(size)), worst(size), rules) <= 1.0


@pytest.mark.parametrize("size", [MODELS // 10, MODELS // 2], ids=["minority", "majority"])
def test_nor_does_a_ring_of_one_line(size: int) -> None:
    rows = worst(size)
    related = np.eye(MODELS)
    related[np.ix_(rows, rows)] = 0.9
    np.fill_diagonal(related, 1.0)
    assert gain(with_ring(rows), rows, RULES[1], related) <= 1.0


@pytest.mark.parametrize("size", [MODELS // 10, MODELS // 2], ids=["minority", "majority"])
def test_nor_does_a_chorus_that_makes_the_same_mistakes(size: int) -> None:
    rows = worst(size)
    players = [
        Chorus(player.name, player.skill) if row in rows else player
        for row, player in enumerate(honest())
    ]
    assert gain(players, rows, RULES[1]) <= 1.0


@pytest.mark.parametrize("rules", RULES, ids=["verifier", "judges"])
def test_saying_the_same_to_everything_comes_last(rules: Rules) -> None:
    players = honest()
    players[4] = Constant(players[4].name, players[4].skill)
    for seed in range(2):
        assert places(played(players, panel_of(seed, ITEMS), rules))[5] >= MODELS - 2


@pytest.mark.parametrize("rules", RULES, ids=["verifier", "judges"])
def test_padding_and_talking_to_judges_gains_nothing(rules: Rules) -> None:
    rows = worst(3)
    players = [
        Padded(player.name, player.skill) if row in rows else player
        for row, player in enumerate(honest())
    ]
    assert gain(players, rows, rules) <= 1.0


def test_the_arena_tells_good_from_bad_without_a_key() -> None:
    """Where no key decides a match, ratings follow skill; where none is looked at at all, too."""
    for checkable in (0.5, 0.0):
        ratings = played(honest(), panel_of(0, ITEMS, checkable), RULES[1]).ratings
        found = spearmanr([rated.rating for rated in ratings], skills(MODELS)).statistic
        assert found > 0.9


def test_a_judge_that_always_says_a_is_never_heard() -> None:
    players = [AlwaysA(p.name, p.skill) for p in honest()]
    rules = Rules(judges=3, pairs=preference.PAIRS, verifier=False)
    panel = panel_of(0, 240)
    silent = played(players, panel, replace(rules, pairs=0))
    heard = played(players, panel, rules)
    said = [audit for audit in heard.audits if audit.mode == "preference"]
    assert said
    assert not any(audit.admitted for audit in said)
    assert heard.comparisons
    assert places(heard) == places(silent)


def test_a_judge_that_can_compare_is_heard_once_it_has_shown_it() -> None:
    players = [Comparing(p.name, p.skill) for p in honest()]
    rules = Rules(judges=2, pairs=120, verifier=False)
    first = played(players, panel_of(0, 240), rules)
    assert not any(a.admitted for a in first.audits if a.mode == "preference")
    checkable = {item.item for item in first.asked if item.checkable}
    assert {comparison.item for comparison in first.comparisons} <= checkable
    known = Memory(trust=[*first.trust, *first.trust])
    second = played(players, panel_of(1, 240), rules, memory=known)
    assert any(a.admitted for a in second.audits if a.mode == "preference")
    assert any(c.item not in {i.item for i in second.asked if i.checkable}
               for c in second.comparisons)  # fmt: skip


def test_a_judge_that_likes_canaries_loses_trust() -> None:
    class Gullible(Honest):
        def likelihood(self, item: object, answer: str) -> float:
            return 50.0 if not answer.isdigit() else super().likelihood(item, answer)  # type: ignore[arg-type]

    good = Honest(0, 0.9)
    fooled = Gullible(0, 0.9)
    others = honest()[1:]
    panel = panel_of(0, ITEMS)
    trust = {}
    for name, judge in (("good", good), ("fooled", fooled)):
        result = played([judge, *others], panel, Rules(judges=MODELS))
        assert {canary.kind for canary in result.canaries} == set(KINDS)
        (audit,) = (a for a in result.audits if a.judge == 1 and a.mode == "likelihood")
        trust[name] = audit.trust
    assert trust["fooled"] < trust["good"] - 0.2


def test_a_judge_that_favours_friends_is_sent_off() -> None:
    rows = worst(4)
    result = played(with_ring(rows), panel_of(0, 160), Rules(judges=MODELS))
    sent_off = {a.judge - 1 for a in result.audits if a.mode == "likelihood" and not a.admitted}
    assert sent_off >= set(rows)
    assert len(sent_off - set(rows)) <= 1
