"""Everybody as columns: grown step by step or read at once, they are the same."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from lineage import Archive
from lineage.ancestry.sparse import SparseAncestry
from lineage.archive.fork import fork
from lineage.queries.columns import (
    LIVING,
    Columns,
    empty_columns,
    is_outdated,
    updated,
    with_fitness,
)
from lineage.queries.fitness import fitness_of_all, selection_scores
from lineage.task_weights import TaskWeights, weights_of
from population.campaign.state import selection_score
from tests.archives import copied
from tests.screen_helpers import finished
from tui.app.data.snapshot import Snapshot, with_shares


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return Archive(finished(tmp_path_factory.mktemp("finished")))


@pytest.fixture(scope="module")
def stages(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> list[Archive]:
    """The archive as it was after some of its generations, and as it is."""
    folder = tmp_path_factory.mktemp("stages")
    return [fork(archive, at, folder / f"{at}.duckdb") for at in (0, 1, 5, 12, 30)] + [archive]


def read(archive: Archive, known: Columns) -> Columns:
    with archive.reading() as db:
        return with_fitness(db, updated(db, known))


def same(one: Columns, other: Columns) -> None:
    for part in fields(Columns):
        a, b = getattr(one, part.name), getattr(other, part.name)
        if part.name == "parent_edges":
            for link in ("founders", "child", "parent", "share"):
                np.testing.assert_array_equal(getattr(a, link), getattr(b, link))
        elif part.name == "history":
            assert a.keys() == b.keys()
            for name in a:
                np.testing.assert_array_equal(a[name], b[name])
        elif isinstance(a, np.ndarray):
            assert a.dtype == b.dtype, part.name
            np.testing.assert_array_equal(said(one, part.name), said(other, part.name))
        elif part.name != "vocabulary":  # their order is that in which they were met
            assert a == b, part.name


def said(columns: Columns, name: str) -> object:
    """Codes as the words that they stand for."""
    values = getattr(columns, name)
    if name not in ("operator", "cause"):
        return values
    return [columns.vocabulary[code] if code >= 0 else None for code in values[1:].tolist()]


def test_grown_step_by_step_they_are_as_read_at_once(stages: list[Archive]) -> None:
    known = empty_columns()
    for stage in stages:
        known = read(stage, known)
        same(known, read(stage, empty_columns()))


def test_they_are_what_the_archive_says(archive: Archive) -> None:
    columns = read(archive, empty_columns())
    models = archive.models()
    last = archive.generations()[-1]
    ratings = archive.ratings(last.generation)
    assert columns.newest == len(models)
    assert columns.last == last.generation
    for model in models:
        died = LIVING if model.died is None else model.died
        assert columns.generation[model.id] == model.generation
        assert columns.died[model.id] == died
        assert columns.vocabulary[columns.operator[model.id]] == model.operator
        assert (columns.cause[model.id] < 0) == (model.cause is None)
        assert columns.names.get(model.id) == model.name
        rated = ratings.get(model.id)
        assert np.isnan(columns.rating[model.id]) == (rated is None)
        if rated:
            assert columns.rating[model.id] == pytest.approx(rated.rating)
            assert columns.trend[model.id][-1] == rated.rating
    np.testing.assert_allclose(columns.fitness, fitness_of_all(archive, columns.newest), 1e-6)
    assert columns.events == tuple(archive.events())
    np.testing.assert_array_equal(
        columns.history["best"], [generation.best for generation in archive.generations()]
    )


def test_there_is_news_where_something_has_come(stages: list[Archive]) -> None:
    known = read(stages[2], empty_columns())
    with stages[2].reading() as db:
        assert not is_outdated(db, known)
    with stages[3].reading() as db:
        assert is_outdated(db, known)


def test_older_columns_are_never_written_to(stages: list[Archive]) -> None:
    known = read(stages[3], empty_columns())
    for part in fields(Columns):
        if isinstance(getattr(known, part.name), np.ndarray):
            getattr(known, part.name).setflags(write=False)
    read(stages[4], known)
    same(known, read(stages[3], empty_columns()))


def test_founder_shares_of_newcomers_are_those_of_everybody(stages: list[Archive]) -> None:
    older: Snapshot | None = None
    for stage in stages:
        columns = read(stage, older.columns if older else empty_columns())
        snapshot = Snapshot(columns, older.shares if older else None)
        shares = with_shares(older, snapshot)
        np.testing.assert_allclose(
            shares, SparseAncestry(columns.parent_edges).founder_shares(), atol=1e-6
        )
        older = Snapshot(columns, shares)


def test_a_snapshot_knows_models_as_the_archive_does(archive: Archive) -> None:
    snapshot = Snapshot(read(archive, empty_columns()))
    last = archive.generations()[-1]
    assert snapshot.champion == last.champion
    assert snapshot.living.tolist() == [model.id for model in archive.models(living=True)]
    counts = archive.children_counts()
    for model in archive.models():
        assert list(snapshot.parents(model.id)) == [parent.id for parent in model.parents]
        assert snapshot.children[model.id] == counts.get(model.id, 0)
        assert snapshot.cause(model.id) == model.cause
        assert snapshot.is_living(model.id) == model.living
    line = snapshot.line(last.champion)
    assert line[0] == last.champion
    assert snapshot.is_founder(line[-1])
    generations, champions = snapshot.reigns
    assert champions[-1] == last.champion
    assert generations[0] == 0
    assert snapshot.spent == sum(past.evaluations for past in archive.generations())
    assert snapshot.births[-1] == len(archive.models())


def test_what_is_read_of_scores_weights_tasks_as_the_campaign_does(
    small_archive: Archive, tmp_path: Path
) -> None:
    archive = copied(small_archive, tmp_path / "heavy.duckdb")
    (config, means) = archive.campaign()[1], archive.task_means("selection")
    names = list(next(iter(means.values())))
    even = selection_scores(archive)
    config["tasks"]["weights"] = {names[0]: 9.0}
    archive.intervene(config, "a heavy task")
    weighted = selection_scores(archive)
    weights = weights_of(archive.campaign()[1])
    assert weights == TaskWeights({names[0]: 9.0})
    for model, by_task in means.items():
        assert even[model] == pytest.approx(selection_score(by_task))
        assert weighted[model] == pytest.approx(selection_score(by_task, weights))
    assert any(abs(even[model] - weighted[model]) > 0.01 for model in even)
