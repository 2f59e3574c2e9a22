"""mergekit's YAML says here what it says there, and what is wrong in it is named in one line."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from population.merging.mergekit import from_yaml, to_yaml
from population.merging.methods import METHODS
from population.merging.methods.method import DENSITY
from population.merging.recipe import parse_recipe
from population.merging.recipe_files import read_recipe
from tests.merge_helpers import (
    GOOD_RECIPE,
    arrays_of,
    linear,
    merged,
    recipe_of,
    refused,
    write_llama,
)


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three models; recipes that name them lie in it."""
    folder = tmp_path_factory.mktemp("trio")
    for seed, name in enumerate(("base", "math", "code")):
        write_llama(folder / name, seed=seed)
    return folder


def run_yaml(text: str, trio: Path, into: Path) -> str:
    path = trio / f"{into.name}.yml"
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
    kind: str, trio: Path, tmp_path: Path
) -> None:
    sha = run_yaml(YAMLS[kind], trio, tmp_path / "one")
    text = to_yaml(from_yaml(YAMLS[kind], "test"))
    assert run_yaml(text, trio, tmp_path / "two") == sha
    # As JSON it is the same merge too.
    recipe = from_yaml(YAMLS[kind], "test")
    path = trio / f"{tmp_path.name}.json"
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


def test_a_base_is_averaged_even_if_it_is_not_listed(trio: Path, tmp_path: Path) -> None:
    """So it is in mergekit, whose linear merge gave what is computed here."""
    text = "merge_method: linear\nbase_model: code\nparameters: {weight: 0.5}\n"
    run_yaml(text + "models: [{model: base}, {model: math}]", trio, tmp_path / "out")
    models = [arrays_of(trio / name) for name in ("base", "math", "code")]
    for name, found in arrays_of(tmp_path / "out").items():
        expected = sum(model[name] for model in models) / 3
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_source_may_be_called_like_the_result() -> None:
    text = "merge_method: passthrough\nmodels: [{model: old/merged}]"
    recipe = from_yaml(text, "test")
    assert (list(recipe.sources), recipe.steps[0].name) == (["merged"], "merged-2")


def test_relative_paths_are_seen_from_the_recipes_folder(trio: Path, tmp_path: Path) -> None:
    text = "merge_method: passthrough\nmodels: [{model: 'base'}]"
    (trio / "c++").mkdir(exist_ok=True)
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        first = run_yaml(text, trio, tmp_path / "first")
        (trio / "c++" / "b+c").exists() or write_llama(trio / "c++" / "b+c", seed=0)
        assert run_yaml(text.replace("base", "c++/b+c"), trio, tmp_path / "second") == first
    finally:
        os.chdir(here)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("merge_method: linear\nmodules: {a: {}}", "module 'a' has either 'models' or 'slices'"),
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
            "parameter weight: expected a number, got 'heavy'",
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


def test_what_a_method_does_not_have_is_ignored_and_said() -> None:
    text = """
merge_method: slerp
name: mine
base_model: a
models: [{model: a, parameters: {density: 0.5}}, {model: b}]
parameters: {t: "0.5", embed_slerp: "true", int8_mask: true, tt: 3}
"""
    said: list[str] = []
    recipe = from_yaml(text, "my.yml", said.append)
    assert recipe.steps[0].parameters == {"t": 0.5}
    assert len(said) == 5
    for name in ("density", "embed_slerp", "int8_mask", "tt", "name"):
        assert any(repr(name) in line and "ignored" in line for line in said)
    assert any("did you mean 't'" in line for line in said)


@pytest.mark.parametrize(
    "method",
    [name for name, method in METHODS.items() if DENSITY in method.parameters],
)
def test_density_0_is_the_base_and_density_1_all_of_the_model(
    method: str, trio: Path, tmp_path: Path
) -> None:
    text = (
        f"merge_method: {method}\nbase_model: base\nmodels: "
        "[{model: math, parameters: {weight: 1, density: SHARE}}]"
    )
    run_yaml(text.replace("SHARE", "0"), trio, tmp_path / "none")
    run_yaml(text.replace("SHARE", "'1'"), trio, tmp_path / "all")
    for made, model in (("none", "base"), ("all", "math")):
        expected = arrays_of(trio / model)
        for name, value in arrays_of(tmp_path / made).items():
            np.testing.assert_allclose(value, expected[name], atol=1e-6)


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
    refused(
        lambda: to_yaml(parse_recipe(json.dumps(GOOD_RECIPE), "")), "one step, this recipe has 2"
    )
    route = {"method": "route", "models": ["a"], "path": [[0, 0, 1.0], [0, 1, 0.5]]}
    refused(lambda: to_yaml(recipe_of({"a": "x"}, route)), "no scales between layers")
    per_block = linear({"a": {"blocks": {"outside": 1}}}, blocks={})
    refused(lambda: to_yaml(recipe_of({"a": "x"}, per_block)), "mergekit has no blocks")
    models = [{"model": "a", "parameters": {"weight": 0.5}}]
    sce = {"method": "sce", "base": "b", "models": models}
    refused(lambda: to_yaml(recipe_of({"a": "x", "b": "y"}, sce)), "mergekit's sce has no 'weight'")


def test_a_weight_that_only_our_sce_has_does_not_come_from_yaml_nor_go_there() -> None:
    text = """
merge_method: sce
base_model: base
models:
  - {model: math, parameters: {weight: 0.3}}
parameters: {select_topk: 0.5}
"""
    said: list[str] = []
    recipe = from_yaml(text, "my.yml", said.append)
    assert recipe.steps[0].models[0].parameters == {}
    assert "sce has no parameter 'weight', which is ignored (mergekit does so too)" in said[0]
    models = [{"model": "math", "parameters": {"weight": 1.0}}]
    ours = recipe_of(
        {"math": "math", "base": "base"}, {"method": "sce", "base": "base", "models": models}
    )
    assert yaml.safe_load(to_yaml(ours))["models"] == [{"model": "math"}]


def test_a_route_without_scales_is_written_as_slices(trio: Path, tmp_path: Path) -> None:
    path = [(0, 0, 1), (0, 1, 1), (1, 1, 1), (1, 2, 1), (1, 2, 1), (0, 3, 1)]
    route = {"method": "route", "models": ["base", "math"], "path": path}
    recipe = recipe_of({name: trio / name for name in ("base", "math")}, route)
    content = yaml.safe_load(to_yaml(recipe))
    assert content["merge_method"] == "passthrough"
    assert [piece["sources"][0]["layer_range"] for piece in content["slices"]] == [
        [0, 2],
        [1, 3],
        [2, 3],
        [3, 4],
    ]
    straight = merged(recipe, tmp_path / "route").weights_sha256
    assert run_yaml(to_yaml(recipe), trio, tmp_path / "slices") == straight
