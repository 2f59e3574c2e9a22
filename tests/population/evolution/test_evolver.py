"""Ask and tell in memory: who is proposed, and that nothing but the state decides it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from lineage.ancestry.kinship import Kinship
from lineage.records import Floats, Parent
from population.config import ArenaSettings, Search
from population.evolution.alarms import Alarm
from population.evolution.bandit import new_bandit
from population.evolution.evolution_strategy import mirrored_genomes, new_emitter, sample_steps
from population.evolution.evolver import Evolver
from population.evolution.finals import run_race
from population.evolution.operators import OPERATORS
from population.evolution.population_state import BreedingState, Members, SearchState
from population.evolution.proposals import (
    CENTRE,
    EMITTER,
    RAISE,
    Offspring,
    Panel,
    Proposal,
    Proposals,
)
from population.evolution.spaces import SearchSpace
from population.evolution.spaces.both import BothSpace
from population.evolution.spaces.flow import FlowSpace
from population.evolution.spaces.initial_genomes import equal_parents
from population.evolution.spaces.parameter import ParameterSpace
from population.randomness import generator
from population.weights.geometry import Geometry

SEED, FOUNDERS, PANEL = 11, 4, 20
SPACES: dict[str, SearchSpace] = {
    "parameter": ParameterSpace(FOUNDERS, (1, 2, 3), 5, -1.0, 2.0),
    "flow": FlowSpace((3, 3, 3, 3), longest=6),
    "both": BothSpace((1, 2, 3), 4, -1.0, 2.0, FlowSpace((3, 3, 3, 3, 3), longest=6)),
}
GEOMETRY = Geometry(np.array([np.eye(3)] * 5))
SEARCH = {"population": 6, "brood": 6, "items": 8, "finalists": 3, "rounds": 2, "emitter": 0.4}


class Nest:
    """A population in memory. An item wants all genes near a place of its own.

    Args:
        space: what genomes mean.
        offspring: how many live at first.
        settings: of the search.
    """

    def __init__(self, space: str = "parameter", offspring: int = 6, **settings: object) -> None:
        self.space = SPACES[space]
        self.search = Search.model_validate(SEARCH | settings)
        self.asked: list[Proposals] = []
        first = self.space.initial_genomes(generator(SEED, "first"), 20)[:offspring]
        genomes = [*map(self.space.founder, range(FOUNDERS)), *(genome for _, genome, _ in first)]
        self.kinship = Kinship(range(1, FOUNDERS + 1))
        for model, (_, _, mixed) in enumerate(first, start=FOUNDERS + 1):
            self.kinship.add_birth(model, equal_parents(tuple(row + 1 for row in mixed)))
        operators = {str(name): often for name, often in self.search.operators.items()}
        self.stocks = [
            self._stock(
                tuple(range(1, len(genomes) + 1)),
                np.array(genomes),
                generation=0,
                next_id=len(genomes) + 1,
                search=SearchState(
                    new_emitter(genomes[FOUNDERS]), FOUNDERS + 1, new_bandit(operators)
                ),
            )
        ]

    def bred(self, generations: int, geometry: Geometry | None = GEOMETRY) -> list[BreedingState]:
        """All states, after so many more generations."""
        known = geometry if self.space is SPACES["parameter"] else None
        for _ in range(generations):
            evolver = Evolver(SEED, self.search, ArenaSettings(), self.space, known)
            self._generation(evolver)
        return self.stocks

    @property
    def stock(self) -> BreedingState:
        return self.stocks[-1]

    @property
    def conceived(self) -> list[Proposal]:
        """The last children."""
        return list(self.asked[-1].children)

    def _generation(self, evolver: Evolver) -> None:
        before = self.stock
        proposals = evolver.ask(before)
        genomes = proposals.genomes
        scores = self._scores(genomes, "brood", before.generation, self.search.items)
        offspring = Offspring(proposals, self._hashes(genomes), scores, (None,) * len(genomes))
        rounds = tuple(
            tuple(part.tolist()) for part in np.array_split(np.arange(PANEL), self.search.rounds)
        )
        panel = Panel(before.members.scores, np.full(PANEL, 1 / PANEL), rounds)

        def score(rows: Sequence[int], columns: Sequence[int]) -> Floats:
            return self._scores(genomes[list(rows)], "panel", 0, PANEL)[:, list(columns)]

        race = run_race(before, offspring, panel, self.search, score)
        outcome = evolver.tell(before, offspring, panel, race)
        genome = dict(zip(before.members.ids, before.members.genomes, strict=True))
        for model, child in enumerate(proposals.children, start=before.next_id):
            self.kinship.add_birth(model, child.parents)
            genome[model] = child.genome
        ids = (*before.members.ids[:FOUNDERS], *outcome.living)
        self.kinship.keep(ids)
        self.asked.append(proposals)
        self.stocks.append(
            self._stock(
                ids,
                np.array([genome[model] for model in ids]),
                generation=before.generation + 1,
                next_id=before.next_id + len(proposals.children),
                search=outcome.search,
                coverage=outcome.coverage,
            )
        )

    def _stock(self, ids: tuple[int, ...], genomes: Floats, **parts: object) -> BreedingState:
        genomes.setflags(write=False)
        scores = self._scores(genomes, "panel", 0, PANEL)
        means = scores.mean(axis=1)
        members = Members(
            ids=ids,
            founders=FOUNDERS,
            genomes=genomes,
            hashes=self._hashes(genomes),
            scores=scores,
            means=means,
            relationship=self.kinship.relationship(ids),
            founder_shares=self.kinship.founder_shares(ids),
            children=np.zeros(len(ids)),
            rating=np.zeros(len(ids)),
            deviation=np.ones(len(ids)),
        )
        champion = ids[FOUNDERS + int(np.argmax(means[FOUNDERS:]))]
        return BreedingState(members=members, champion=champion, **parts)  # type: ignore[arg-type]

    def _scores(self, genomes: Floats, what: str, number: int, count: int) -> Floats:
        places = generator(SEED, what, number).uniform(-1, 1, count)
        apart = np.abs(genomes[:, None, :] - places[None, :, None]).mean(axis=2)
        return np.asarray(np.exp(-6.0 * apart))

    @staticmethod
    def _hashes(genomes: Floats) -> tuple[str, ...]:
        return tuple(genome.tobytes().hex() for genome in genomes)


def assert_same(first: Sequence[BreedingState], second: Sequence[BreedingState]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.members.ids == other.members.ids
        assert (one.search.origin, one.champion) == (other.search.origin, other.champion)
        assert one.members.genomes.tobytes() == other.members.genomes.tobytes()
        assert one.search.emitter.centre.tobytes() == other.search.emitter.centre.tobytes()
        assert one.search.bandit == other.search.bandit


@pytest.fixture(params=sorted(SPACES))
def space(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_same_seed_breeds_the_same_whatever_the_process_has_drawn(space: str) -> None:
    first = Nest(space).bred(6)
    np.random.seed(5)  # noqa: NPY002 - what pygad itself would draw from
    np.random.random(100)  # noqa: NPY002
    assert_same(Nest(space).bred(6), first)


def test_a_breeder_that_is_made_anew_every_generation_goes_on_as_if_it_were_not(space: str) -> None:
    whole, again = Nest(space), Nest(space)
    for _ in range(6):
        again.bred(1)
    assert_same(again.stocks, whole.bred(6))


def test_alarms_are_answered_in_the_generation_after_whoever_breeds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even a breeder that has just been made hears them before it picks the first parents."""
    raised = [Alarm("coverage", "much is lost"), Alarm("kinship", "all are kin")]
    quiet = Nest()
    quiet.bred(20)
    monkeypatch.setattr(
        "population.evolution.evolver.diversity_alarms", lambda measures, best: raised
    )
    whole, again, deaf = Nest(emitter=0.0), Nest(emitter=0.0), Nest(alarms=False)
    whole.bred(20)
    for _ in range(20):
        again.bred(1)
    assert_same(again.stocks, whole.stocks)
    assert_same(deaf.bred(20), quiet.stocks)
    assert [asked.alarms for asked in whole.asked] == [tuple(raised)] * 20
    assert [asked.alarms for asked in deaf.asked] == [()] * 20
    # Three sixteenths of six: two of a brood have a founder as mate, unless an ensemble made them.
    for asked in whole.asked:
        for child in asked.children[:2]:
            roles = {parent.role: parent.id for parent in child.parents}
            assert "ensemble" in roles or roles.get("mate", 1) <= FOUNDERS


