"""Coverage: the best living offspring of each task, chosen on one split and measured on another."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pytest

from arena.tasks.folder import FolderTask
from lineage import Archive
from lineage.records import Floats, Item, Scores
from population.analysis.coverage import BestOffspring, best_of_each_task
from population.analysis.report import make_report
from population.analysis.sealed_split import SplitMeasurements
from population.analysis.stored_shares import stored_shares
from population.campaign.context import Context, silent
from population.campaign.opening_context import reopen_context
from population.config import load_config
from population.evaluation.batching import PreparedItems
from population.evaluation.evaluator import Evaluator
from population.weights.fingerprint import fingerprint
from population.weights.materialise import State, state_sha256
from tests.conftest import campaign, small_toml


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tasks_folder: Path) -> Archive:
    """A small campaign on tasks whose sealed split can be read: what selection has, once more."""
    folder = tmp_path_factory.mktemp("coverage")
    shutil.copytree(tasks_folder, folder / "tasks")
    for task in (folder / "tasks").iterdir():
        shutil.copy(task / "selection.jsonl", task / "test.jsonl")
    (folder / "small.toml").write_text(small_toml(folder / "tasks"))
    return campaign(load_config(folder / "small.toml"), folder / "colony.duckdb", generations=1)


@dataclass(frozen=True)
class Arranged:
    """An archive in which scores of the living offspring are what a test says they are."""

    archive: Archive
    context: Context
    offspring: list[int]

    def write(self, model: int, items: list[Item], exact: Floats, probability: Floats) -> None:
        (state,) = self.context.factory.maker.siblings(list(self.archive.genomes([model])))
        names = tuple(item.id for item in items)
        scores = Scores((0,), names, exact[None], probability[None])
        self.archive.save_report_scores(fingerprint(state), items, scores)

    def of_task(self, split: str, task: str) -> list[Item]:
        return [item for item in self.context.split(split) if item.task == task]


@pytest.fixture
def arranged(finished: Archive, tmp_path: Path) -> Arranged:
    """The campaign without any score of a selection item."""
    path = tmp_path / "arranged.duckdb"
    path.write_bytes(finished.path.read_bytes())
    with duckdb.connect(str(path)) as db:
        db.execute(
            "DELETE FROM scores WHERE item IN (SELECT id FROM items WHERE split <> 'search')"
        )
    archive = Archive(path)
    living = [model.id for model in archive.models(living=True) if model.kind == "offspring"]
    return Arranged(archive, reopen_context(archive), living)


def test_each_task_has_the_row_that_is_best_there_and_of_equals_the_first() -> None:
    scores = np.array([[0.0, 1.0, 0.5, 0.0], [1.0, 0.0, 0.5, 1.0], [1.0, 1.0, 0.0, 0.0]])
    assert best_of_each_task(scores, ["a", "a", "b", "c"]) == {"a": 2, "b": 0, "c": 1}


def test_what_is_best_on_selection_is_reported_on_test(arranged: Arranged) -> None:
    """The first has the first task on selection and fails on test, where all others do not."""
    tasks = [task.name for task in arranged.context.tasks]
    first, second, *_ = arranged.offspring
    for model in arranged.offspring:
        for task in tasks:
            best = first if task == tasks[0] else second
            for split in ("selection", "test"):
                items = arranged.of_task(split, task)
                hits = np.full(len(items), float((model == best) == (split == "selection")))
                if split == "test" and model == best:
                    hits[0] = 1.0
                arranged.write(model, items, hits, hits)
    measurements = SplitMeasurements(arranged.archive, arranged.context, silent)
    found = measurements.coverage(arranged.offspring)
    assert found is not None
    expected = {
        task: BestOffspring(
            first if task == tasks[0] else second, 1 / len(arranged.of_task("test", task))
        )
        for task in tasks
    }
    assert dict(found.tasks) == expected
    mean = np.mean([best.test for best in expected.values()])
    assert found.interval.mean == pytest.approx(mean)
    assert found.interval.low < mean < found.interval.high
    value = found.as_json()
    assert value["half_width"] == pytest.approx((value["high"] - value["low"]) / 2)
    assert value["tasks"][tasks[0]] == {"model": first, "test": expected[tasks[0]].test}
    assert arranged.context.evaluator.meter.evaluations == 0, "all of that was known"


def test_where_all_solve_the_selection_items_the_surest_is_best(arranged: Arranged) -> None:
    sure = arranged.offspring[-1]
    for model in arranged.offspring:
        items = arranged.context.split("selection")
        probability = np.full(len(items), 0.9 if model == sure else 0.6)
        arranged.write(model, items, np.ones(len(items)), probability)
    found = SplitMeasurements(arranged.archive, arranged.context, silent).coverage(
        arranged.offspring
    )
    assert found is not None
    assert {best.model for best in found.tasks.values()} == {sure}
    tested = len(arranged.context.split("test"))
    assert arranged.context.evaluator.meter.evaluations == tested, "only the chosen is asked"


def test_measured_once_and_what_the_campaign_knows_not_at_all(
    finished: Archive, tmp_path: Path
) -> None:
    path = tmp_path / "again.duckdb"
    path.write_bytes(finished.path.read_bytes())
    archive = Archive(path)
    context = reopen_context(archive)
    living = [model.id for model in archive.models(living=True) if model.kind == "offspring"]
    items = [item.id for item in context.split("selection")]
    unknown = int(np.isnan(archive.scores(living, items).exact).any(axis=1).sum())
    assert 0 < unknown < len(living)
    first = SplitMeasurements(archive, context, silent).coverage(living)
    tested = len(context.split("test"))
    assert context.evaluator.meter.evaluations == unknown * len(items) + tested
    again = reopen_context(archive)
    assert SplitMeasurements(archive, again, silent).coverage(living) == first
    assert again.evaluator.meter.evaluations == 0


def test_a_model_that_fails_is_passed_over(
    arranged: Arranged, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = arranged.offspring[0]
    score, load = Evaluator.score, Evaluator.load_weights
    (weights,) = arranged.context.factory.maker.siblings(list(arranged.archive.genomes([broken])))
    loaded: dict[Evaluator, str] = {}

    def note(self: Evaluator, state: State) -> None:
        loaded[self] = state_sha256(state)
        load(self, state)

    def fail_for_one(self: Evaluator, prepared: PreparedItems) -> tuple[Floats, Floats]:
        if loaded[self] == state_sha256(weights):
            raise RuntimeError("out of luck")
        return score(self, prepared)

    monkeypatch.setattr(Evaluator, "load_weights", note)
    monkeypatch.setattr(Evaluator, "score", fail_for_one)
    found = SplitMeasurements(arranged.archive, arranged.context, silent).coverage(
        arranged.offspring
    )
    assert found is not None
    assert broken not in {best.model for best in found.tasks.values()}
    assert any("out of luck" in line for line in arranged.context.failures.drain())


def test_without_living_offspring_there_is_no_coverage(arranged: Arranged) -> None:
    assert SplitMeasurements(arranged.archive, arranged.context, silent).coverage([]) is None


def test_the_sealed_split_is_read_by_the_report_alone(
    arranged: Arranged, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    items = FolderTask.items

    def watched(self: FolderTask, split: str, *args: int | None, **named: int | None) -> list[Item]:
        opened.append(split)
        return items(self, split, *args, **named)

    monkeypatch.setattr(FolderTask, "items", watched)
    campaign(arranged.context.config, arranged.archive.path, generations=2)
    champion = arranged.archive.find("champion")
    assert stored_shares(arranged.archive, champion) is not None
    assert set(opened) == {"search", "selection"}
    make_report(arranged.archive, reopen_context(arranged.archive))
    assert set(opened) == {"search", "selection", "test"}
