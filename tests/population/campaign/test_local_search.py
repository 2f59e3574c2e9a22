"""Children take gradient steps before they are judged, and a campaign stays exact."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lineage import Archive
from lineage.records import Item
from population.analysis.verification import check
from population.campaign.context import Context, silent
from population.campaign.local_search import LocalSearch, best_by_task, cost_of_steps
from population.campaign.loop import Campaign
from population.campaign.opening_context import found_archive, open_context, reopen_context
from population.campaign.session import Session, open_session
from population.campaign.state import PopulationState, gain_of, load_population
from population.config import Budget, Config, load_config, parse_config
from population.errors import Interrupted
from population.evolution.proposals import CENTRE, EMITTER
from population.gradient.descent import DescentSettings, gradient_at
from tests.conftest import campaign, small_toml
from tests.population.campaign.test_campaign import assert_same

STEPS: dict[str, Any] = {"steps": 3, "items": 6, "niches": 0.5}
LIMITS = Budget(item_evaluations=10**9, generations=2)


@pytest.fixture(scope="module")
def config(tasks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    path = tmp_path_factory.mktemp("config") / "colony.toml"
    path.write_text(small_toml(tasks_folder, gradient=STEPS))
    return load_config(path)


@pytest.fixture(scope="module")
def archive(config: Config, made_once: Callable[..., Path]) -> Archive:
    return Archive(
        made_once("raised", lambda f: campaign(config, f / "colony.duckdb", 2)) / "colony.duckdb"
    )


@pytest.fixture(scope="module")
def opened(archive: Archive) -> tuple[Context, Session, PopulationState]:
    context = reopen_context(archive)
    session = open_session(archive, context, silent)
    return context, session, load_population(archive, context.factory.space, session.kinship)


def with_gradient(config: Config, **settings: Any) -> Config:
    return config.model_copy(update={"gradient": config.gradient.model_copy(update=settings)})


def test_children_answer_better_after_their_steps(
    opened: tuple[Context, Session, PopulationState], config: Config
) -> None:
    _, session, population = opened
    context = open_context(with_gradient(config, steps=8, niches=0.0))
    search = LocalSearch(context, session.items.teaching, 0, silent)
    proposals = session.evolver.ask(population.breeding)
    meter = context.evaluator.meter
    before = meter.evaluations
    improved = search.improve(proposals, population.breeding, population.panel)
    spent = meter.evaluations - before
    assert 0 < spent <= cost_of_steps(context, len(proposals.children))
    assert [child.parents for child in improved.children] == [
        child.parents for child in proposals.children
    ]
    items, maker = context.split("search"), context.factory.unrounded
    falls = []
    for old, new in zip(proposals.children, improved.children, strict=True):
        if old.operator in {CENTRE, EMITTER}:
            assert new is old
            continue
        losses = [
            gradient_at(context.evaluator, maker, child.genome, items, DescentSettings())[0]
            for child in (old, new)
        ]
        falls.append(losses[0] - losses[1])
    assert len(falls) > 1
    assert np.mean(falls) > 0.05


def test_a_population_knows_how_far_its_best_rose(
    opened: tuple[Context, Session, PopulationState],
) -> None:
    _, _, population = opened
    first, before, last = population.history
    assert population.breeding.gain == gain_of(population.history)
    assert gain_of([first]) == first.best
    assert gain_of([first, before]) == before.best - first.best
    assert before.epoch != last.epoch  # on another panel
    assert gain_of([first, before, last]) == 0.0


def test_without_steps_children_stay_as_they_were_recombined(
    opened: tuple[Context, Session, PopulationState], config: Config
) -> None:
    _, session, population = opened
    none = config.model_copy(update={"gradient": config.gradient.model_copy(update={"steps": 0})})
    context = open_context(none)
    search = LocalSearch(context, session.items.teaching, 0, silent)
    proposals = session.evolver.ask(population.breeding)
    assert cost_of_steps(context, 4) == 0
    assert search.improve(proposals, population.breeding, population.panel) is proposals


def test_a_resumed_campaign_is_an_uninterrupted_one_on_any_number_of_cores(
    archive: Archive, config: Config, tmp_path: Path
) -> None:
    two = config.model_copy(update={"run": config.run.model_copy(update={"threads": 2})})
    resumed = found_archive(tmp_path / "resumed.duckdb", open_context(two))

    def stop(done: int, total: int, what: str) -> None:
        if what == "local search":
            raise Interrupted

    with pytest.raises(Interrupted):
        Campaign(resumed, reopen_context(resumed), LIMITS, progress=stop).run()
    assert len(resumed.generations()) == 1
    Campaign(resumed, reopen_context(resumed), LIMITS).run()
    assert_same(resumed, archive)


def test_every_recipe_makes_its_model_again(archive: Archive) -> None:
    assert check(archive).intact


def test_the_best_of_each_task() -> None:
    panel = [Item(str(n), task, "search", "", "") for n, task in enumerate("aab")]
    scores = np.array([[1.0, 0.0, 0.2], [0.4, 0.4, 0.1]])
    assert best_by_task(scores, panel, ["a", "b", "c"]).tolist() == [0.5, 0.2, 1.0]


def test_defaults_suit_a_search_with_gradients_or_one_without() -> None:
    with_gradients, without = parse_config({}, "x"), parse_config({"gradient": {"steps": 0}}, "x")
    assert with_gradients.gradient.steps > 0
    assert with_gradients.search.emitter == 0.0
    assert without.search.emitter > 0.5
    assert without.search.brood > with_gradients.search.brood
    assert parse_config({"search": {"brood": 9, "population": 9}}, "x").search.brood == 9
    paths = parse_config({"search": {"space": "flow"}}, "x")
    assert paths.gradient.steps == 0
    assert paths.search.emitter == without.search.emitter


def test_a_campaign_from_before_gradients_goes_on_without() -> None:
    stored = parse_config({"gradient": {"steps": 0}}, "x").model_dump()
    del stored["gradient"]
    assert parse_config(stored, "x").gradient.steps == 0
    now = parse_config({}, "x")
    assert parse_config(now.model_dump(), "x") == now


def test_a_campaign_from_before_lines_were_raised_goes_on_without() -> None:
    stored = parse_config({}, "x").model_dump()
    del stored["search"]["first"], stored["search"]["climb"]
    search = parse_config(stored, "x").search
    assert (search.climb, search.first_population) == (None, search.population)


def test_a_campaign_whose_steps_had_one_part_goes_on_so() -> None:
    assert parse_config({"gradient": {"items": 8}}, "x").gradient.parts > 1
    stored = parse_config({}, "x").model_dump()
    del stored["gradient"]["parts"]
    assert parse_config(stored, "x").gradient.parts == 1