def test_the_emitter_makes_its_centre_and_mirrored_pairs(space: str) -> None:
    nest = Nest(space, brood=6, emitter=0.85, sigma=0.4)
    nest.bred(3)
    before = nest.stocks[-2]
    kinds = [child.operator for child in nest.conceived]
    assert kinds[:5] == [CENTRE, *[EMITTER] * 4]
    assert kinds[5] in OPERATORS
    emitter, origin = before.search.emitter, before.search.origin
    steps = sample_steps(generator(SEED, "emitter", 3, 0), nest.space.space, emitter.level, 2)
    assert np.array_equal(nest.asked[-1].steps, steps)
    meant = [emitter.average, *mirrored_genomes(emitter.centre, steps, 0.4)]
    repaired = nest.space.repaired(np.array(meant))
    assert np.array_equal([child.genome for child in nest.conceived[:5]], repaired)
    for child in nest.conceived[:5]:
        assert [(parent.id, parent.share) for parent in child.parents] == [(origin, 1.0)]


@pytest.mark.parametrize(("emitter", "stepped"), [(0.0, 0), (0.4, 3), (0.6, 5), (1.0, 5)])
def test_how_many_the_emitter_makes(emitter: float, stepped: int) -> None:
    nest = Nest(emitter=emitter)
    nest.bred(1)
    assert sum(child.operator in {CENTRE, EMITTER} for child in nest.conceived) == stepped
    assert len(nest.conceived) == 6
    assert nest.stock.search.emitter.steps == (stepped > 0)


