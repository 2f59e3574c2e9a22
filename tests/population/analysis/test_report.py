"""Report, export and check: what a user takes away is true."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import networkx as nx
import numpy as np
import pytest
import torch
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer

from lineage import Archive, ArchiveError
from population.analysis.baselines import greedy_soup, task_arithmetic, uniform
from population.analysis.export import export, recipe_of_model
from population.analysis.report import Report, make_report
from population.analysis.stored_shares import stored_shares
from population.analysis.verification import check
from population.campaign.context import Context
from population.campaign.kept_weights import with_sha256
from population.campaign.opening_context import found_archive, open_context, reopen_context
from population.config import load_config, shipped_data
from population.errors import CampaignError, CheckpointError, PopulationError
from population.evaluation.intervals import mean_over_tasks
from population.merging.merge import merge
from population.merging.mergekit import from_yaml, to_yaml
from population.merging.recipe_files import read_recipe
from population.models.opening import open_checkpoint
from population.weights.genomes import Basis, with_filters
from tests.archives import copied
from tests.conftest import campaign, routed_config, small_toml
from tui.cli.tables import founders_text, report_view


@pytest.fixture(scope="module")
def with_test_split(tmp_path_factory: pytest.TempPathFactory, tasks_folder: Path) -> Path:
    """Tasks that do have a sealed split."""
    tasks = tmp_path_factory.mktemp("reported") / "tasks"
    shutil.copytree(tasks_folder, tasks)
    for task in tasks.iterdir():
        lines = (shipped_data() / "tasks" / task.name / "test.jsonl").read_text().splitlines()
        (task / "test.jsonl").write_text("\n".join(lines[:12]) + "\n")
    return tasks


@pytest.fixture(scope="module")
def reported(
    tmp_path_factory: pytest.TempPathFactory, with_test_split: Path
) -> tuple[Archive, Report]:
    """A small campaign and its report."""
    folder = tmp_path_factory.mktemp("colony")
    path = folder / "small.toml"
    path.write_text(small_toml(with_test_split))
    archive = campaign(load_config(path), folder / "colony.duckdb", generations=1)
    return archive, make_report(archive, reopen_context(archive))


def test_the_report_keeps_its_form(reported: tuple[Archive, Report]) -> None:
    archive, report = reported
    said = json.loads(json.dumps(report.as_json()))
    tasks = set(said["champion"]["test"]["tasks"])
    assert len(tasks) == 3
    founders = archive.founder_paths()
    assert {founder["id"] for founder in said["founders"]} == set(founders)
    assert set(said["baselines"]) == {"uniform", "task_arithmetic", "greedy_soup"}
    entries = [said["champion"], *said["founders"], *said["baselines"].values()]
    for entry in entries:
        for split in ("search", "selection", "test"):
            result = entry[split]
            assert set(result["tasks"]) == tasks
            assert result["mean"] == pytest.approx(np.mean(list(result["tasks"].values())))
            assert 0 <= result["low"] <= result["mean"] <= result["high"] <= 1
    for baseline in said["baselines"].values():
        assert {k: baseline[k] for k in ("mean", "low", "high", "tasks")} == baseline["test"]
    spent = sum(past.evaluations for past in archive.generations())
    assert said["budget"] == {"item_evaluations": spent}
    assert 0 < said["time"]["forward_fraction"] < 1
    assert said["champion"]["id"] == archive.generations()[-1].champion
    covered = said["coverage"]
    living = {model.id for model in archive.models(living=True) if model.kind == "offspring"}
    assert covered["tasks"].keys() == tasks
    assert {best["model"] for best in covered["tasks"].values()} <= living
    means = [best["test"] for best in covered["tasks"].values()]
    assert covered["mean"] == pytest.approx(np.mean(means))
    assert covered["low"] <= covered["mean"] <= covered["high"]


def test_the_champion_comes_with_its_pedigree_and_what_its_weights_hold(
    reported: tuple[Archive, Report],
) -> None:
    archive, report = reported
    said = report.as_json()["champion"]
    champion = archive.find("champion")
    ancestors = nx.ancestors(archive.graph(), champion.id)
    assert said["pedigree"]["ancestors"] == len(ancestors)
    shares = stored_shares(archive, champion)
    assert shares is not None
    held = said["founders_by_weight"]
    assert held["shares"] == pytest.approx(dict(shares.shares))
    assert (held["effective"], held["measure"]) == (pytest.approx(shares.effective), "length")
    genome = archive.genomes([champion.id])[0].reshape(3, -1)
    context = reopen_context(archive)
    parts = np.zeros(3)
    for row, vector in enumerate(context.factory.basis.vectors):
        founder, base = context.founders[vector], context.founders[context.factory.basis.base or 0]
        squares = np.zeros(genome.shape[1])
        for name, segments in context.factory.layout.segments.items():
            apart = np.asarray(founder.wide(name)) - np.asarray(base.wide(name))
            for segment in segments:
                cut = np.take(apart, range(segment.start, segment.stop), axis=segment.dim)
                squares[segment.block] += float((cut.astype(np.float64) ** 2).sum())
        parts[row] = np.abs(genome[row]) @ np.sqrt(squares)
    names = [context.founders[vector].name for vector in context.factory.basis.vectors]
    expected = dict(zip(names, (parts / parts.sum()).tolist(), strict=True))
    assert held["shares"] == pytest.approx(expected)


def test_where_founders_are_not_at_hand_parameters_are_counted(
    reported: tuple[Archive, Report], tmp_path: Path
) -> None:
    path = tmp_path / "moved.duckdb"
    path.write_bytes(reported[0].path.read_bytes())
    with duckdb.connect(str(path)) as db:
        db.execute("UPDATE models SET path = '/nowhere/' || name WHERE kind = 'founder'")
    archive = Archive(path)
    shares = stored_shares(archive, archive.find("champion"))
    assert shares is not None
    sizes = np.array([block.parameters for block in archive.blocks()])
    champion = archive.find("champion")
    parts = np.abs(archive.genomes([champion.id])[0].reshape(3, -1)) @ sizes
    assert sorted(shares.shares.values()) == pytest.approx(sorted(parts / parts.sum()))
    assert shares.measure == "parameters"
    assert founders_text(shares.as_json()).endswith("effective, by numbers of parameters)")


def test_the_report_is_printed_with_who_is_best_at_each_task(
    reported: tuple[Archive, Report],
) -> None:
    report = reported[1]
    console = Console(width=80, highlight=False, record=True, file=io.StringIO())
    console.print(report_view(report))
    printed = console.export_text()
    assert report.coverage is not None
    assert f"coverage by living offspring: {report.coverage.interval}\n" in printed
    last = reported[0].generations()[-1]
    assert report.as_json()["living"]["qd_score"] == last.qd_score
    assert f"QD-score {last.qd_score:.3f}, {last.founders_by_weight:.1f} effective" in printed
    table = printed.partition("task by task")[2].splitlines()
    for task, best in report.coverage.tasks.items():
        champion = f"{report.champion.test.tasks[task]:.2f}"
        (row,) = [line.split() for line in table if line.split()[:1] == [task]]
        at = row.index(champion)
        assert row[at : at + 3] == [champion, f"{best.test:.2f}", f"#{best.model}"]
    joined = " ".join(printed.split())
    assert f"the champion's pedigree: {report.origin.pedigree} " in joined
    assert "founders in its weights: " in joined


@pytest.mark.parametrize("space", ["flow", "both"])
def test_a_campaign_of_routes_has_a_report_of_the_same_form(
    space: str, reported: tuple[Archive, Report], with_test_split: Path, tmp_path: Path
) -> None:
    """Founders and standard merges are those of any other colony, to the last digit."""
    config = load_config(routed_config(tmp_path, with_test_split, space))
    archive = campaign(config, tmp_path / "colony.duckdb", generations=0)
    plain, routed = reported[1], make_report(archive, reopen_context(archive))
    assert routed.as_json().keys() == plain.as_json().keys()
    assert routed.as_json()["founders"] == plain.as_json()["founders"]
    assert routed.as_json()["baselines"] == plain.as_json()["baselines"]
    assert routed.champion.id == archive.generations()[-1].champion
    assert routed.as_json()["champion"]["founders_by_weight"] is None


def test_a_second_report_says_the_same_and_asks_nothing_again(
    reported: tuple[Archive, Report],
) -> None:
    archive, report = reported
    context = reopen_context(archive)
    again = make_report(archive, context)
    assert again.as_json() == report.as_json()
    # Only the choice of baselines is measured anew; it reads the selection split alone.
    items = len(context.split("selection"))
    assert context.evaluator.meter.evaluations % items == 0


def test_without_the_search_split_the_others_are_reported(
    reported: tuple[Archive, Report], with_test_split: Path, tmp_path: Path
) -> None:
    archive, report = reported
    search = next(with_test_split.iterdir()) / "search.jsonl"
    away = search.rename(tmp_path / "search.jsonl")
    said: list[str] = []
    try:
        context = reopen_context(archive)
        context.failures.on_failure = said.append
        without = make_report(archive, context)
    finally:
        away.rename(search)
    (told,) = said
    assert told.startswith("the report is without the search split: ")
    assert f"{search}" in told
    before, after = report.as_json(), without.as_json()
    assert after["champion"]["search"] is None
    assert after["coverage"] == before["coverage"]
    assert after["founders"][0]["test"] == before["founders"][0]["test"]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(report_view(without))
    (heads,) = [line for line in console.export_text().splitlines() if "selection" in line][:1]
    assert heads.split() == ["model", "how", "selection", "test"]


def test_a_founder_scores_what_plain_transformers_says(reported: tuple[Archive, Report]) -> None:
    """The whole chain against the simplest possible one: load, generate, compare with the key."""
    archive, report = reported
    entry = report.founders[-1]
    path = archive.founder_paths()[entry.id or 0]
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    context = reopen_context(archive)
    for task in context.tasks:
        right = []
        for item in task.items("test"):
            tokens = tokenizer(item.prompt, return_tensors="pt")
            out = model.generate(**tokens, max_new_tokens=24, do_sample=False)
            new = out[0, tokens["input_ids"].shape[1] :]
            right.append(tokenizer.decode(new, skip_special_tokens=True) == item.key)
        # The report computes in the checkpoints' bf16, which may flip a single close call.
        assert entry.test.tasks[task.name] == pytest.approx(np.mean(right), abs=0.1)


def test_nothing_to_report_before_the_first_generation(small_config: Path, tmp_path: Path) -> None:
    context = open_context(load_config(small_config))
    archive = found_archive(tmp_path / "new.duckdb", context)
    with pytest.raises(CampaignError, match="no generation is complete"):
        make_report(archive, context)


# Baselines

BASIS = Basis(("base", "a", "b", "c"), 0)


def test_the_uniform_average_is_the_average_of_all_but_the_base() -> None:
    weights = BASIS.weights(uniform(BASIS, 2).genome)
    np.testing.assert_allclose(weights, [[0, 0]] + [[1 / 3, 1 / 3]] * 3, atol=1e-12)


def test_task_arithmetic_takes_the_best_scale_of_its_sweep() -> None:
    best = task_arithmetic(BASIS, 2, lambda gs: [-abs(float(g[0, 0]) - 0.4) for g in gs])
    np.testing.assert_allclose(best.genome, 0.4)
    assert best.detail == "scale 0.4"


def test_a_greedy_soup_adds_only_what_helps() -> None:
    """b is best alone; a helps it, c does not, and neither does the base."""

    def score(genomes: list[np.ndarray]) -> list[float]:
        return [0.5 + float(g[0, 0] > 0) - float(g[2, 0] > 0) for g in genomes]

    soup = greedy_soup(BASIS, 1, [0.0, 0.4, 0.9, 0.3], score)
    np.testing.assert_allclose(BASIS.weights(soup.genome)[:, 0], [0, 0.5, 0.5, 0])
    assert soup.detail == "b, a"


def test_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(0)
    truth = {"easy": 0.9, "hard": 0.2}
    tasks = [name for name in truth for _ in range(60)]
    hits = 0
    for _ in range(200):
        scores = np.array([float(rng.random() < truth[task]) for task in tasks])
        interval = mean_over_tasks(scores, tasks)
        hits += interval.low <= 0.55 <= interval.high
    assert 0.9 <= hits / 200 <= 0.99


# Export


def test_an_exported_model_is_a_plain_checkpoint_that_answers_the_same(
    reported: tuple[Archive, Report], tmp_path: Path
) -> None:
    archive = copied(reported[0], tmp_path / "mine.duckdb")
    context = reopen_context(archive)
    newest = with_sha256(archive, context, archive.models()[-1])
    folder = tmp_path / "exported"
    export(archive, context, newest, folder)
    assert open_checkpoint(folder).sha256() == newest.weights_sha256
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    items = context.split("selection")
    own = Context(
        context.config.model_copy(
            update={"run": context.config.run.model_copy(update={"dtype": "float32"})}
        ),
        context.founders,
        context.factory.basis,
        context.factory.layout,
    ).evaluator
    own.load_weights(context.factory.materialiser.one(archive.genomes([newest.id])[0]))
    for item, answer in zip(items, own.generate(items), strict=True):
        tokens = tokenizer(item.prompt, return_tensors="pt")
        out = model.generate(**tokens, max_new_tokens=24, do_sample=False)
        text = tokenizer.decode(out[0, tokens["input_ids"].shape[1] :], skip_special_tokens=True)
        assert text.startswith(answer)
    recipe = read_recipe(folder / "recipe.json")
    assert recipe.output.weights_sha256 == newest.weights_sha256
    again = merge(recipe, tmp_path / "again")
    assert again.weights_sha256 == newest.weights_sha256
    card = (folder / "README.md").read_text()
    assert "base_model_relation: merge" in card
    assert "| selection |" in card or "| search |" in card
    assert "## Lineage" in card


def test_a_recipe_in_mergekits_language_makes_the_same_weights(
    small_archive: Archive, tmp_path: Path
) -> None:
    archive = copied(small_archive, tmp_path / "mine.duckdb")
    context = reopen_context(archive)
    newest = archive.models()[-1]
    assert newest.weights_sha256 is None
    recipe = recipe_of_model(archive, context, newest)
    text = to_yaml(with_filters(recipe, context.factory.layout))
    assert "blocks" not in text
    made = merge(from_yaml(text, "champion.yml"), tmp_path / "merged")
    assert made.weights_sha256 == archive.models()[-1].weights_sha256 is not None


def test_an_archive_that_cannot_be_written_can_be_exported_from(
    small_archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = copied(small_archive, tmp_path / "mine.duckdb")

    def refuse(model: int, sha256: str) -> None:
        raise ArchiveError("read-only file system")

    monkeypatch.setattr(archive, "save_sha256", refuse)
    made = export(archive, reopen_context(archive), archive.models()[-1], tmp_path / "newest")
    assert open_checkpoint(tmp_path / "newest").sha256() == made.weights_sha256
    assert archive.models()[-1].weights_sha256 is None


def test_what_is_not_as_it_was_born_is_neither_exported_nor_given_a_sha256(
    damaged: Callable[[str], Archive], tmp_path: Path
) -> None:
    archive = damaged(f"UPDATE models SET fingerprint = '{'0' * 32}' WHERE id = 13")
    (model,) = archive.models(ids=[13])
    assert model.weights_sha256 is None
    with pytest.raises(CheckpointError, match="makes other weights than were born"):
        export(archive, reopen_context(archive), model, tmp_path / "changed")
    assert archive.models(ids=[13]) == [model]
    assert not (tmp_path / "changed").exists()


def test_an_exported_founder_is_the_founder(small_archive: Archive, tmp_path: Path) -> None:
    founder = small_archive.models()[2]
    export(small_archive, reopen_context(small_archive), founder, tmp_path / "founder")
    assert open_checkpoint(tmp_path / "founder").sha256() == founder.weights_sha256


def test_export_overwrites_nothing(small_archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(PopulationError, match="exists already"):
        export(small_archive, reopen_context(small_archive), small_archive.models()[0], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


# Check


@pytest.fixture
def damaged(small_archive: Archive, tmp_path: Path) -> Callable[[str], Archive]:
    """The small archive, changed by a statement behind its back."""

    def change(statement: str) -> Archive:
        archive = copied(small_archive, tmp_path / "changed.duckdb")
        with duckdb.connect(str(archive.path)) as db:
            db.execute(statement)
        return archive

    return change


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (
            "UPDATE models SET genome = list_concat([genome[1] + 0.25], genome[2:]) WHERE id = 15",
            "#15",
        ),
        (f"UPDATE models SET weights_sha256 = '{'0' * 64}' WHERE id = 12", "#12"),
        (f"UPDATE models SET fingerprint = '{'0' * 32}' WHERE id = 13", "#13"),
        (f"UPDATE models SET fingerprint = '{'0' * 32}' WHERE id = 2", "founder"),
        (f"UPDATE models SET weights_sha256 = '{'0' * 64}' WHERE id = 2", "founder"),
        ("UPDATE models SET path = '/nowhere' WHERE id = 1", "founder base"),
        ("DELETE FROM models WHERE id = 14", "row"),
        ("DELETE FROM generations WHERE generation = 1", "row"),
        ("UPDATE generations SET champion = 4711 WHERE generation = 1", "row"),
        ("UPDATE scores SET model = 4711 WHERE model = 13", "row"),
    ],
)
def test_damage_is_found_and_named(
    damaged: Callable[[str], Archive], statement: str, what: str
) -> None:
    damages = check(damaged(statement)).damages
    assert any(damage.what.startswith(what) for damage in damages), damages


def test_a_sample_replays_only_some(small_archive: Archive) -> None:
    found = check(small_archive, sample=5)
    assert (found.replayed, found.damages) == (5, ())


def test_a_founder_that_changed_stops_a_campaign(
    damaged: Callable[[str], Archive],
) -> None:
    archive = damaged(f"UPDATE models SET weights_sha256 = '{'0' * 64}' WHERE id = 2")
    with pytest.raises(CheckpointError, match="has other weights than when this archive was"):
        reopen_context(archive)
