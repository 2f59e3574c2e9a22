"""How references are read: what exists under a name is meant, whatever signs are in it.

Folders in square brackets that are taken for globs are known from isaacs/minimatch 50.
"""

from pathlib import Path

import pytest

from arena.tasks import load_task
from population.config import Config, Founders, Tasks, resolve_paths
from population.errors import CheckpointError, ConfigError
from population.merging.recipe import Recipe, Source, with_paths_from
from population.models.sources import open_source
from population.references import expand_user, split_adapter

FOLDERS = (
    "qwen[v2]", "a*", "ab", "x+y", "x", "ad1", "ad+2", "~", "~me", "b@c", "q?", "py.py:N",
    "two words", "猫",
)  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "config [v2] of *"
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    (folder / "plain.txt").touch()
    return folder


def founders(place: Path, *paths: str) -> list[str]:
    config = Config(founders=Founders(paths=list(paths)), tasks=Tasks(paths=["py.py:N"]))
    return [path.replace(str(place), ".") for path in resolve_paths(config, place).founders.paths]


@pytest.mark.parametrize("name", FOLDERS)
def test_what_exists_is_meant_as_it_is_written(name: str, place: Path) -> None:
    assert founders(place, name) == [f"./{name}"]
    assert founders(place, str(place / name)) == [f"./{name}"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a?", ["./a*", "./ab"]),
        ("q[vw]*", ["./qwen[v2]"]),
        ("q[v]*", []),
        ("q*", ["./q?", "./qwen[v2]"]),
        ("x+ad1", ["./x+./ad1"]),
        ("x+ad+2", ["./x+./ad+2"]),
        ("x+y+ad+2", ["./x+y+./ad+2"]),
        ("x+y+ad1+ad+2", ["./x+y+./ad1+./ad+2"]),
        ("x+ad*", ["./x+./ad+2", "./x+./ad1"]),
    ],
)
def test_patterns_and_adapters(pattern: str, expected: list[str], place: Path) -> None:
    if expected:
        assert founders(place, pattern) == expected
    else:
        with pytest.raises(ConfigError, match="fits no folder"):
            founders(place, pattern)


def test_a_pattern_below_a_folder_of_odd_name(place: Path) -> None:
    (place / "qwen[v2]" / "one").mkdir()
    (place / "qwen[v2]" / "two").mkdir()
    assert founders(place, "qwen[v2]/*") == ["./qwen[v2]/one", "./qwen[v2]/two"]
    assert len(founders(place, "*")) == len(FOLDERS)


def test_a_home_is_where_it_is(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "m+1").mkdir(parents=True)
    assert founders(place, "~/m+1") == ["./~/m+1".replace("./~", str(tmp_path / "home"))]
    assert expand_user("~/x", tmp_path) == str(tmp_path / "home" / "x")
    assert expand_user("~/x") == str(tmp_path / "home" / "x")
    assert expand_user("~no-such-user-here/x") == "~no-such-user-here/x"
    assert expand_user("~", place) == "~"


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("nope", "fits no folder"),
        ("plain.txt", "is a file; expected a checkpoint folder"),
        ("x+nope", "lacks 'nope'"),
        ("nope+ad1", "lacks 'nope'"),
        ("org/name", "hf download org/name"),
        ("~no-such-user-here/x", "fits no folder"),
    ],
)
def test_what_fits_nothing_is_said(pattern: str, words: str, place: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        founders(place, pattern)
    assert words in str(caught.value)
    assert repr(pattern) in str(caught.value)


def test_references_are_cut_where_both_halves_are(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    assert split_adapter("x+y") is None
    assert split_adapter("x") is None
    assert split_adapter("x+y+ad1") == ("x+y", "ad1")
    assert split_adapter("x+y+ad+2") == ("x+y", "ad+2")
    assert split_adapter("org/hub+ad+2") == ("org/hub", "ad+2")
    assert split_adapter("org/hub+org/adapter") == ("org/hub", "org/adapter")
    assert split_adapter("+") is None


def test_what_is_opened_is_what_is_there(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    for name in ("x+y", "~", "b@c"):
        with pytest.raises(CheckpointError) as caught:
            open_source(name)  # empty, but found: the complaint is about what is in it
        assert "config.json" in str(caught.value)
    with pytest.raises(CheckpointError, match=r"x\+y"):
        open_source("x+y+ad1")


def test_a_recipe_sees_odd_names_from_its_folder(place: Path) -> None:
    sources = {name: Source(path=name) for name in ("x+y", "x+y+ad+2", "org/hub+ad1", "org/hub")}
    step = {"name": "s", "method": "linear", "models": [{"model": "x+y"}, {"model": "org/hub"}]}
    recipe = Recipe.model_validate({"recipe": 1, "sources": sources, "steps": [step]})
    seen = {name: source.path for name, source in with_paths_from(recipe, place).sources.items()}
    assert seen == {
        "x+y": f"{place}/x+y",
        "x+y+ad+2": f"{place}/x+y+{place}/ad+2",
        "org/hub+ad1": f"org/hub+{place}/ad1",
        "org/hub": "org/hub",
    }


def test_a_task_folder_named_as_a_python_file(place: Path) -> None:
    folder = place / "py.py:N"
    (folder / "task.toml").write_text('name = "odd"\n')
    for split in ("search", "selection", "test"):
        (folder / f"{split}.jsonl").write_text('{"prompt": "a", "key": "b"}\n')
    assert load_task(str(folder)).name == "odd"