def test_a_shorter_stride_keeps_children_near_the_centre() -> None:
    near, far = Nest(emitter=0.85), Nest(emitter=0.85)
    learned = near.stock.search
    shorter = replace(learned, emitter=replace(learned.emitter, stride=0.5))
    near.stocks[0] = replace(near.stock, search=shorter)
    apart = []
    for nest in (near, far):
        centre = nest.stock.search.emitter.centre
        nest.bred(1)
        apart.append([child.genome - centre for child in nest.conceived[1:5]])
    np.testing.assert_allclose(2 * np.array(apart[0]), apart[1])


def test_children_are_valid_and_have_parents_that_live(space: str) -> None:
    nest = Nest(space, emitter=0.0)
    nest.bred(8)
    for before, asked in zip(nest.stocks, nest.asked, strict=False):
        for child in asked.children:
            assert np.array_equal(nest.space.repaired(child.genome), child.genome)
            assert child.genome.dtype == np.float64
            ids = [parent.id for parent in child.parents]
            assert len(set(ids)) == len(ids)
            assert set(ids) <= set(before.members.ids)
            assert sum(parent.share for parent in child.parents) == pytest.approx(1.0)


def test_a_gene_of_a_soup_is_rounded_and_not_cut_down() -> None:
    """Most of the best take a layer: then so does their soup."""
    nest = Nest("flow", emitter=0.0, operators={"soup": 1.0}, family=3)
    nest.bred(1)
    before = nest.stocks[0].members
    best = before.genomes[before.best_offspring(3)]
    ranks = np.log(3.5) - np.log([1, 2, 3])
    expected = nest.space.repaired(ranks / ranks.sum() @ best)
    assert np.array_equal(nest.conceived[0].genome, expected)
    assert (expected[::2] > np.floor(ranks / ranks.sum() @ best)[::2]).any()


def test_who_is_few_breeds_few_and_grows(space: str) -> None:
    """A colony that starts with three has small broods until it has all its places."""
    nest, again = Nest(space, offspring=3), Nest(space, offspring=3)
    stocks = nest.bred(8)
    sizes = [len(stock.members.offspring) for stock in stocks]
    assert sizes[0] == 3
    assert sizes[-1] == 6
    assert sizes == sorted(sizes)
    for before, asked in zip(stocks, nest.asked, strict=False):
        assert len(asked.children) == min(6, len(before.members.offspring))
    for _ in range(8):
        again.bred(1)
    assert_same(again.stocks, stocks)


