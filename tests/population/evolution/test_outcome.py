"""Finals and outcome: who is looked at again, who lives on, and what is learned from it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from lineage.records import Floats, Parent
from population.config import Search
from population.evolution.bandit import Arm, Bandit, new_bandit
from population.evolution.evolution_strategy import (
    STRIDE_DECAY,
    EvolutionStrategyEmitter,
    new_emitter,
    update_emitter,
)
from population.evolution.finals import Race, run_race, select_finalists
from population.evolution.outcome import outcome_of
from population.evolution.population_state import BreedingState, Members, SearchState
from population.evolution.proposals import (
    CENTRE,
    EMITTER,
    Offspring,
    Outcome,
    Panel,
    Proposal,
    Proposals,
)
from population.evolution.spaces import Space
from population.evolution.survival import RULES

ITEMS = 8
"""On the panel."""
SPACE = Space(
    low=np.full(2, -9.0),
    high=np.full(2, 9.0),
    block=np.arange(2),
    step=np.ones(2),
    integer=np.zeros(2, dtype=bool),
)
SEARCH = Search(population=4, brood=4, finalists=3, rounds=2, survival="elitism", patience=3)
STEPS = np.array([[1.0, 0.0], [0.0, 1.0]])
MINE = (Parent(3, 1.0, "first"),)
"""The parents of the emitter's children: its origin."""
PAIR = (Parent(1, 0.25, "first"), Parent(4, 0.75, "mate"))


@dataclass
class PanelScores:
    """What offspring score on the panel, and what they were asked.

    Attributes:
        living: shape (living, items).
        finals: by row of the offspring, its scores on the panel.
        rounds: columns of each round of the race.
        weights: of the items.
        asked: rows and columns of every round, in order.
    """

    living: Floats
    finals: dict[int, Floats]
    rounds: tuple[tuple[int, ...], ...] = (
        tuple(range(1, ITEMS, 2)),
        tuple(range(0, ITEMS, 2)),
    )
    weights: Floats = field(default_factory=lambda: np.full(ITEMS, 1 / ITEMS))
    asked: list[tuple[list[int], list[int]]] = field(default_factory=list)

    def score(self, rows: Sequence[int], columns: Sequence[int]) -> Floats:
        self.asked.append((list(rows), list(columns)))
        return np.array([self.finals[row][list(columns)] for row in rows])

    def outcome(
        self,
        state: BreedingState,
        offspring: Offspring,
        search: Search,
        space: Space | None = None,
    ) -> Outcome:
        """Of the race on this panel."""
        panel = Panel(self.living, self.weights, self.rounds)
        self.race = run_race(state, offspring, panel, search, self.score)
        return outcome_of(
            state, offspring, panel, self.race, space or SPACE, search, RULES[search.survival]
        )

    race: Race = field(init=False)


def solved(count: float, items: int = ITEMS) -> Floats:
    """Scores of somebody who solves the first so many items."""
    return np.clip(count - np.arange(items), 0.0, 1.0)


def stock_of(
    *solves: float,
    founder_shares: Floats | None = None,
    emitter: EvolutionStrategyEmitter | None = None,
    origin: int = 3,
    bandit: Bandit | None = None,
    coverage: float = 0.0,
) -> BreedingState:
    """Two founders, and offspring 3, 4, ... that solve so many items of the panel."""
    halves = np.array([[1.0, 0.0], [0.0, 1.0], *[[0.5, 0.5]] * len(solves)])
    ids = tuple(range(1, len(solves) + 3))
    scores = np.array([solved(0), solved(1), *map(solved, solves)])
    members = Members(
        ids=ids,
        founders=2,
        genomes=np.arange(2.0 * len(ids)).reshape(-1, 2),
        hashes=tuple(f"old {model}" for model in ids),
        scores=scores,
        means=scores.mean(axis=1),
        relationship=np.eye(len(ids)),
        founder_shares=halves if founder_shares is None else founder_shares,
        children=np.zeros(len(ids)),
        rating=np.zeros(len(ids)),
        deviation=np.ones(len(ids)),
    )
    search = SearchState(
        emitter or new_emitter(np.zeros(2)),
        origin,
        bandit or new_bandit({"blend": 1.0, "gate": 1.0}),
    )
    return BreedingState(5, members, search, champion=3, next_id=20, coverage=coverage)


