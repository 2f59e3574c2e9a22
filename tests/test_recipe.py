"""Recipes: what is wrong is named in one line, what is written is merged, in both languages.

Values of parameters are read off the weights: a linear step over a model of ones, not normalized,
makes weights that are the parameter itself.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from population.merging.mergekit import from_yaml, to_yaml
from population.merging.recipe import Recipe, parse_recipe, read_recipe
from population.methods import METHODS
from tests.merge_helpers import (
    LAYERS,
    arrays_of,
    linear,
    llama_shapes,
    merged,
    names_of,
    recipe_of,
    refused,
    write_llama,
)

GOOD: dict[str, Any] = {
    "recipe": 1,
    "sources": {"base": {"path": "models/base"}, "math": {"path": "models/math"}},
    "steps": [
        {
            "name": "calm",
            "method": "slerp",
            "base": "base",
            "models": [{"model": "math"}],
            "parameters": {"t": 0.4},
        },
        {
            "name": "deep",
            "method": "route",
            "models": ["calm", "math"],
            "path": [[0, 0, 1.0], [0, 1, 1.0], [1, 1, 0.7], [0, 2, 1.0]],
        },
    ],
    "output": {"dtype": "bfloat16"},
}


def changed(place: str, value: Any) -> str:
    """The good recipe with one thing set; a place is a path with dots."""
    content = json.loads(json.dumps(GOOD))
    *path, last = place.split(".")
    inner = content
    for part in path:
        inner = inner[int(part)] if isinstance(inner, list) else inner[part]
    inner[int(last) if isinstance(inner, list) else last] = value
    return json.dumps(content)


def test_the_good_recipe_is_good() -> None:
    recipe = parse_recipe(json.dumps(GOOD), "good")
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
    (tmp_path / "windows.json").write_text(json.dumps(GOOD), encoding="utf-8-sig")
    assert read_recipe(tmp_path / "windows.json") == parse_recipe(json.dumps(GOOD), "")


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

    plain = sha(json.dumps(GOOD))
    assert sha(changed("sources.base.path", "elsewhere/base")) == plain
    assert sha(changed("output.weights_sha256", "0" * 64)) == plain
    assert sha(changed("steps.0.parameters.t", 0.5)) != plain
    assert sha(changed("steps.0.seed", 1)) != plain
    assert sha(changed("sources.base.weights_sha256", "0" * 64)) != plain


# Parameters, read off weights.


@pytest.fixture(scope="module")
def ones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("ones") / "ones", 1)


def resolved(ones: Path, into: Path, step: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """What a step makes of a model of ones."""
    merged(recipe_of({"ones": ones}, step), into)
    return arrays_of(into)


def value(arrays: dict[str, np.ndarray[Any, Any]], name: str) -> float:
    """The only value of a tensor."""
    assert np.ptp(arrays[name]) == 0
    return float(arrays[name].flat[0])


@pytest.mark.parametrize(
    ("gradient", "by_layer"),
    [
        ([0.2, 0.8], [0.2, 0.4, 0.6, 0.8]),
        ([0.0, 1.0, 0.0], [0.0, 2 / 3, 2 / 3, 0.0]),
        ([5.0], [5.0, 5.0, 5.0, 5.0]),
        ([1, 2, 3, 4, 5, 6, 7], [1.0, 3.0, 5.0, 7.0]),
    ],
)
def test_a_gradient_goes_from_the_first_layer_to_the_last(
    gradient: list[float], by_layer: list[float], ones: Path, tmp_path: Path
) -> None:
    found = resolved(ones, tmp_path / "out", linear({"ones": gradient}))
    for part in ("mlp.up_proj.weight", "self_attn.k_proj.weight", "input_layernorm.weight"):
        values = [value(found, name) for name in names_of(range(LAYERS), part)]
        assert values == pytest.approx(by_layer)
    for name in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"):
        assert value(found, name) == pytest.approx(gradient[0])


def test_a_gradient_is_spread_over_its_slice(ones: Path, tmp_path: Path) -> None:
    def source(first: int, stop: int) -> dict[str, Any]:
        weight = {"weight": [0.2, 0.8]}
        return {"sources": [{"model": "ones", "layer_range": [first, stop], "parameters": weight}]}

    step = {
        "method": "linear",
        "parameters": {"normalize": False},
        "slices": [source(0, 3), source(1, 2), source(2, 4)],
    }
    found = resolved(ones, tmp_path / "out", step)
    values = [value(found, name) for name in names_of(range(6), "mlp.up_proj.weight")]
    # A slice of one layer takes the end of a gradient, as mergekit has it.
    assert values == pytest.approx([0.2, 0.5, 0.8, 0.8, 0.2, 0.8])
    assert value(found, "lm_head.weight") == pytest.approx(0.2)


def test_the_first_filter_that_fits_decides(ones: Path, tmp_path: Path) -> None:
    choices = [
        {"filter": "layers.2.mlp", "value": 7},
        {"filter": "mlp", "value": [0.0, 0.3]},
        {"filter": "*", "value": 3},
        {"filter": "self_attn", "value": 4},
    ]
    found = resolved(ones, tmp_path / "out", linear({"ones": choices}))
    values = [value(found, name) for name in names_of(range(LAYERS), "mlp.up_proj.weight")]
    assert values == pytest.approx([0.0, 0.1, 7, 0.3])
    rest = {value(found, name) for name in found if "mlp" not in name}
    assert rest == {3}


def test_what_is_closer_to_a_model_wins(ones: Path, tmp_path: Path) -> None:
    """Model over slice over step over default, each only where those before it say nothing."""
    only = {
        key: [{"filter": text, "value": number}]
        for key, text, number in (
            ("model", "q_proj", 2),
            ("slice", "self_attn", 3),
            ("step", "layers", 4),
        )
    }
    step = {
        "method": "passthrough",
        "parameters": {"scale": only["step"]},
        "slices": [
            {
                "sources": [
                    {
                        "model": "ones",
                        "layer_range": [0, 2],
                        "parameters": {"scale": only["model"]},
                    }
                ],
                "parameters": {"scale": only["slice"]},
            }
        ],
    }
    found = resolved(ones, tmp_path / "out", step)
    assert value(found, "model.layers.0.self_attn.q_proj.weight") == 2
    assert value(found, "model.layers.0.self_attn.k_proj.weight") == 3
    assert value(found, "model.layers.0.mlp.up_proj.weight") == 4
    assert value(found, "model.norm.weight") == 1  # the method's default


def test_a_parameter_that_lacks_or_leaves_its_range_is_named(ones: Path, tmp_path: Path) -> None:
    def run(step: dict[str, Any]) -> None:
        merged(recipe_of({"ones": ones, "base": ones}, step), tmp_path / "out")

    part = {"weight": [{"filter": "mlp", "value": 1}]}
    refused(
        lambda: run({"method": "linear", "models": ["ones"], "parameters": part}),
        "step 's0': linear needs 'weight'",
        "for lm_head.weight",
    )
    ties = {"method": "ties", "base": "base", "models": ["ones"]}
    refused(
        lambda: run(ties | {"parameters": {"weight": 1, "density": 1.5}}),
        "step 's0': density must lie between 0 and 1",
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("granularity", ["layer", "half", "group"])
def test_a_parameter_may_be_given_for_each_block(
    granularity: str, ones: Path, tmp_path: Path
) -> None:
    from population.blocks import layout_of  # noqa: PLC0415
    from tests.merge_helpers import LLAMA  # noqa: PLC0415

    layout = layout_of(llama_shapes(), LLAMA, granularity, 2)  # type: ignore[arg-type]
    values = {block.name: float(number) for number, block in enumerate(layout.blocks)}
    cut = {"granularity": granularity, "groups": 2}
    step = linear({"ones": {"blocks": values}}, blocks=cut)
    found = resolved(ones, tmp_path / "out", step)
    for name, segments in layout.segments.items():
        for segment in segments:
            part = found[name].take(range(segment.start, segment.stop), axis=segment.dim)
            assert set(part.flat) == {values[layout.blocks[segment.block].name]}
    assert len({float(array.flat[0]) for array in found.values()}) > LAYERS

    lacking = {name: v for name, v in values.items() if name != "outside"}
    wrong = linear({"ones": {"blocks": lacking}}, blocks=cut)
    refused(lambda: resolved(ones, tmp_path / "no", wrong), "no value for block 'outside'")
    unknown = linear({"ones": {"blocks": values | {"layer 99": 1.0}}}, blocks=cut)
    refused(
        lambda: resolved(ones, tmp_path / "no", unknown),
        "has a value for 'layer 99', no block is so named",
    )


# mergekit's YAML.


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo")
    for seed, name in enumerate(("base", "math", "code")):
        write_llama(folder / name, seed=seed)
    return folder


def run_yaml(text: str, zoo: Path, into: Path) -> str:
    path = zoo / f"{into.name}.yml"
    path.write_text(text)
    return merged(read_recipe(path), into).weights_sha256


YAMLS = {
    "models and filters": """