def test_a_large_population_breeds_as_many_as_was_asked() -> None:
    nest = Nest(population=12, brood=4, offspring=12)
    nest.bred(5)
    assert {len(asked.children) for asked in nest.asked} == {4}
    assert {len(stock.members.offspring) for stock in nest.stocks} == {12}


@pytest.mark.parametrize(
    ("gain", "ordered", "raised", "children"),
    [(0.02, (), 1, 1), (0.02, ((5, 6),), 1, 4), (0.01, (), 0, 4), (-0.1, (), 0, 4)],
)
def test_the_best_line_is_raised_alone_for_as_long_as_it_climbs(
    gain: float, ordered: tuple[tuple[int, int], ...], raised: int, children: int
) -> None:
    nest = Nest(brood=4, emitter=0.0, climb=0.01)
    nest.stocks[0] = replace(nest.stock, gain=gain, matings=ordered)
    nest.bred(1)
    members = nest.stocks[0].members
    (best,) = members.best_offspring(1)
    assert len(nest.conceived) == children
    for child in nest.conceived[:raised]:
        assert child.operator == RAISE
        assert child.parents == (Parent(members.ids[best], 1.0, "first"),)
        assert np.array_equal(child.genome, members.genomes[best])
    assert {child.operator for child in nest.conceived[raised:]} <= set(OPERATORS)


def test_nobody_is_raised_unless_it_is_asked_for() -> None:
    nest = Nest(brood=4, emitter=0.0)
    nest.stocks[0] = replace(nest.stock, gain=1.0)
    nest.bred(1)
    assert len(nest.conceived) == 4
    assert RAISE not in {child.operator for child in nest.conceived}


def test_only_what_was_asked_for_is_taken() -> None:
    nest = Nest(emitter=0.0, operators={"gate": 1.0, "slerp": 1.0, "blend": 0.0})
    nest.bred(6)
    made = [child.operator for asked in nest.asked for child in asked.children]
    assert set(made) == {"gate", "slerp"}
    without = Nest("flow", emitter=0.0, operators={"gate": 1.0, "slerp": 9.0})
    without.bred(3)
    made = [child.operator for asked in without.asked for child in asked.children]
    assert set(made) == {"gate"}


def test_without_the_bandit_operators_are_taken_as_often_as_was_asked() -> None:
    nest = Nest(emitter=0.0, bandit=False, operators={"gate": 3.0, "soup": 1.0})
    nest.bred(60)
    made = [child.operator for asked in nest.asked for child in asked.children]
    assert made.count("gate") / len(made) == pytest.approx(0.75, abs=0.08)


def test_attraction_can_be_switched_off() -> None:
    """Then all others are as likely; with it, kin and who has nothing to offer hardly ever."""
    drawn = {}
    for attraction in (True, False):
        nest = Nest(emitter=0.0, attraction=attraction, operators={"gate": 1.0}, alarms=False)
        mates = []
        for _ in range(40):
            nest.bred(1)
            for child in nest.conceived:
                mates += [parent.id for parent in child.parents if parent.role == "mate"]
            assert all(len(child.parents) == 2 for child in nest.conceived)
            del nest.stocks[1:-1]
        drawn[attraction] = mates
    assert drawn[True] != drawn[False]


def test_only_recombined_children_get_noise() -> None:
    """With parents that are all alike, who differs from them was mutated."""
    quiet = Nest(emitter=0.0, operators={"soup": 1.0})
    quiet.bred(1)
    assert len({child.genome.tobytes() for child in quiet.conceived}) == 1
    noisy = Nest(emitter=0.0, operators={"gate": 1.0}, mutation=[0.01, 0.02])
    noisy.bred(1)
    before = noisy.stocks[0].members
    parents = dict(zip(before.ids, before.genomes, strict=True))
    for child in noisy.conceived:
        both = np.array([parents[parent.id] for parent in child.parents])
        nearest = np.abs(both - child.genome).min(axis=0)
        assert 0 < nearest.max() < 0.1
