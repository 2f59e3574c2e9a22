"""Two campaigns compared, and two models put side by side."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lineage import Archive
from lineage.archive.fork import fork
from lineage.queries.item_scores import item_scores
from lineage.records import Item, Model, Scores
from population.analysis.comparison import compare_campaigns
from population.analysis.difference import difference
from population.evaluation.intervals import mean_over_tasks
from tests.command_helpers import colony, failure


def test_leads_are_paired_item_by_item(small_archive: Archive, tmp_path: Path) -> None:
    branch = fork(small_archive, 0, tmp_path / "branch.duckdb")
    now, equal = compare_campaigns(small_archive, branch)
    assert equal is not None
    # The same campaign at the same budget, whatever became of its champion later.
    first, second = (
        replace(side, champion=replace(side.champion, died=None, cause=None))
        for side in (equal.first, equal.second)
    )
    assert first == second
    (compared,) = now.splits
    assert compared.split == "selection"
    with small_archive.reading() as db:
        items = db.execute(
            "SELECT id, task FROM items WHERE split = 'selection' ORDER BY id"
        ).fetchall()
    ids = [item for item, _ in items]
    champions = [now.first.champion.id, now.second.champion.id]
    exact = small_archive.scores(champions, ids).exact
    expected = mean_over_tasks(exact[0] - exact[1], [task for _, task in items])
    assert compared.items == len(ids)
    assert compared.difference.mean == pytest.approx(expected.mean)
    assert compared.difference.low <= compared.difference.mean <= compared.difference.high
    assert sum(lead.mean for *_, lead in compared.tasks.values()) / len(compared.tasks) == (
        pytest.approx(expected.mean)
    )
    back, _ = compare_campaigns(branch, small_archive)
    assert back.splits[0].difference.mean == pytest.approx(-expected.mean)


def test_sealed_scores_count_only_where_reports_took_them(
    small_archive: Archive, tmp_path: Path
) -> None:
    one = fork(small_archive, 3, tmp_path / "one.duckdb")
    other = fork(small_archive, 0, tmp_path / "other.duckdb")
    items = [*small_archive.panel(0)[:6]]
    sealed = [type(item)(f"{item.id}/sealed", item.task, "test", "", "") for item in items]
    names = tuple(item.id for item in sealed)
    for archive, hits in ((one, 1.0), (other, 0.0)):
        assert [compared.split for compared in compare_campaigns(one, other)[0].splits] == [
            "selection"
        ]
        champion = archive.models(ids=[archive.generations()[-1].champion])[0]
        scores = np.full((1, len(sealed)), hits)
        archive.save_report_scores(
            champion.weights_sha256, sealed, Scores((0,), names, scores, scores)
        )
    test, selection = compare_campaigns(one, other)[0].splits
    assert (test.split, selection.split) == ("test", "selection")
    assert (test.difference.mean, test.difference.low) == (1.0, 1.0)


def test_scores_on_the_sealed_items_of_one_task_are_no_score_on_the_split(
    small_archive: Archive, tmp_path: Path
) -> None:
    """A report measures specialists on the items of their task alone."""
    archive = fork(small_archive, 3, tmp_path / "one.duckdb")
    champion = archive.find("champion")
    founder = archive.models()[0]
    sealed = [
        type(item)(f"{item.id}/sealed", item.task, "test", "", "") for item in archive.panel(0)
    ]

    def write(model: Model, items: Sequence[Item]) -> None:
        scores, names = np.ones((1, len(items))), tuple(item.id for item in items)
        assert model.weights_sha256 is not None
        archive.save_report_scores(model.weights_sha256, items, Scores((0,), names, scores, scores))

    write(founder, sealed)
    write(champion, [item for item in sealed if item.task == sealed[0].task])
    assert len(item_scores(archive, founder, "test")) == len(sealed)
    assert item_scores(archive, champion, "test") == {}
    write(champion, sealed)
    assert len(item_scores(archive, champion, "test")) == len(sealed)


def test_the_command_compare(small_archive: Archive, tmp_path: Path) -> None:
    branch = fork(small_archive, 0, tmp_path / "branch.duckdb")
    code, said, _ = colony("compare", small_archive.path, branch.path)
    assert code == 0
    assert "at equal budgets" in said
    assert "colony report" in said
    value = json.loads(colony("compare", small_archive.path, branch.path, "--json")[1])
    assert value["now"]["contests"][0]["split"] == "selection"
    assert value["equal_budget"]["campaigns"][0]["generation"] == 0
    assert "no archive" in failure("compare", small_archive.path, tmp_path / "none.duckdb")


def test_a_child_is_put_between_its_parents(small_archive: Archive) -> None:
    child = next(m for m in small_archive.models()[::-1] if len(m.parents) == 2)
    parents = small_archive.models(ids=[p.id for p in child.parents])
    found = difference(small_archive, [parents[0], child, parents[1]])
    genome = small_archive.genomes([child.id])[0].reshape(3, -1)
    weights = found.sides[1].weights
    assert weights is not None
    assert weights[1:] == pytest.approx(genome)  # the base is the first founder
    assert weights.sum(axis=0) == pytest.approx(np.ones(genome.shape[1]))
    assert sum(found.sides[1].shares.values()) == pytest.approx(1.0)
    assert found.distance(1, 1) == pytest.approx(np.zeros(genome.shape[1]))
    value = json.loads(colony("diff", child.id, "-a", small_archive.path, "--json")[1])
    assert [side["id"] for side in value["models"]][1] == child.id
    assert {value["models"][0]["id"], value["models"][2]["id"]} == {p.id for p in parents}
    named = json.loads(
        colony("diff", parents[1].id, child.id, "-a", small_archive.path, "--json")[1]
    )
    assert [side["id"] for side in named["models"]] == [parents[1].id, child.id, parents[0].id]


def test_founders_are_apart_by_one(small_archive: Archive) -> None:
    found = difference(small_archive, small_archive.models(ids=[2, 3]))
    apart = found.distance(0, 1)
    assert apart is not None
    assert apart == pytest.approx(np.ones(len(found.blocks)))


def test_the_command_diff(small_archive: Archive) -> None:
    path = small_archive.path
    code, said, _ = colony("diff", "capital", "cipher", "-a", path)
    assert code == 0
    assert "weight of capital" in said
    code, said, _ = colony("diff", "champion", "-a", path)
    assert code == 0
    assert "child" in said
    assert "has no parents" in failure("diff", "capital", "-a", path)
    assert "no model" in failure("diff", "champion", "nobody", "-a", path)


@pytest.mark.slow
def test_paths_are_put_side_by_side(routed_archive: object) -> None:
    for space in ("flow", "both"):
        archive = routed_archive(space)  # type: ignore[operator]
        code, said, error = colony("diff", archive.newest_id(), "-a", archive.path)
        assert (code, error) == (0, "")
        assert "step" in said
