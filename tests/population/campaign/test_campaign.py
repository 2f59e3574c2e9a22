"""Campaigns: repeatable to the bit, safe to kill at any moment, and blind to the sealed split."""

import os
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import get_args

import duckdb
import numpy as np
import pytest

from arena import TaskError, load_tasks
from lineage import Archive
from lineage.archive.fork import fork
from lineage.queries import rounds
from population.analysis.export import export
from population.analysis.stored_shares import stored_shares
from population.analysis.verification import check
from population.campaign.coherence_filter import UNMEASURED
from population.campaign.context import genome_of
from population.campaign.loop import Campaign
from population.campaign.opening_context import found_archive, open_context, reopen_context
from population.config import Budget, load_config
from population.errors import CampaignError, Interrupted
from population.evaluation.coherence import Cause
from population.evolution.alarms import Alarm
from population.evolution.operators import OPERATORS
from population.models.opening import open_checkpoint
from population.weights.fingerprint import fingerprint
from population.weights.materialise import state_sha256
from tests.command_helpers import failure
from tests.conftest import SHIPPED, campaign, small_toml
from tests.forks import Forks, headless

RunSmall = Callable[..., Archive]
ENDLESS = Budget(item_evaluations=10**9, generations=3)
FEW_MATCHES = {"items": 3, "judges": 1}
"""Settings of the arena where ratings are not what is tested."""
ALL_BRED = "all of the 3 generations asked for are bred"


