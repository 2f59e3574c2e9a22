"""The commands around merging: what they say, in words and in JSON, and what they leave alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from population.models.sources import open_source
from tests.command_helpers import colony, failure, written
from tests.merge_helpers import LLAMA, linear, llama_shapes, recipe_of, write_llama


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return write_llama(tmp_path / "one", seed=1), write_llama(tmp_path / "two", seed=2)


def test_inspect_says_what_models_are(two: tuple[Path, Path], tmp_path: Path) -> None:
    code, said, error = colony("inspect", *two)
    assert (code, error) == (0, "")
    head, first, second = (line.split() for line in said.splitlines()[-3:])
    assert first[:2] == ["one", "llama"]
    assert {"4", "8", "79", "float32", "is", "compared"} <= set(first)
    assert (second[0], second[-1]) == ("two", "yes")
    assert head[0] == "model"
    code, said, error = colony("inspect", *two, "--json")
    assert (code, error) == (0, "")
    found = json.loads(said)
    assert [row["name"] for row in found] == ["one", "two"]
    shapes = llama_shapes().values()
    assert found[0]["parameters"] == sum(int(np.prod(shape)) for shape in shapes)
    assert (found[0]["layers"], found[0]["hidden"], found[0]["vocabulary"]) == (4, 8, 79)
    assert [row["fits"] for row in found] == ["is compared with", "yes"]


def test_inspect_fails_if_models_cannot_be_merged(two: tuple[Path, Path], tmp_path: Path) -> None:
    deep = write_llama(tmp_path / "deep", layers=5)
    code, said, error = colony("inspect", *two, deep, "--json")
    assert (code, error) == (1, "")
    fits = [row["fits"] for row in json.loads(said)]
    assert fits[:2] == ["is compared with", "yes"]
    assert fits[2].startswith("no: has besides model.layers.4.")
    assert colony("inspect", *two, deep)[0] == 1
    # A single file has no config.
    file = two[1] / "model.safetensors"
    assert json.loads(colony("inspect", two[0], file, "--json")[1])[1]["architecture"] == (
        "by tensor names"
    )
    assert "nowhere" in failure("inspect", tmp_path / "nowhere")
    # Configs say odd things.
    for change in ({"num_hidden_layers": None}, {"text_config": "x"}, {"model_type": 3}):
        (two[1] / "config.json").write_text(json.dumps(LLAMA | change))
        code, said, error = colony("inspect", *two, "--json")
        assert code in {0, 1}
        assert json.loads(said) if code == 0 else True


def test_a_dry_run_writes_nothing(two: tuple[Path, Path], tmp_path: Path) -> None:
    sources = dict(zip("ab", two, strict=True))
    recipe = written(recipe_of(sources, linear({"a": 0.5, "b": 0.5})), tmp_path / "r.json")
    before = sorted(tmp_path.rglob("*"))
    code, said, _ = colony("merge", recipe, tmp_path / "new" / "out", "--dry-run")
    assert code == 0
    assert "39 tensors" in said
    assert "nothing was written" in said
    code, said, error = colony("merge", recipe, tmp_path / "out", "--dry-run", "--json")
    assert (code, error) == (0, "")
    assert json.loads(said)["tensors"] == 39
    assert sorted(tmp_path.rglob("*")) == before
    deep = write_llama(tmp_path / "deep", layers=5)
    wrong = written(
        recipe_of({"a": deep, "b": two[0]}, linear({"a": 0.5, "b": 0.5})), tmp_path / "w.json"
    )
    assert "'b' has no tensor" in failure("merge", wrong, tmp_path / "out", "--dry-run")


def test_merge_answers_in_json(two: tuple[Path, Path], tmp_path: Path) -> None:
    sources = dict(zip("ab", two, strict=True))
    recipe = written(recipe_of(sources, linear({"a": 0.5, "b": 0.5})), tmp_path / "r.json")
    code, said, error = colony("merge", recipe, tmp_path / "out", "--json")
    assert (code, error) == (0, "")
    answer = json.loads(said)
    assert answer["folder"] == str(tmp_path / "out")
    assert answer["weights_sha256"] == open_source(str(tmp_path / "out")).sha256()
    assert (answer["tensors"], answer["warnings"]) == (39, [])
    code, said, _ = colony("merge", recipe, tmp_path / "file.safetensors")
    assert code == 0
    assert answer["weights_sha256"][:12] in said
    assert (tmp_path / "file.safetensors").is_file()


def test_a_seed_replaces_the_recipes_and_what_it_promised(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    step = {
        "method": "dare_linear",
        "base": "a",
        "models": ["b"],
        "parameters": {"weight": 1, "density": 0.5},
    }
    recipe = written(recipe_of(dict(zip("ab", two, strict=True)), step), tmp_path / "r.json")

    def sha(path: Path, name: str, *options: object) -> str:
        code, said, error = colony("merge", path, tmp_path / name, "--json", *options)
        assert code == 0, error
        found: str = json.loads(said)["weights_sha256"]
        return found

    first = sha(recipe, "first")
    assert sha(recipe, "same", "--seed", 0) == first
    again = tmp_path / "first" / "recipe.json"
    other = sha(again, "other", "--seed", 5)
    assert other != first
    # The recipe beside it has the seed that was used.
    assert sha(tmp_path / "other" / "recipe.json", "other again") == other


def test_devices_that_are_not_there(two: tuple[Path, Path], tmp_path: Path) -> None:
    recipe = written(recipe_of({"a": two[0]}, linear({"a": 1})), tmp_path / "r.json")
    said = failure("merge", recipe, tmp_path / "out", "--device", "warp")
    assert "device 'warp' cannot be used" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "r.json", "two"]