merge_method: linear
models:
  - model: base
    parameters:
      weight:
        - filter: mlp
          value: [0.1, 0.9]
        - value: 0.5
  - model: math
    parameters: {weight: 0.25}
parameters: {normalize: false}
dtype: bfloat16
""",
    "slices and gradients": """
slices:
  - sources:
      - {model: base, layer_range: [0, 2]}
      - {model: math, layer_range: [2, 4]}
    parameters: {t: [0.1, 0.7]}
  - sources:
      - {model: base, layer_range: [1, 4]}
      - {model: math, layer_range: [0, 3]}
merge_method: slerp
base_model: base
parameters:
  t:
    - {filter: self_attn, value: [0, 0.5, 1]}
    - {filter: "*", value: 0.3}
out_dtype: float16
dtype: float32
""",
    "base listed": """
merge_method: ties
base_model: base
models:
  - model: base
  - {model: math, parameters: {weight: 0.7, density: 0.5}}
  - {model: code, parameters: {weight: 0.4, density: [0.2, 0.9]}}
parameters: {normalize: true}
""",
    "base not listed": """
merge_method: dare_linear
base_model: base
models:
  - {model: math, parameters: {weight: 0.7, density: 0.5}}
  - {model: code, parameters: {weight: 4e-1}}
""",
    "passthrough": """
