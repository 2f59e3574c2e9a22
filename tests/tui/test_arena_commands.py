"""`colony leaderboard`, `matches` and `match` as a person and a script meet them."""

import json
from pathlib import Path
from typing import Any

import pytest

from lineage import Archive
from tests.command_helpers import colony, failure
from tests.screen_helpers import finished


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return Archive(finished(tmp_path_factory.mktemp("commands"), "arena"))


def told(*arguments: object) -> Any:
    code, said, error = colony(*arguments, "--json")
    assert (code, error) == (0, "")
    return json.loads(said)


def shown(*arguments: object) -> str:
    code, said, error = colony(*arguments)
    assert (code, error) == (0, "")
    return said


def test_the_leaderboard_is_for_people_and_for_scripts(archive: Archive) -> None:
    path = archive.path
    board = told("leaderboard", "-a", path)
    said = shown("leaderboard", "-a", path, "--ascii")
    assert said.isascii()
    places = [said.index(f" {row['name'] or '#' + str(row['model'])} ") for row in board]
    assert places == sorted(places)
    assert f"{board[0]['rating']:.0f}" in said
    assert len(told("leaderboard", "-a", path, "--all")) > len(board)
    task = archive.panel(0)[0].task
    of_task = told("leaderboard", "-a", path, "--task", task)
    assert {row["id"] for row in of_task} == {row["id"] for row in board}
    assert f"right of so many on {task}" in " ".join(
        shown("leaderboard", "-a", path, "--task", task).split()
    )


def test_matches_are_listed_by_names_that_can_be_asked_for(archive: Archive) -> None:
    path = archive.path
    listed = told("matches", "-a", path, "--limit", 5)
    assert len(listed) == 5
    said = shown("matches", "-a", path, "--limit", 5)
    for row in listed:
        assert row["match"] in said
        found = told("match", row["match"], "-a", path)
        assert {name: found[name] for name in row} == row
        text = shown("match", row["match"], "-a", path)
        for judgement in found["judgements"]:
            assert f"#{judgement['judge']} " in text
            assert judgement["closer_to"] in (None, row["a"]["model"], row["b"]["model"])
        assert ("nobody looked at it" in text) == (found["key"] is None)
        won = "tie" if found["winner"] is None else f"#{found['winner']}"
        if found["judged"]:
            assert f"{won}, by the {'key' if found['by_key'] else 'jury'}" in text
        else:
            assert "no verdict" in text


def test_matches_are_of_a_model_a_task_a_round(archive: Archive) -> None:
    path, item = archive.path, archive.panel(0)[0]
    of_base = told("matches", "-a", path, "--model", "base", "--limit", 1000)
    assert of_base
    assert all(1 in (row["a"]["model"], row["b"]["model"]) for row in of_base)
    of_task = told("matches", "-a", path, "--task", item.task, "--limit", 1000)
    assert {row["task"] for row in of_task} == {item.task}
    assert {row["round"] for row in told("matches", "-a", path, "--round", 1)} == {1}
    assert told("matches", "-a", path, "--round", 99) == []
    assert "no such match" in shown("matches", "-a", path, "--round", 99)


def test_what_is_unknown_is_one_line(archive: Archive) -> None:
    path = archive.path
    task = archive.panel(0)[0].task
    assert f"did you mean {task}?" in failure("leaderboard", "-a", path, "--task", task[:-1])
    assert "no task is named" in failure("matches", "-a", path, "--task", "nothing")
    assert "no model 'nobody'" in failure("matches", "-a", path, "--model", "nobody")
    assert "A-B@ITEM" in failure("match", "12", "-a", path)
    assert "never met" in failure("match", "1-2@nothing", "-a", path)


def test_sources_say_what_to_merge_for_a_task(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])  # where the archive's founders lie
    path, task = archive.path, archive.panel(0)[0].task
    everything = told("sources", "-a", path)
    assert everything["choices"] is None
    living = {model.id for model in archive.models(living=True)}
    assert {source["id"] for source in everything["sources"]} == living
    said = shown("sources", "-a", path)
    assert "data/founders/base" in said
    assert "made from its recipe" in said
    chosen = told("sources", "-a", path, "--task", task)["choices"]
    means = {model: of[task][0] for model, of in archive.task_means("search").items()}
    assert len(chosen) == 3
    assert {choice["id"] for choice in chosen} <= living
    assert chosen[0]["solves"] == max(choice["solves"] for choice in chosen)
    assert means[chosen[0]["model"]] > 0
    text = " ".join(shown("sources", "-a", path, "--task", task).split())
    for choice in chosen:
        assert choice["reason"][:30] in text
    assert "no task is named" in failure("sources", "-a", path, "--task", "nothing")
