"""Parameters have the values that a recipe gives them, layer by layer and block by block.

They are read off the weights: a linear step over a model of ones, not normalized, makes weights
that are the parameter itself.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from population.models.blocks import layout_of
from tests.merge_helpers import (
    LAYERS,
    LLAMA,
    arrays_of,
    linear,
    llama_shapes,
    merged,
    names_of,
    recipe_of,
    refused,
    write_llama,
)


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


@pytest.mark.parametrize("granularity", ["layer", "half", "group", "tensor", "slice"])
def test_a_parameter_may_be_given_for_each_block(
    granularity: str, ones: Path, tmp_path: Path
) -> None:
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

    *_, last = values
    lacking = {name: v for name, v in values.items() if name != last}
    wrong = linear({"ones": {"blocks": lacking}}, blocks=cut)
    refused(lambda: resolved(ones, tmp_path / "no", wrong), f"no value for block {last!r}")
    unknown = linear({"ones": {"blocks": values | {"layer 99": 1.0}}}, blocks=cut)
    refused(
        lambda: resolved(ones, tmp_path / "no", unknown),
        "has a value for 'layer 99', no block is so named",
    )