merge_method: passthrough
slices:
  - sources: [{model: base, layer_range: [0, 3]}]
  - sources:
      - model: math
        layer_range: [1, 4]
        parameters: {scale: [{filter: o_proj, value: 0}, {value: 1}]}
""",
    "tokenizer source": """
merge_method: task_arithmetic
base_model: base
tokenizer_source: union
chat_template: chatml
models: [{model: math, parameters: {weight: 1e-1}}]
""",
    "tokenizer block": """
merge_method: linear
tokenizer:
  source: {model: {path: math}}
  pad_to_multiple_of: 16
  tokens:
    a: {source: math, force: true}
    b: {source: {kind: zero}, force: true}
    c: {source: {kind: model_token, model: {model: {path: base}}, token_id: 5}}
models:
  - {model: base, parameters: {weight: 1}}
  - {model: {model: {path: math}}, parameters: {weight: 1}}
""",
}  # fmt: skip


@pytest.mark.parametrize("kind", YAMLS)
def test_yaml_that_is_read_and_written_again_is_the_same_merge(
    kind: str, zoo: Path, tmp_path: Path
) -> None:
    sha = run_yaml(YAMLS[kind], zoo, tmp_path / "one")
    text = to_yaml(from_yaml(YAMLS[kind], "test"))
    assert run_yaml(text, zoo, tmp_path / "two") == sha
    # As JSON it is the same merge too.
    recipe = from_yaml(YAMLS[kind], "test")
    path = zoo / f"{tmp_path.name}.json"
    path.write_text(recipe.text())
    assert merged(read_recipe(path), tmp_path / "three").weights_sha256 == sha
    templates = [(tmp_path / n / "chat_template.jinja").exists() for n in ("one", "two", "three")]
    assert templates == ["chat_template" in YAMLS[kind]] * 3


def test_yaml_says_what_mergekit_takes_it_to_say() -> None:
    recipe = from_yaml(YAMLS["slices and gradients"], "test")
    (step,) = recipe.steps
    assert (step.method, step.base, recipe.output.dtype) == ("slerp", "base", "float16")
    assert [source.layer_range for source in step.slices[1].sources] == [(1, 4), (0, 3)]
    assert step.slices[0].parameters == {"t": [0.1, 0.7]}

    tokens = from_yaml(YAMLS["tokenizer block"], "test").output.tokenizer
    assert tokens is not None
    assert (tokens.source, tokens.pad_to_multiple_of) == ("math", 16)
    assert tokens.tokens["a"].source == "math"
    assert tokens.tokens["c"].source == {"kind": "model_token", "model": "base", "token_id": 5}

    small = from_yaml(YAMLS["tokenizer source"], "test")
    assert small.steps[0].models[0].parameters["weight"] == 0.1
    assert small.output.tokenizer is not None
    assert small.output.tokenizer.source == "union"


def test_models_are_referred_to_as_mergekit_does() -> None:
    text = """
