"""Recipes as JSON: what is wrong is named in one line, what is written is what is read."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from population.merging.methods import METHODS
from population.merging.recipe import Recipe, parse_recipe
from population.merging.recipe_files import read_recipe
from tests.merge_helpers import GOOD_RECIPE, refused


def changed(place: str, value: Any) -> str:
    """The good recipe with one thing set; a place is a path with dots."""
    content = json.loads(json.dumps(GOOD_RECIPE))
    *path, last = place.split(".")
    inner = content
    for part in path:
        inner = inner[int(part)] if isinstance(inner, list) else inner[part]
    inner[int(last) if isinstance(inner, list) else last] = value
    return json.dumps(content)


def test_the_good_recipe_is_good() -> None:
    recipe = parse_recipe(json.dumps(GOOD_RECIPE), "good")
    assert [step.name for step in recipe.steps] == ["calm", "deep"]
    assert recipe.steps[1].path[2] == (1, 1, 0.7)
    assert recipe.steps[1].uses() == ["calm", "math"]


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("stepz", [], ["stepz"]),
        ("recipe", 2, ["recipe"]),
        ("sources", {}, ["sources"]),
        ("sources.base.pth", "x", ["sources.base.pth"]),
        ("sources.base.path", "", ["sources.base.path"]),
        ("sources.base.path", 7, ["sources.base.path"]),
        ("sources.base.weights_sha256", "abc", ["sources.base.weights_sha256"]),
        ("steps", [], ["steps"]),
        ("steps.0.metod", 1, ["steps.0.metod"]),
        ("steps.0.method", "slurp", ["steps.0", "unknown method 'slurp'", "slerp", "route"]),
        ("steps.0.parameters.tt", 1, ["steps.0", "slerp has no parameter 'tt'; it has t"]),
        ("steps.0.models.0.parameters", {"u": 1}, ["steps.0", "no parameter 'u'"]),
        ("steps.0.parameters.t", float("nan"), ["steps.0.parameters.t", "finite"]),
        ("steps.0.parameters.t", [0.1, float("inf")], ["steps.0.parameters.t", "finite"]),
        ("steps.0.parameters.t", {"value": float("nan")}, ["steps.0.parameters.t", "finite"]),
        ("steps.0.parameters.t", {"blocks": {"x": float("nan")}}, ["steps.0.par", "finite"]),
        ("steps.1.path.0.2", float("nan"), ["steps.1.path.0", "finite"]),
        ("steps.0.parameters.t", "0.4", ["steps.0.parameters.t"]),
        ("steps.0.parameters.t", [[0.1]], ["steps.0.parameters.t"]),
        ("steps.0.parameters.t", {"filter": "mlp"}, ["steps.0.parameters.t"]),
        ("steps.0.parameters.t", {"blocks": {"x": 1}}, ["steps.0", "t is set per block", "blocks"]),
        ("steps.0.name", "", ["steps.0.name"]),
        ("steps.0.name", "math", ["two things are named 'math'"]),
        ("steps.1.name", "calm", ["two things are named 'calm'"]),
        ("steps.0.base", "deep", ["step 'calm' uses 'deep'", "earlier step"]),
        ("steps.0.base", "calm", ["step 'calm' uses 'calm'"]),
        ("steps.0.models", ["nobody"], ["'nobody'", "neither a source nor an earlier step"]),
        ("steps.0.models", [], ["steps.0", "either 'models' or 'slices'"]),
        ("steps.0.models", "math", ["steps.0.models"]),
        ("steps.0.models.0.layer_range", [0, 2], ["steps.0", "layer_range", "slices"]),
        ("steps.0.seed", -1, ["steps.0.seed"]),
        ("steps.0.blocks", {"granularity": "atom"}, ["steps.0.blocks.granularity"]),
        ("steps.0.path", [[0, 0, 1.0]], ["steps.0"]),
        ("steps.1.path", [], ["steps.1", "a route has 'models' and a 'path'"]),
        ("steps.1.path", [[0, 0]], ["steps.1.path.0"]),
        ("steps.1.path", [[0, 0.5, 1]], ["steps.1.path.0"]),
        ("steps.1.parameters", {"t": 1}, ["steps.1", "route"]),
        ("steps.1.base", "base", ["steps.1", "route"]),
        ("steps.1.models.0", {"model": "calm", "parameters": {"weight": 1}}, ["steps.1", "route"]),
        ("output.dtype", "int8", ["output.dtype"]),
        ("output.tokenizer", {"source": "union", "pad_to_multiple_of": 0}, ["output.tokenizer"]),
        ("output.weights_sha256", "Z" * 64, ["output.weights_sha256"]),
    ],
)
def test_what_is_wrong_is_named(place: str, value: Any, expected: list[str]) -> None:
    refused(lambda: parse_recipe(changed(place, value), "my.json"), "my.json: ", *expected)


@pytest.mark.parametrize("text", ["{", '{"recipe": 1', "{}", '{"sources": []}', "[" * 5000, "null"])
def test_what_is_no_recipe_is_refused(text: str, tmp_path: Path) -> None:
    refused(lambda: parse_recipe(text, "my.json"), "my.json: ")
    (tmp_path / "my.json").write_text(text)
    refused(lambda: read_recipe(tmp_path / "my.json"), "my.json")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    refused(lambda: read_recipe(tmp_path / "none.json"), "none.json", "No such file")
    refused(lambda: read_recipe(tmp_path), str(tmp_path))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x80")
    refused(lambda: read_recipe(tmp_path / "binary"), "it is no text")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "windows.json").write_text(json.dumps(GOOD_RECIPE), encoding="utf-8-sig")
    assert read_recipe(tmp_path / "windows.json") == parse_recipe(json.dumps(GOOD_RECIPE), "")


def test_a_recipe_is_frozen() -> None:
    recipe: Recipe = parse_recipe(json.dumps(GOOD_RECIPE), "")
    with pytest.raises(ValueError, match="frozen"):
        recipe.steps[0].name = "x"  # type: ignore[misc]


# What is written is what is read.

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
CHOICES = st.builds(
    lambda value, text: {"value": value} | ({} if text is None else {"filter": text}),
    NUMBERS | st.lists(NUMBERS, min_size=1, max_size=3),
    st.none() | st.text(max_size=5),
)
VALUES = (
    NUMBERS
    | st.lists(NUMBERS, min_size=1, max_size=4)
    | CHOICES
    | st.lists(CHOICES, min_size=1, max_size=3)
    | st.none()
)
NAMES = st.text(min_size=1, max_size=6)


@st.composite
def recipes(draw: st.DrawFn) -> dict[str, Any]:
    """Any recipe that can be written, whether or not its models exist."""
    names = draw(st.lists(NAMES, min_size=2, max_size=6, unique=True))
    count = draw(st.integers(1, len(names) - 1))
    sources = {name: {"path": draw(NAMES)} for name in names[:count]}
    steps = []
    for number in range(count, len(names)):
        known = st.sampled_from(names[:number])
        step: dict[str, Any] = {"name": names[number]}
        method = draw(st.sampled_from([*METHODS, "route"]))
        step["method"] = method
        if method == "route":
            step["models"] = draw(st.lists(known, min_size=1, max_size=2))
            scales = st.floats(0.1, 10)
            path = st.tuples(st.integers(0, 3), st.integers(0, 9), scales)
            step["path"] = draw(st.lists(path, min_size=1, max_size=3))
        else:
            keys = st.sampled_from([parameter.name for parameter in METHODS[method].parameters])
            given_values = (
                st.dictionaries(keys, VALUES, max_size=2)
                if METHODS[method].parameters
                else st.just({})
            )
            step["base"] = draw(st.none() | known)
            step["parameters"] = draw(given_values)
            step["seed"] = draw(st.integers(0, 1 << 40))
            models = [
                {"model": name, "parameters": draw(given_values)}
                for name in draw(st.lists(known, min_size=1, max_size=3))
            ]
            if draw(st.booleans()):
                step["models"] = models
            else:
                ranged = [model | {"layer_range": [0, 2]} for model in models]
                step["slices"] = [{"sources": ranged, "parameters": draw(given_values)}]
        steps.append(step)
    output = {
        "dtype": draw(st.sampled_from([None, "float32", "bfloat16"])),
        "chat_template": draw(st.none() | st.text()),
        "tokenizer": draw(st.none() | st.just({"source": "union", "tokens": {"<a>": {}}})),
    }
    return {"sources": sources, "steps": steps, "output": output}


@settings(max_examples=60, deadline=None)
@given(recipes())
def test_a_recipe_is_read_as_it_was_written(content: dict[str, Any]) -> None:
    recipe = parse_recipe(json.dumps(content), "drawn")
    text = recipe.text()
    again = parse_recipe(text, "again")
    assert again == recipe
    assert again.text() == text
    assert again.sha256() == recipe.sha256()


def test_the_hash_of_a_recipe_is_that_of_what_it_does() -> None:
    def sha(text: str) -> str:
        return parse_recipe(text, "").sha256()

    plain = sha(json.dumps(GOOD_RECIPE))
    assert sha(changed("sources.base.path", "elsewhere/base")) == plain
    assert sha(changed("output.weights_sha256", "0" * 64)) == plain
    assert sha(changed("steps.0.parameters.t", 0.5)) != plain
    assert sha(changed("steps.0.seed", 1)) != plain
    assert sha(changed("sources.base.weights_sha256", "0" * 64)) != plain
