"""A colony without keys breeds by labels that it makes for itself, and stays exact."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from arena.tasks.answers import canonical
from lineage import Archive
from lineage.archive.fork import fork
from lineage.queries.labels import labelled_items
from lineage.records import Item
from population.analysis.verification import check
from population.campaign.context import silent
from population.campaign.opening_context import found_archive, open_context, reopen_context
from population.campaign.session import open_session
from population.config import Config, load_config, parse_config
from tests.benchmarks.improvement import without_keys
from tests.conftest import campaign, small_toml
from tests.population.campaign.test_campaign import assert_same, interrupt

GENERATIONS = 1


@pytest.fixture(scope="module")
def keys(
    tasks_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    """Tasks of which no search or selection item has a key; and the keys, for an audit."""
    folder = tmp_path_factory.mktemp("keyless")
    return folder, without_keys(tasks_folder, folder)


@pytest.fixture(scope="module")
def config(keys: tuple[Path, dict[str, str]]) -> Config:
    folder, _ = keys
    path = folder.parent / f"{folder.name}.toml"
    path.write_text(
        small_toml(
            folder,
            search={
                "merit": "jury",
                "rotate": 1,
                "panel": 6,
                "items": 6,
                "brood": 2,
                "population": 4,
            },
            gradient={"steps": 2, "items": 3},
            arena={"labelled": 24, "items": 6, "judges": 1},
        )
    )
    return load_config(path)


@pytest.fixture(scope="module")
def archive(config: Config, made_once: Callable[..., Path]) -> Archive:
    made = made_once("by_labels", lambda f: campaign(config, f / "colony.duckdb", GENERATIONS))
    return Archive(made / "colony.duckdb")


def test_labels_are_made_of_the_surest_answers_and_most_are_right(
    archive: Archive, keys: tuple[Path, dict[str, str]]
) -> None:
    labelled = labelled_items(archive, 0)
    kept = [one for one in labelled if one.label.kept]
    assert {one.item.split for one in kept} == {"search", "selection"}
    assert all(one.item.key is None for one in labelled)
    assert {one.label.model for one in labelled} <= set(archive.founder_paths())
    right = [canonical(one.label.answer) == canonical(keys[1][one.item.id]) for one in kept]
    assert sum(right) > 0.8 * len(right)
    least = min(one.label.confidence for one in kept)
    assert all(
        one.label.kept or one.label.confidence <= least or one.item.split == "selection"
        for one in labelled
        if one.item.task in {best.item.task for best in kept}
    )


def test_a_campaign_breeds_and_crowns_without_any_key(archive: Archive) -> None:
    last = archive.latest()
    assert last is not None
    assert last.generation == GENERATIONS
    kept = {one.item.id for one in labelled_items(archive, last.epoch) if one.label.kept}
    assert {item.id for item in archive.panel(last.epoch)} <= kept
    assert archive.task_means("selection") == {}  # agreement with labels is no score
    assert archive.inconsistencies() == []
    assert check(archive).intact


def test_the_champion_is_asked_again_what_nobody_was_sure_of(archive: Archive) -> None:
    first, second = (
        {one.item.id: one.label for one in labelled_items(archive, epoch)} for epoch in (0, 1)
    )
    assert first.keys() == second.keys()
    assert all(second[item] == label for item, label in first.items() if label.kept)
    crowned = archive.generations()[0].champion
    assert {second[item].model for item, label in first.items() if not label.kept} == {crowned}


def test_it_goes_on_as_if_it_had_never_stopped(
    config: Config, archive: Archive, tmp_path: Path
) -> None:
    again = found_archive(tmp_path / "colony.duckdb", open_context(config))
    interrupt(again, "labels", 0)
    interrupt(again, "the living, again", 1)
    assert_same(campaign(config, again.path, GENERATIONS), archive)


def test_a_fork_keeps_the_labels_that_it_goes_on_with(
    config: Config, archive: Archive, tmp_path: Path
) -> None:
    forked = fork(archive, 0, tmp_path / "fork.duckdb")
    assert labelled_items(forked, 1) == []
    assert labelled_items(forked, 0) == labelled_items(archive, 0)
    assert forked.inconsistencies() == []


def test_keys_neither_make_labels_nor_are_learned_from(
    keys: tuple[Path, dict[str, str]], tmp_path: Path, config: Config, archive: Archive
) -> None:
    """With keys that are all wrong, the first labels are those that are made without any."""
    for described in sorted(keys[0].glob("*/task.toml")):
        copy = tmp_path / described.parent.name
        copy.mkdir()
        for file in described.parent.iterdir():
            text = file.read_text()
            if file.stem in {"search", "selection"}:
                rows = [json.loads(line) | {"key": "wrong"} for line in text.splitlines()]
                text = "\n".join(map(json.dumps, rows)) + "\n"
            (copy / file.name).write_text(text)
    paths = [str(folder.parent) for folder in sorted(tmp_path.glob("*/task.toml"))]
    tasks = config.tasks.model_copy(update={"paths": paths})
    context = open_context(config.model_copy(update={"tasks": tasks}))
    founded = found_archive(tmp_path / "keyed.duckdb", context)
    items = open_session(founded, context, silent).items
    labelled, labels = items.labels(0)
    assert {item.key for item in labelled} == {"wrong"}
    assert labels == tuple(one.label for one in labelled_items(archive, 0))
    answers = {label.item: label.answer for label in labels}
    assert all(item.key == answers[item.id] for item in items.teaching(0))


def test_asked_without_its_key_an_item_does_not_tell_how_long_its_answer_is(
    archive: Archive,
) -> None:
    context = reopen_context(archive)
    item = context.split("search")[0]
    (state,) = context.factory.maker.siblings([context.genome_of_founder(1)])
    context.evaluator.load_weights(state)
    ((text, confidence),) = context.evaluator.answer_confidently([item])
    assert context.evaluator.loglikelihood([(item, text)])[0] <= confidence <= 0.0
    odd = Item("odd", item.task, "search", "?", None)
    assert len(context.evaluator.answer_confidently([odd, replace(item)])) == 2


def test_labels_need_gradients_and_archives_of_juries_stay_as_they_are() -> None:
    by_labels = parse_config({"search": {"merit": "jury"}}, "x")
    assert by_labels.by_labels
    assert by_labels.search.emitter == 0.0
    jury = parse_config({"search": {"merit": "jury"}, "gradient": {"steps": 0}}, "x")
    assert not jury.by_labels
    assert parse_config(jury.model_dump(), "x") == jury