merge_method: linear
parameters: {weight: 1e-5, normalize: false}
models:
  - model: org/name@main
  - model: {model: {path: org/name, revision: other}}
  - model: {model: {path: models/base}, lora: {path: models/lora}}
  - model: models/base+models/lora2
  - model: {model: models/base, lora: org/lora}
"""
    recipe = from_yaml(text, "test")
    assert [source.path for source in recipe.sources.values()] == [
        "org/name@main",
        "org/name@other",
        "models/base+models/lora",
        "models/base+models/lora2",
        "models/base+org/lora",
    ]
    assert list(recipe.sources) == ["name", "name-2", "lora", "lora2", "lora-2"]
    assert recipe.steps[0].parameters["weight"] == 1e-5


def test_a_base_is_averaged_even_if_it_is_not_listed(zoo: Path, tmp_path: Path) -> None:
    """So it is in mergekit, whose linear merge gave what is computed here."""
    text = "merge_method: linear\nbase_model: code\nparameters: {weight: 0.5}\n"
    run_yaml(text + "models: [{model: base}, {model: math}]", zoo, tmp_path / "out")
    models = [arrays_of(zoo / name) for name in ("base", "math", "code")]
    for name, found in arrays_of(tmp_path / "out").items():
        expected = sum(model[name] for model in models) / 3
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_source_may_be_called_like_the_result() -> None:
    text = "merge_method: passthrough\nmodels: [{model: old/merged}]"
    recipe = from_yaml(text, "test")
    assert (list(recipe.sources), recipe.steps[0].name) == (["merged"], "merged-2")


def test_relative_paths_are_seen_from_the_recipes_folder(zoo: Path, tmp_path: Path) -> None:
    text = "merge_method: passthrough\nmodels: [{model: 'base'}]"
    (zoo / "c++").mkdir(exist_ok=True)
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        first = run_yaml(text, zoo, tmp_path / "first")
        (zoo / "c++" / "b+c").exists() or write_llama(zoo / "c++" / "b+c", seed=0)
        assert run_yaml(text.replace("base", "c++/b+c"), zoo, tmp_path / "second") == first
    finally:
        os.chdir(here)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("merge_method: linear\nmodules: {a: {}}", "'modules' is not supported"),
        ("merge_method: linear\nmodel: []", "unknown key 'model'"),
        ("merge_method: linear", "either 'models' or 'slices'"),
        ("models: []", "no merge_method"),
        ("just words", "no merge_method"),
        ("- 1", "no merge_method"),
        ("a: [1", "neither a recipe (JSON) nor YAML"),
        ("\tmerge_method: x", "neither a recipe (JSON) nor YAML"),
        ("merge_method: !!python/object/apply:os.system [ls]", "nor YAML"),
        ("merge_method: [linear]\nmodels: [{model: a}]", "method"),
        ("merge_method: linear\nmodels: [{mdel: a}]", "model"),
        ("merge_method: linear\nmodels: {a: b}", "not as mergekit has it"),
        ("merge_method: linear\nmodels: [a]", "not as mergekit has it"),
        ("merge_method: linear\nmodels: [{model: 3}]", "not as mergekit has it"),
        ("merge_method: linear\nmodels: [{model: a, wieght: 1}]", "unknown key 'wieght'"),
        ("merge_method: linear\nslices: [{sources: [{model: a}]}]", "layer_range"),
        ("merge_method: linear\nslices: [{source: [{model: a}]}]", "source"),
        (
            "merge_method: linear\nmodels: [{model: a, parameters: {weight: heavy}}]",
            "not as mergekit has it",
        ),
        ("merge_method: linear\nmodels: [{model: a, parameters: {weight: .nan}}]", "finite"),
        ("merge_method: linear\nmodels: [{model: a}]\ndtype: int4", "dtype: Input should be"),
        ("merge_method: linear\nmodels: [{model: a}]\ntokenizer: union", "not as mergekit has it"),
        ("merge_method: linear\nmodels: [{model: a}]\n1: 2\nb: 3", "unknown key"),
        ("merge_method: linear\nmodels: [{model: a}]\ntokenizer: {x: 1}", "x"),
        ("merge_method: " + "[" * 5000, "nor YAML"),
    ],
)
def test_wrong_yaml_is_refused_in_one_line(text: str, expected: str) -> None:
    refused(lambda: from_yaml(text, "my.yml"), "my.yml: ", expected)


BOMB = "\n".join(
    [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9) if n else '1, 1'}]" for n in range(12)]
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB + "\nmerge_method: linear\nmodels: [{model: a}]",
        BOMB.replace("x11:", "merge_method: linear\nmodels:"),
        BOMB.replace("x11:", "merge_method: linear\nparameters:\n  weight:"),
        BOMB.replace("x11:", "merge_method: linear\nbase_model:\n  model:"),
        BOMB.replace("x11:", "merge_method: linear\ntokenizer_source:\n  model:"),
        "merge_method: linear\nmodels: &a [*a]",
        "merge_method: linear\nmodels: [{model: a}]\nparameters: &p {weight: *p}",
    ],
)
def test_a_yaml_bomb_does_not_go_off(text: str) -> None:
    refused(lambda: from_yaml(text, "my.yml"), "my.yml: ")


def test_what_mergekit_cannot_say_is_not_written_as_yaml() -> None:
    refused(lambda: to_yaml(parse_recipe(json.dumps(GOOD), "")), "one step, this recipe has 2")
    route = {"method": "route", "models": ["a"], "path": [[0, 0, 1.0], [0, 1, 0.5]]}
    refused(lambda: to_yaml(recipe_of({"a": "x"}, route)), "no scales between layers")
    per_block = linear({"a": {"blocks": {"outside": 1}}}, blocks={})
    refused(lambda: to_yaml(recipe_of({"a": "x"}, per_block)), "mergekit has no blocks")


def test_a_route_without_scales_is_written_as_slices(zoo: Path, tmp_path: Path) -> None:
    path = [(0, 0, 1), (0, 1, 1), (1, 1, 1), (1, 2, 1), (1, 2, 1), (0, 3, 1)]
    route = {"method": "route", "models": ["base", "math"], "path": path}
    recipe = recipe_of({name: zoo / name for name in ("base", "math")}, route)
    content = yaml.safe_load(to_yaml(recipe))
    assert content["merge_method"] == "passthrough"
    assert [piece["sources"][0]["layer_range"] for piece in content["slices"]] == [
        [0, 2],
        [1, 3],
        [2, 3],
        [3, 4],
    ]
    straight = merged(recipe, tmp_path / "route").weights_sha256
    assert run_yaml(to_yaml(recipe), zoo, tmp_path / "slices") == straight


def test_a_recipe_is_frozen() -> None:
    recipe: Recipe = parse_recipe(json.dumps(GOOD), "")
    with pytest.raises(ValueError, match="frozen"):
        recipe.steps[0].name = "x"  # type: ignore[misc]