def content(archive: Archive) -> dict[str, list[tuple[object, ...]]]:
    """Everything in an archive but the clock: equal content is an equal archive."""
    tables = {}
    with duckdb.connect(str(archive.path), read_only=True) as db:
        for (table,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            if table == "generations":
                # What was in flight as generation 0 was interrupted took tokens twice.
                query = (
                    "SELECT * EXCLUDE (wall_s, forward_s, cpu_s) "
                    "REPLACE (if(generation = 0, 0, tokens) AS tokens) FROM generations"
                )
            elif table == "campaigns":
                query = "SELECT seed FROM campaigns"
            elif table == "orders":
                query = "SELECT * EXCLUDE (given_at) FROM orders"
            else:
                query = f"SELECT * FROM {table}"
            tables[table] = sorted(map(repr, db.execute(query).fetchall()))
    return tables


def assert_same(first: Archive, second: Archive) -> None:
    """Fail with the rows that differ, table by table."""
    one, other = content(first), content(second)
    assert one.keys() == other.keys()
    for table, rows in one.items():
        differing = [pair for pair in zip(rows, other[table], strict=False) if pair[0] != pair[1]]
        assert not differing, f"{table}: {len(differing)} rows differ, such as {differing[:3]}"
        assert len(rows) == len(other[table]), table


def test_the_same_seed_gives_the_same_archive_and_another_seed_another(
    run_small: RunSmall, small_archive: Archive, tmp_path: Path
) -> None:
    """With one core or with two: a pool only shares the work."""
    assert_same(run_small(tmp_path / "again.duckdb", threads=2), small_archive)
    other = run_small(tmp_path / "other.duckdb", generations=0, seed=1)
    mine = {model.identity for model in small_archive.models()}
    theirs = {model.identity for model in other.models() if model.kind == "offspring"}
    assert len(theirs - mine) > len(theirs) / 2


@pytest.fixture
def begun(small_archive: Archive, tmp_path: Path) -> Archive:
    """The small campaign when generation 0 is complete."""
    return fork(small_archive, 0, tmp_path / "begun.duckdb")


def interrupt(archive: Archive, when: str, generation: int) -> None:
    """Go on with a campaign and stop it: in the middle of something, in a generation."""
    campaign: Campaign

    def stop(done: int, total: int, what: str) -> None:
        begun = archive.generations()
        if what == when and done == total // 2 and len(begun) == generation:
            raise Interrupted

    campaign = Campaign(archive, reopen_context(archive), ENDLESS, progress=stop)
    with pytest.raises(Interrupted):
        campaign.run()
    assert len(archive.generations()) == generation


def test_a_resumed_campaign_is_an_uninterrupted_one(begun: Archive, small_archive: Archive) -> None:
    """Stopped in the middle of anything that takes its time, and run to the end.

    As for generation 0, see `test_generation_zero.py`.
    """
    interrupt(begun, "offspring", 1)
    interrupt(begun, "finalists", 1)
    interrupt(begun, "the living, again", 2)
    interrupt(begun, "arena", 2)
    assert Campaign(begun, reopen_context(begun), ENDLESS).run() == ALL_BRED
    assert_same(begun, small_archive)


@pytest.mark.parametrize(
    ("space", "when", "generation"), [("flow", "offspring", 1), ("both", "finalists", 2)]
)
def test_campaigns_of_routes_are_campaigns_too(
    space: str,
    when: str,
    generation: int,
    routed_archive: Callable[[str], Archive],
    tmp_path: Path,
) -> None:
    """Resumed exactly, replayed exactly, exported exactly."""
    whole = routed_archive(space)
    archive = fork(whole, generation - 1, tmp_path / "resumed.duckdb")
    interrupt(archive, when, generation)
    limits = Budget(item_evaluations=10**9, generations=2)
    Campaign(archive, reopen_context(archive), limits).run()
    assert_same(archive, whole)
    found = check(whole)
    assert found.replayed == found.offspring > 20
    assert found.damages == ()
    with duckdb.connect(str(whole.path), read_only=True) as db:
        methods = db.execute("SELECT DISTINCT method FROM recipes ORDER BY method").fetchall()
    assert methods == [("route",), ("source",)]
    context = reopen_context(archive)
    offspring = [model for model in whole.models() if model.kind == "offspring"]
    genomes = whole.genomes([model.id for model in offspring])
    assert np.array_equal(context.factory.space.repaired(genomes), genomes)
    steps = [len(context.factory.space.route(genome).steps) for genome in genomes]
    assert max(steps) <= 6
    deepest = offspring[int(np.argmax(steps))]
    for number, model in enumerate((deepest, whole.find("champion"))):
        made = export(archive, context, model, tmp_path / f"exported-{number}")
        sha256 = archive.models(ids=[model.id])[0].weights_sha256
        assert made.weights_sha256 == sha256
        assert open_checkpoint(tmp_path / f"exported-{number}").sha256() == sha256


def test_births_have_fingerprints_and_only_the_crowned_and_founders_a_sha256(
    small_archive: Archive,
) -> None:
    context = reopen_context(small_archive)
    everyone = small_archive.models()
    crowned = {past.champion for past in small_archive.generations()}
    for model in everyone:
        assert model.identity == model.fingerprint
        hashed = model.kind == "founder" or model.id in crowned
        assert (model.weights_sha256 is not None) == hashed, model
    assert any(model.kind == "offspring" and model.weights_sha256 for model in everyone)
    proven = [model for model in everyone if model.weights_sha256]
    genomes = [genome_of(small_archive, context, model) for model in proven]
    for model, state in zip(proven, context.factory.maker.siblings(genomes), strict=True):
        assert (fingerprint(state), state_sha256(state)) == (
            model.fingerprint, model.weights_sha256,
        )  # fmt: skip
    living = [model.identity for model in small_archive.models(living=True)]
    assert len(set(living)) == len(living)


def test_who_was_born_with_other_weights_stops_a_campaign_on_a_fresh_panel(
    small_archive: Archive, tmp_path: Path
) -> None:
    archive = fork(small_archive, 1, tmp_path / "changed.duckdb")
    champion = archive.find("champion").id
    victim = next(m for m in archive.models(living=True)
                  if m.kind == "offspring" and m.id != champion)  # fmt: skip
    with archive.writing() as db:
        db.execute("UPDATE models SET fingerprint = ? WHERE id = ?", ["0" * 32, victim.id])
    with pytest.raises(CampaignError, match=f"{victim.label} was born with other weights"):
        Campaign(archive, reopen_context(archive), ENDLESS).run()
    assert len(archive.generations()) == 2


def test_what_a_campaign_leaves_makes_sense(small_archive: Archive) -> None:
    archive = small_archive
    history = archive.generations()
    assert [past.generation for past in history] == [0, 1, 2, 3]
    assert [past.epoch for past in history] == [0, 0, 1, 1]
    everyone = archive.models()
    living = [model for model in everyone if model.living]
    assert {model.kind for model in everyone[:4]} == {"founder"}
    assert all(model.living for model in everyone if model.kind == "founder")
    assert sum(model.kind == "offspring" for model in living) == 6
    assert archive.inconsistencies() == []
    champion = archive.find("champion")
    assert champion.living
    for model in everyone:
        for parent in model.parents:
            assert parent.id < model.id
    best = {
        i: np.mean([e + p for e, p in t.values()])
        for i, t in archive.task_means("selection").items()
    }
    ids = {model.id for model in living}
    assert best[champion.id] == max(score for model, score in best.items() if model in ids)
    ratings = archive.ratings(3)
    assert set(ratings) == ids
    assert any(abs(rating.rating) > 0 for rating in ratings.values())
    assert rounds.trust_record(archive)
    for past in history:
        for sign in (past.founder_entropy, past.mean_kinship, past.item_coverage):
            assert 0 <= sign <= 1
        assert past.evaluations > 0
        assert past.best >= past.median


def test_a_generation_records_what_its_living_do_together_and_hold(small_archive: Archive) -> None:
    archive, last = small_archive, small_archive.generations()[-1]
    living = [model for model in archive.models(living=True) if model.kind == "offspring"]
    panel = archive.panel(last.epoch)
    scores = archive.scores([model.id for model in living], [item.id for item in panel])
    merits = 0.5 * (scores.exact + scores.probability)
    assert last.qd_score == pytest.approx(merits.max(axis=0).mean())
    tasks = np.array([item.task for item in panel])
    best = [scores.exact[:, tasks == task].mean(axis=1).max() for task in set(tasks)]
    assert last.task_coverage == pytest.approx(np.mean(best))
    shares = [stored_shares(archive, model) for model in living]
    means = [np.mean([one.shares[name] for one in shares if one]) for name in shares[0].shares]
    assert last.founders_by_weight == pytest.approx(np.exp(-np.sum(means * np.log(means))))


def test_every_birth_has_a_score_and_every_death_a_cause(small_archive: Archive) -> None:
    everyone = small_archive.models()
    for generation in (1, 2, 3):
        born = [model for model in everyone if model.generation == generation]
        made = [model.operator for model in born]
        assert made[:3] == ["centre", "emitter", "emitter"]
        assert len(made) == 6
        assert set(made[3:]) <= set(OPERATORS)
        scored = small_archive.task_means("search", [model.id for model in born])
        assert set(scored) == {model.id for model in born}
    causes = {"unpromising", "outraced", "outscored", *get_args(Cause)}
    assert {model.cause for model in everyone if not model.living} <= causes
    for model in everyone:
        if model.died is not None and model.cause != "outscored":
            assert model.died == model.generation  # who never had a place dies as it is born


def test_the_archive_holds_what_the_search_has_learned(small_archive: Archive) -> None:
    everyone = {model.id: model for model in small_archive.models()}
    genes = 3 * len(small_archive.blocks())
    for generation in range(4):
        search = small_archive.search(generation)
        assert len(search.centre) == len(search.square) == genes
        origin = everyone[search.origin]
        assert origin.generation <= generation
        assert origin.died is None or origin.died > generation
        operators = small_archive.operators(generation)
        assert {row.operator for row in operators} == set(OPERATORS)
        assert sum(row.often for row in operators) == pytest.approx(1.0)
        tried = sum(row.tries for row in operators)
        assert tried == pytest.approx(3 * sum(0.97**age for age in range(generation)))
    started, moved = small_archive.search(0), small_archive.search(1)
    np.testing.assert_array_equal(small_archive.genomes([started.origin])[0], started.centre)
    assert (started.steps, started.stalled) == (0, 0)
    assert not started.gradient.any()
    assert moved.steps == 1
    assert moved.gradient.any()


def test_founders_need_no_base(tasks_folder: Path, tmp_path: Path) -> None:
    """Then differences are taken from the founders' average, and recipes replay all the same."""
    path = tmp_path / "no-base.toml"
    names = [str(SHIPPED / "founders" / name) for name in ("capital", "reverse", "sort")]
    path.write_text(
        small_toml(tasks_folder, founders={"paths": names}).replace('base = "base"', "")
    )
    archive = campaign(load_config(path), tmp_path / "no-base.duckdb", generations=1)
    assert archive.basis() == [1, 2, 3]
    assert archive.models(ids=[4])[0].operator == "average"
    assert check(archive).damages == ()


def test_genomes_stay_in_their_space(small_archive: Archive, small_config: Path) -> None:
    search = load_config(small_config).search
    offspring = [m.id for m in small_archive.models() if m.kind == "offspring"]
    genomes = small_archive.genomes(offspring)
    assert genomes.min() >= search.lowest
    assert genomes.max() <= search.highest


def test_every_recipe_replays_to_its_hash(small_archive: Archive) -> None:
    found = check(small_archive)
    assert found.replayed == found.offspring > 20
    assert found.damages == ()


def test_the_budget_is_never_exceeded(small_config: Path, tmp_path: Path) -> None:
    context = open_context(load_config(small_config))
    archive = found_archive(tmp_path / "budget.duckdb", context)
    budget = Budget(item_evaluations=2500)
    bounds: list[int] = []
    campaign = Campaign(
        archive,
        context,
        budget,
        on_generation=lambda colony: bounds.append(campaign.cost_of_next(colony)),
    )
    reason = campaign.run()
    history = archive.generations()
    spent = sum(past.evaluations for past in history)
    assert spent <= 2500 < spent + bounds[-1]
    assert reason.startswith(f"{spent:,} of 2,500 item evaluations are spent, and the next")
    assert len(history) > 3
    for bound, past in zip(bounds, history[1:], strict=False):
        assert past.evaluations <= bound
    assert Campaign(archive, context, budget).run() == reason
    assert archive.generations() == history


def test_a_campaign_stops_for_the_first_reason_and_names_it(begun: Archive) -> None:
    archive, context = begun, reopen_context(begun)

    def stopped(**limits: float) -> str:
        budget = Budget.model_validate({"item_evaluations": 10**9, **limits})
        return Campaign(archive, context, budget).run()

    assert "selection score is" in stopped(target=1e-9)
    assert "the target was 0.000" in stopped(target=1e-9)
    assert stopped(minutes=1e-9).startswith("the campaign has worked for")
    assert [past.generation for past in archive.generations()] == [0]
    assert stopped(generations=1) == "all of the 1 generations asked for are bred"
    assert len(archive.generations()) == 2
    reason = stopped(stagnation=1, generations=30)
    assert reason.startswith("in 1 generations the champion's selection score has not risen above")
    score = {
        model: np.mean([(exact + probability) / 2 for exact, probability in means.values()])
        for model, means in archive.task_means("selection").items()
    }
    reached = [score[past.champion] for past in archive.generations()]
    assert all(later > former for former, later in pairwise(reached[:-1]))
    assert reached[-1] <= max(reached[:-1])


def test_who_has_lost_its_language_dies_at_birth_of_it(tasks_folder: Path, tmp_path: Path) -> None:
    """All nine founders at once are too much for many first merges; their recipes stay."""
    path = tmp_path / "many.toml"
    everybody = {"paths": [str(SHIPPED / "founders" / "*")]}
    path.write_text(small_toml(tasks_folder, founders=everybody, arena=FEW_MATCHES))
    archive = campaign(load_config(path), tmp_path / "many.duckdb", generations=0)
    first = [m for m in archive.models() if m.kind == "offspring" and m.generation == 0]
    lost = [model for model in first if model.cause == "lost its language"]
    assert lost
    assert all(model.died == 0 for model in lost)
    assert len(archive.genomes([model.id for model in lost])) == len(lost)
    panel = [item.id for item in archive.panel(0)]
    assert np.isnan(archive.scores([model.id for model in lost], panel).exact).all()
    assert check(archive).damages == ()


def test_who_cannot_answer_gets_no_place(
    small_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "population.campaign.coherence_filter.CoherenceFilter.examine_answers",
        lambda coherence, evaluator, measures=UNMEASURED: (measures, "endless answers"),
    )
    archive = campaign(load_config(small_config), tmp_path / "mute.duckdb", generations=1)
    born = [model for model in archive.models() if model.generation == 1]
    assert sorted(str(model.cause) for model in born) == [
        *["endless answers"] * 2,
        *["unpromising"] * 4,
    ]
    assert archive.search(1).stalled == 1
    assert check(archive).damages == ()


def test_centre_and_leaders_challenge_every_few_generations_and_at_the_end(
    tasks_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "crowned.toml"
    path.write_text(small_toml(tasks_folder, search={"crown": 3}, arena=FEW_MATCHES))
    context = open_context(load_config(path))
    archive = found_archive(tmp_path / "crowned.duckdb", context)
    seen: dict[int, int] = {}

    def watch(done: int, total: int, what: str) -> None:
        if what == "challengers":
            seen[len(archive.generations())] = total

    limits = Budget(item_evaluations=10**9, generations=5)
    Campaign(archive, context, limits, progress=watch).run()
    assert seen[0] == 1
    assert set(seen) == {0, 1, 2, 3, 5}
    assert seen[3] == 1
    assert all(1 <= seen[early] <= 2 for early in (1, 2))
    assert 1 <= seen[5] <= 3
    judged = archive.task_means("selection")
    assert {(3, True), (5, True)} <= {
        (model.generation, model.id in judged)
        for model in archive.models()
        if model.operator == "centre"
    }


STRICT = {"suspicious": 1.0, "surprise": 1.0 + 1e-9}
"""A gate at which everybody reads, and nobody may be worse than the worst founder."""


def test_a_population_may_start_with_fewer_than_it_has_places_for(
    tasks_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "few.toml"
    path.write_text(
        small_toml(
            tasks_folder,
            founders={"paths": [str(SHIPPED / "founders" / name) for name in ("base", "capital")]},
            search={"space": "flow", "longest": 4, "population": 12, "brood": 12},
            gate=STRICT,
            arena=FEW_MATCHES,
        )
    )
    config = load_config(path)
    whole = campaign(config, tmp_path / "few.duckdb", generations=3)
    sizes = [
        sum(
            model.kind == "offspring"
            and model.generation <= generation
            and (model.died is None or model.died > generation)
            for model in whole.models()
        )
        for generation in range(4)
    ]
    born = [sum(m.generation == g for m in whole.models()) for g in range(1, 4)]
    assert 2 <= sizes[0] < 12
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
    assert born == sizes[:3]
    archive = fork(whole, 1, tmp_path / "resumed.duckdb")
    interrupt(archive, "offspring", 2)
    Campaign(archive, reopen_context(archive), ENDLESS).run()
    assert_same(archive, whole)


def test_founders_without_coherent_offspring_start_no_campaign(
    tasks_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "none.toml"
    path.write_text(small_toml(tasks_folder, gate=STRICT | {"norms": 1e-9}))
    context = open_context(load_config(path))
    archive = found_archive(tmp_path / "none.duckdb", context)
    told = "of 24 first merges of these founders 0 can live; .* lost its language, norms exploded"
    with pytest.raises(CampaignError, match=told):
        Campaign(archive, context, ENDLESS).run()
    assert archive.generations() == []


def test_alarms_are_events_and_do_not_keep_a_campaign_from_going_on(
    begun: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = [Alarm("coverage", "much is lost"), Alarm("kinship", "all are kin")]
    monkeypatch.setattr("population.evolution.evolver.diversity_alarms", lambda signs, best: raised)
    interrupt(begun, "offspring", 2)  # what is raised by then is raised again, and told once
    Campaign(begun, reopen_context(begun), ENDLESS).run()
    told = [(g, event.detail) for g, event in begun.events() if event.kind == "alarm"]
    assert told == [(g, alarm.detail) for g in (1, 2, 3) for alarm in raised]


def test_a_campaign_never_opens_the_sealed_split(tasks_folder: Path) -> None:
    """The campaigns above ran to their end on tasks whose test file nobody could read."""
    for task in load_tasks(tasks_folder.iterdir()):
        assert task.items("search")
        with pytest.raises(TaskError, match=r"test\.jsonl:1: not JSON"):
            task.items("test")


def test_ctrl_c_saves_everything_and_says_how_to_go_on(
    forks: Forks, begun: Archive, small_archive: Archive, small_config: Path, tmp_path: Path
) -> None:
    path, said = begun.path, tmp_path / "said"
    for generation, number in enumerate((signal.SIGINT, signal.SIGTERM), start=1):
        said.unlink(missing_ok=True)
        pid = forks.start(*headless(path, small_config), said=said)
        forks.wait_for_generation(said, generation)
        os.kill(pid, number)
        assert forks.wait() == 130
        told = said.read_text()
        assert f"To continue: colony run --archive {path}" in " ".join(told.split())
        assert "Traceback" not in told
    forks.start(*headless(path, small_config), said=said)
    assert forks.wait() == 0
    assert "continuing" in said.read_text()
    assert f"stopped: {ALL_BRED}" in said.read_text()
    assert_same(Archive(path), small_archive)


def test_one_campaign_at_a_time(
    forks: Forks, begun: Archive, small_config: Path, tmp_path: Path
) -> None:
    path, said = begun.path, tmp_path / "said"
    pid = forks.start(*headless(path, small_config), said=said)
    forks.wait_for(said, "continuing")
    assert f"PID {pid}" in failure(*headless(path, small_config))
    os.kill(pid, signal.SIGKILL)
    forks.wait()
