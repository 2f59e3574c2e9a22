"""Files are whole or not there."""

import os
from pathlib import Path

import pytest

from lineage.storage.atomic_file import DRAFT, sweep_drafts, whole_file, whole_folder


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_gets_its_name_when_it_is_whole(durable: bool, tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with whole_file(target, durable=durable) as draft:
        draft.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_what_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(target) as draft:
        draft.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_drafts_of_killed_processes_alone_are_swept(tmp_path: Path) -> None:
    mine = tmp_path / f".a.txt.{os.getpid()}{DRAFT}"
    left = tmp_path / f".a.b.txt.999999999{DRAFT}"
    for draft in (mine, left):
        draft.write_text("half")
    sweep_drafts(tmp_path)
    if Path("/proc").exists():  # elsewhere nobody can tell who is alive
        assert list(tmp_path.iterdir()) == [mine]


@pytest.mark.parametrize("only", [None, "a.txt"])
def test_a_folder_gets_its_name_when_it_is_whole(only: str | None, tmp_path: Path) -> None:
    target = tmp_path / "new" / "model"
    with whole_folder(target, only=only) as draft:
        (draft / "a.txt").write_text("a")
        assert not target.exists()
    assert (target if only else target / "a.txt").read_text() == "a"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_that_fails_or_is_in_use_leaves_nothing_new(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with pytest.raises(ZeroDivisionError), whole_folder(target) as draft:
        (draft / "a.txt").write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    with pytest.raises(OSError, match="not empty"), whole_folder(target) as draft:
        (draft / "a.txt").write_text("a")
    assert [path.name for path in target.iterdir()] == ["mine.txt"]
    assert list(tmp_path.iterdir()) == [target]


def test_folders_of_killed_processes_alone_are_swept(tmp_path: Path) -> None:
    mine, left = (tmp_path / f".model.{owner}.x1" for owner in (os.getpid(), 999999999))
    for draft in (mine, left):
        (draft / "whole").mkdir(parents=True)
    with whole_folder(tmp_path / "model"):
        pass
    if Path("/proc").exists():  # elsewhere nobody can tell who is alive
        assert {path.name for path in tmp_path.iterdir()} == {mine.name, "model"}