def brood_of(*kinds: str, scores: Floats, **changes: object) -> Offspring:
    """Children 20, 21, ...; with a centre, its pairs come behind it."""
    children = tuple(
        Proposal(kind, MINE if kind in {CENTRE, EMITTER} else PAIR, np.array([row, -1.0]))
        for row, kind in enumerate(kinds)
    )
    plain = Offspring(
        proposals=Proposals(children, STEPS[: kinds.count(EMITTER) // 2]),
        hashes=tuple(f"new {row}" for row in range(len(kinds))),
        scores=scores,
        causes=(None,) * len(kinds),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def few(*means: float, items: int = 10) -> Floats:
    """Scores on the generation's items, with the same luck for everybody."""
    luck = np.linspace(-0.1, 0.1, items)
    return np.array(means)[:, None] + luck


EMITTED = (CENTRE, EMITTER, EMITTER, EMITTER, EMITTER, "blend", "gate")


def judged(
    stock: BreedingState, brood: Offspring, finals: dict[int, float], **changes: object
) -> tuple[Outcome, PanelScores]:
    scores = PanelScores(
        stock.members.scores, {row: solved(count) for row, count in finals.items()}
    )
    return scores.outcome(stock, brood, SEARCH.model_copy(update=changes)), scores


# Who is looked at again


def test_the_centre_and_the_best_others_are_promising() -> None:
    brood = brood_of(*EMITTED, scores=few(0.1, 0.5, 0.2, 0.3, 0.4, 0.6, 0.1))
    assert select_finalists(brood, 3) == [0, 1, 5]
    assert select_finalists(brood, 1) == [0]
    assert select_finalists(brood, 99) == [0, 1, 2, 3, 4, 5, 6]


def test_the_dead_are_not_promising() -> None:
    causes = ("not finite", None, None, None, None, "lost its language", None)
    brood = brood_of(*EMITTED, scores=few(0.9, 0.5, 0.2, 0.3, 0.4, 0.9, 0.1), causes=causes)
    assert select_finalists(brood, 3) == [1, 3, 4]
    everybody = replace(brood, causes=("not finite",) * 7)
    assert select_finalists(everybody, 3) == []


def test_luck_is_taken_back_by_what_the_kind_came_to() -> None:
    """One of a poor kind was as good as one of a good kind, on few items: it was the luckier."""
    rng = np.random.default_rng(0)
    chances = [0.3, 0.55, 0.5, 0.5, 0.55, 0.1, 0.1, 0.1, 0.1]
    scores = (rng.random((9, 12)) < np.array(chances)[:, None]).astype(float)
    scores[[1, 8]] = np.arange(12) % 2 < 1  # both solve half of the items
    kinds = (CENTRE, EMITTER, EMITTER, EMITTER, EMITTER, *["blend"] * 4)
    brood = brood_of(*kinds, scores=scores)
    ranked = [select_finalists(brood, count) for count in range(2, 10)]
    placed = {row: next(n for n, rows in enumerate(ranked) if row in rows) for row in (1, 8)}
    assert placed[1] < placed[8]


def test_a_race_drops_who_cannot_get_a_place_and_asks_it_no_more() -> None:
    stock = stock_of(8, 8, 8, 8)
    brood = brood_of("blend", "gate", scores=few(0.5, 0.4))
    found, host = judged(stock, brood, {0: 8, 1: 0}, race=0.0)
    assert host.asked == [([0, 1], [1, 3, 5, 7]), ([0], [0, 2, 4, 6])]
    assert found.finishers == (0,)
    assert found.deaths[21] == "outraced"


def test_the_centre_finishes_whatever_it_scores() -> None:
    stock = stock_of(8, 8, 8, 8)
    brood = brood_of(*EMITTED, scores=few(*np.linspace(0.4, 0.5, 7)))
    found, host = judged(stock, brood, dict.fromkeys(range(7), 0), race=0.0)
    assert [len(rows) for rows, _ in host.asked] == [3, 1]
    assert found.finishers == (0,)
    assert found.deaths.keys() == {6, *range(21, 27)}


def test_scores_come_back_in_the_panels_order() -> None:
    brood = brood_of("blend", scores=few(0.5))
    found, host = judged(stock_of(5, 1, 1), brood, {0: 3.5})
    assert host.race.scores.tolist() == [solved(3.5).tolist()]
    assert found.living == (3, 4, 5, 20)


def test_one_round_races_nobody() -> None:
    stock = stock_of(8, 8, 8, 8)
    brood = brood_of("blend", "gate", scores=few(0.5, 0.4))
    host = PanelScores(
        stock.members.scores, {0: solved(0), 1: solved(0)}, rounds=(tuple(range(ITEMS)),)
    )
    assert host.outcome(stock, brood, SEARCH).finishers == (0, 1)


def test_who_dies_when_it_is_looked_at_gets_no_place() -> None:
    brood = brood_of(*EMITTED, scores=few(0.5, 0.5, 0.1, 0.1, 0.1, 0.5, 0.1))
    stock = stock_of(1, 1, 1, 1)
    host = PanelScores(
        stock.members.scores, {0: np.full(ITEMS, np.nan), 1: solved(8), 5: solved(7)}
    )
    found = host.outcome(stock, brood, SEARCH)
    assert [len(rows) for rows, _ in host.asked] == [3, 2]
    assert found.finishers == (1, 5)
    assert 20 in found.deaths
    assert {21, 25} <= set(found.living)
    assert found.search.emitter.stalled == 1


def test_a_brood_that_is_all_dead_changes_nobody() -> None:
    stock = stock_of(4, 3, 2, 1, coverage=0.25)
    causes = ("not finite",) * 7
    brood = brood_of(*EMITTED, scores=np.zeros((7, 10)), causes=causes)
    found, host = judged(stock, brood, {})
    assert host.asked == []
    assert host.race.scores.shape == (0, ITEMS)
    assert found.living == (3, 4, 5, 6)
    assert found.deaths == dict.fromkeys(range(20, 27), "not finite")
    assert np.array_equal(found.search.emitter.centre, stock.search.emitter.centre)


# Who lives on


def test_everyone_who_does_not_live_died_of_something() -> None:
    stock = stock_of(8, 6, 6, 6)
    causes = (None, None, None, "norms exploded", None, None, None)
    brood = brood_of(*EMITTED, scores=few(0.5, 0.4, 0.1, 0.0, 0.1, 0.6, 0.1), causes=causes)
    found, _ = judged(stock, brood, {0: 7, 1: 0, 5: 7.5})
    assert found.living == (3, 4, 20, 25)
    assert found.deaths == {
        5: "outscored",
        6: "outscored",
        21: "outraced",
        22: "unpromising",
        23: "norms exploded",
        24: "unpromising",
        26: "unpromising",
    }


def test_champion_and_origin_live_whatever_they_score() -> None:
    stock = stock_of(0, 1, 2, 3, 4, origin=4)
    found, _ = judged(
        stock, brood_of(*EMITTED, scores=few(*[0.5] * 7)), {0: 8, 1: 0, 2: 0}, population=3
    )
    assert found.living == (3, 4, 20)


def test_an_origin_that_no_strategy_searches_from_gives_way() -> None:
    stock = stock_of(0, 1, 2, 3, 4, origin=4)
    found, _ = judged(stock, brood_of("blend", scores=few(0.5)), {0: 8}, population=3)
    assert found.living == (3, 7, 20)
    assert found.search.origin == 3


def test_the_newest_centre_lives_whatever_it_scores() -> None:
    """Otherwise one lucky elite would hold the search up."""
    stock = stock_of(8, 7, 6, 5)
    found, _ = judged(stock, brood_of(*EMITTED, scores=few(*[0.5] * 7)), {0: 1, 1: 2, 2: 2})
    assert set(found.living) == {3, 4, 5, 20}
    assert found.search.origin == 3


def test_a_twin_of_the_living_gets_no_place() -> None:
    stock = stock_of(5, 4)
    brood = brood_of("blend", scores=few(0.5), hashes=("old 3",))
    found, _ = judged(stock, brood, {0: 5})
    assert found.living == (3, 4)
    assert found.deaths == {20: "outscored"}


def test_a_child_has_its_parents_lines() -> None:
    """Two places, by the rule that keeps the best of each founder's line: the child holds one."""
    stock = stock_of(8, 7, 6, founder_shares=np.array([[1, 0], [0, 1], [1, 0], [1, 0], [0.4, 0.6]]))
    mother = (Parent(2, 1.0, "first"),)
    brood = brood_of("blend", scores=few(0.5))
    child = replace(brood.children[0], parents=mother)
    brood = replace(brood, proposals=Proposals((child,)))
    found, _ = judged(stock, brood, {0: 6.5}, survival="novelty", population=2)
    assert found.living == (3, 20)


def test_places_go_by_the_panels_weights() -> None:
    stock = stock_of(4, 4, 4)
    host = PanelScores(stock.members.scores, {0: solved(8) - solved(4)})
    host.weights = np.array([0.15] * 4 + [0.1] * 4)
    brood = brood_of("blend", scores=few(0.5))
    search = SEARCH.model_copy(update={"population": 3})
    assert host.outcome(stock, brood, search).living == (3, 4, 5)
    host.weights = host.weights[::-1]
    assert host.outcome(stock, brood, search).living == (3, 4, 20)


def test_coverage_is_the_most_that_the_living_ever_solved() -> None:
    found, _ = judged(stock_of(4, 2), brood_of("blend", scores=few(0.5)), {0: 6})
    assert found.coverage == 6 / ITEMS
    found, _ = judged(stock_of(4, 2, coverage=0.9), brood_of("blend", scores=few(0.5)), {0: 6})
    assert found.coverage == 0.9


# What the searchers learn


def test_the_emitter_moves_by_what_its_pairs_scored() -> None:
    stock = stock_of(4, 3, 2, 1)
    brood = brood_of(*EMITTED, scores=few(0.3, 0.5, 0.2, 0.1, 0.4, 0.6, 0.1))
    found, _ = judged(stock, brood, {0: 0, 1: 0, 5: 0})
    expected = update_emitter(
        stock.search.emitter, SPACE, STEPS, brood.scores[1:5], rate=SEARCH.rate
    )
    assert np.array_equal(found.search.emitter.centre, expected.centre)
    assert found.search.emitter.centre[0] > 0 > found.search.emitter.centre[1]
    assert found.search.emitter.steps == 1
    plain, _ = judged(stock, brood_of("blend", scores=few(0.5)), {0: 0})
    assert plain.search.emitter.steps == 0


def test_sharing_is_the_generations_own() -> None:
    stock = stock_of(4, 3, 2, 1)
    brood = brood_of(*EMITTED, scores=np.random.default_rng(0).random((7, 10)))
    host = PanelScores(stock.members.scores, {row: solved(0) for row in range(7)})
    for sharing in (0.0, 2.0):
        shared = replace(brood, proposals=replace(brood.proposals, sharing=sharing))
        found = host.outcome(stock, shared, SEARCH)
        expected = update_emitter(
            stock.search.emitter, SPACE, STEPS, brood.scores[1:5], rate=SEARCH.rate, sharing=sharing
        )
        assert np.array_equal(found.search.emitter.centre, expected.centre)


def test_the_origin_follows_a_better_centre() -> None:
    stock = stock_of(4, 3, 2, 1, emitter=replace(new_emitter(np.zeros(2)), stalled=2))
    brood = brood_of(*EMITTED, scores=few(*[0.5] * 7))
    found, _ = judged(stock, brood, {0: 5, 1: 8, 2: 8})
    assert (found.search.origin, found.search.emitter.stalled) == (20, 0)


@pytest.mark.parametrize("count", [4, 3.5])
def test_the_origin_stays_where_a_centre_is_no_better(count: float) -> None:
    brood = brood_of(*EMITTED, scores=few(*[0.5] * 7))
    found, _ = judged(stock_of(4, 3, 2, 1), brood, {0: count, 1: 8, 2: 8})
    assert (found.search.origin, found.search.emitter.stalled) == (3, 1)


def test_who_stalls_cuts_more_finely_and_then_goes_to_who_is_better_beyond_doubt() -> None:
    levels = (np.array([0, 0]), np.array([0, 1]))
    space = replace(SPACE, levels=levels)
    stock = stock_of(1, 2, 2, 1)
    brood = brood_of(*EMITTED, scores=few(*[0.5] * 7))
    host = PanelScores(stock.members.scores, {0: solved(1), 1: solved(8), 2: solved(2)})
    seen = []
    for _ in range(6):
        found = host.outcome(stock, brood, SEARCH, space)
        emitter = found.search.emitter
        seen.append((emitter.level, emitter.stalled, found.search.origin))
        stock = replace(stock, search=replace(stock.search, emitter=emitter))
    assert seen == [(0, 1, 3), (0, 2, 3), (1, 0, 3), (1, 1, 3), (1, 2, 3), (1, 0, 21)]
    assert np.array_equal(stock.search.emitter.centre, brood.children[1].genome)
    assert (stock.search.emitter.steps, stock.search.emitter.level) == (0, 1)
    assert not stock.search.emitter.gradient.any()


def test_who_stalls_goes_on_in_shorter_steps_unless_somebody_is_better_beyond_doubt() -> None:
    stalled = replace(new_emitter(np.zeros(2)), stalled=SEARCH.patience - 1)
    stock = stock_of(1, 2, 2, 1, emitter=stalled)
    brood = brood_of(*EMITTED, scores=few(*[0.5] * 7))
    found, _ = judged(stock, brood, {0: 1, 1: 2, 2: 2})
    assert (found.search.origin, found.search.emitter.stalled) == (3, 0)
    assert found.search.emitter.steps == 1
    assert found.search.emitter.stride == STRIDE_DECAY


def test_shorter_strides_move_the_centre_less() -> None:
    brood = brood_of(*EMITTED, scores=few(0.3, 0.5, 0.2, 0.1, 0.4, 0.6, 0.1))
    moves = []
    for stride in (1.0, 0.5):
        emitter = replace(new_emitter(np.zeros(2)), stride=stride)
        found, _ = judged(stock_of(4, 3, 2, 1, emitter=emitter), brood, {0: 0, 1: 0, 5: 0})
        assert found.search.emitter.stride == stride
        moves.append(found.search.emitter.centre)
    np.testing.assert_allclose(moves[1], 0.5 * moves[0])


def test_it_may_go_to_one_who_lived_before() -> None:
    stalled = replace(new_emitter(np.zeros(2)), stalled=SEARCH.patience - 1)
    stock = stock_of(1, 8, 2, 1, emitter=stalled)
    brood = brood_of(*EMITTED, scores=few(*[0.5] * 7))
    found, _ = judged(stock, brood, {0: 1, 1: 2, 2: 2})
    assert found.search.origin == 4
    assert np.array_equal(found.search.emitter.centre, stock.members.genomes[3])


def test_operators_earn_places_and_pay_for_items() -> None:
    stock = stock_of(4, 3, 2, 1)
    brood = brood_of(*EMITTED, "gate", scores=few(0.5, 0.1, 0.1, 0.1, 0.1, 0.6, 0.55, 0.1))
    found, _ = judged(stock, brood, {0: 4, 5: 5, 6: 0}, race=0.0)
    # blend: one child, all of the panel. gate: one outscored or outraced, one unpromising.
    assert found.search.bandit["blend"] == Arm(0.5, 1.0, 1.0, 10.0 + ITEMS)
    gate = found.search.bandit["gate"]
    assert (gate.tries, gate.successes) == (2.0, 0.0)
    assert gate.cost in {10.0 + ITEMS + 10.0, 10.0 + ITEMS / 2 + 10.0}
    assert set(found.search.bandit) == {"blend", "gate"}


def test_experience_of_operators_fades() -> None:
    known = {"blend": Arm(0.5, 10.0, 5.0, 100.0), "gate": Arm(0.5)}
    stock = stock_of(4, 3, 2, 1, bandit=known)
    found, _ = judged(stock, brood_of("gate", scores=few(0.5)), {0: 0})
    assert found.search.bandit["blend"].tries == pytest.approx(9.7)
    assert found.search.bandit["blend"].cost == pytest.approx(97.0)
