"""Parts of vision-language models merge alone; what no module names stays the first model's."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from population.errors import CheckpointError
from population.families import name_in_language_model
from population.merging.recipe import parse_recipe
from population.merging.recipe_files import read_recipe
from population.models.sources import open_source
from tests.command_helpers import colony
from tests.merge_helpers import merged, refused
from tests.vision_models import KINDS, write_model

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models that see and two that read, of one kind."""
    kind = str(request.param)
    made = tmp_path_factory.mktemp(kind)
    for seed, (name, sees) in enumerate(
        {"sees": True, "other": True, "base": False, "text": False}.items()
    ):
        write_model(made / name, kind, seed, sees=sees)
    return made


def run(folder: Path, text: str, name: str) -> Tensors:
    (folder / f"{name}.yml").write_text(text)
    merged(read_recipe(folder / f"{name}.yml"), folder / name)
    return load_file(folder / name / "model.safetensors")


def language_part(name: str) -> bool:
    return not name.startswith(("vision_tower.", "visual.", "multi_modal_projector."))


def depth(name: str) -> float:
    inside = name_in_language_model(name)
    return int(inside.split(".")[2]) / 2 if ".layers." in inside else 0.0


BY_PART = """
merge_method: linear
modules:
  text_decoder:
    models:
      - {model: sees, parameters: {weight: 0.7}}
      - {model: other, parameters: {weight: [0.2, 0.9]}}
  vision_tower:
    models: [{model: other}]
  multi_modal_projector:
    models: [{model: sees}, {model: other}]
parameters: {weight: 1.0}
"""


def test_every_module_is_merged_by_its_own_models_as_in_mergekit(folder: Path) -> None:
    """mergekit 0.1.5 makes the same of the Qwen2-VL model, to 1.2e-7."""
    result = run(folder, BY_PART, "by-part")
    sees, other = (load_file(folder / n / "model.safetensors") for n in ("sees", "other"))
    assert result.keys() == sees.keys()
    for name, values in result.items():
        if language_part(name):
            weight = 0.2 + depth(name) * (0.9 - 0.2)
            expected = (0.7 * sees[name] + weight * other[name]) / (0.7 + weight)
        elif "projector" in name or "merger" in name:
            expected = (sees[name] + other[name]) / 2
        else:
            expected = other[name]
        torch.testing.assert_close(values, expected, rtol=1e-6, atol=1e-6)


ONE_MODULE = """
merge_method: task_arithmetic
base_model: base
modules:
  text_decoder:
    models:
      - {model: sees, parameters: {weight: 0.7}}
      - {model: text, parameters: {weight: 0.4}}
parameters: {normalize: false}
"""


def test_language_models_merge_into_the_language_part_and_what_sees_stays(folder: Path) -> None:
    result = run(folder, ONE_MODULE, "one-module")
    sees, base, text = (
        load_file(folder / n / "model.safetensors") for n in ("sees", "base", "text")
    )
    assert result.keys() == sees.keys()
    for name, values in result.items():
        if not language_part(name):
            assert torch.equal(values, sees[name])
            continue
        inside = name_in_language_model(name)
        expected = base[inside] + 0.7 * (sees[name] - base[inside])
        expected = expected + 0.4 * (text[inside] - base[inside])
        torch.testing.assert_close(values, expected, rtol=1e-5, atol=1e-6)
    loaded = AutoModelForImageTextToText.from_pretrained(folder / "one-module")
    assert loaded.lm_head.weight.equal(
        next(v for n, v in result.items() if n.endswith("lm_head.weight"))
    )


def test_its_recipe_makes_the_same_bits_again(folder: Path) -> None:
    run(folder, ONE_MODULE, "again")
    recipe = parse_recipe((folder / "again" / "recipe.json").read_text(), "recipe.json")
    promised = recipe.output.weights_sha256
    assert promised is not None
    assert merged(recipe, folder / "once-more").weights_sha256 == promised


def test_a_language_model_stands_in_the_frame_of_one_that_sees(folder: Path) -> None:
    grafted = open_source(f"{folder / 'sees'}+{folder / 'text'}")
    sees, text = (load_file(folder / n / "model.safetensors") for n in ("sees", "text"))
    for name in grafted.tensors:
        source = text[name_in_language_model(name)] if language_part(name) else sees[name]
        assert torch.equal(grafted.tensor(name), source)
    assert open_source(grafted.reference).sha256() == grafted.sha256()


def test_rows_that_the_frame_has_besides_stay_its_own(tmp_path: Path) -> None:
    write_model(tmp_path / "sees", "llava", 0, extra=3)
    write_model(tmp_path / "text", "llava", 1, sees=False)
    grafted = open_source(f"{tmp_path / 'sees'}+{tmp_path / 'text'}")
    name = "language_model.model.embed_tokens.weight"
    own = load_file(tmp_path / "text" / "model.safetensors")["model.embed_tokens.weight"]
    more = load_file(tmp_path / "sees" / "model.safetensors")[name][len(own) :]
    assert torch.equal(grafted.tensor(name), torch.cat([own, more]))
    rows = grafted.wide(name, len(own) - 1, len(own) + 2)
    assert torch.equal(torch.from_numpy(rows), torch.cat([own[-1:], more[:2]]))
    assert not grafted.stores(name)


def test_what_does_not_fit_is_named(folder: Path, tmp_path: Path) -> None:
    said = refused(
        lambda: run(folder, ONE_MODULE.replace("text_decoder", "ears"), "unknown-module"), "ears"
    )
    assert "multi_modal_projector, vision_tower, text_decoder" in said
    refused(
        lambda: run(folder, BY_PART.replace("sees", "base").replace("other", "text"), "no-parts"),
        "which has no parts",
    )
    with pytest.raises(CheckpointError, match="has no part in whose place"):
        open_source(f"{folder / 'base'}+{folder / 'text'}")


def test_inspect_shows_parts_and_that_a_language_model_fits(folder: Path) -> None:
    _, shown, _ = colony("inspect", folder / "sees", folder / "text")
    assert "multi_modal_projector" in shown
    assert "vision_tower" in shown
    assert "fits the first: yes, the text_decoder" in shown
