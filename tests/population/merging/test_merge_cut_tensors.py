"""Methods that sparsify task vectors, with weights of their own for parts of a tensor."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from population.models.blocks import Granularity, layout_of
from tests.merge_helpers import (
    LLAMA,
    Arrays,
    arrays_of,
    llama_shapes,
    merged,
    recipe_of,
    refused,
    write_llama,
)

WEIGHTS = ({"math": 0.7, "chat": 0.4}, {"math": -0.3, "chat": 1.1})
"""Of blocks whose names end in an even and in an odd number."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("cut")
    names = ("base", "math", "chat")
    return {name: write_llama(folder / name, seed=seed) for seed, name in enumerate(names)}


def step(method: str, weights: Any, density: Any, **more: Any) -> dict[str, Any]:
    of_models = {} if method == "sce" else {"density": density}
    models = [
        {"model": name, "parameters": {"weight": weights[name], **of_models}}
        for name in ("math", "chat")
    ]
    return {"method": method, "base": "base", "models": models, "seed": 3} | more


def made(sources: dict[str, Path], folder: Path, **step: Any) -> Arrays:
    merged(recipe_of(sources, step), folder)
    return arrays_of(folder)


@pytest.mark.parametrize("granularity", ["slice", "group"])
@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("ties", {"normalize": True}),
        ("dare_ties", {}),
        ("della_linear", {"normalize": True}),
        ("breadcrumbs", {}),
        ("sce", {"select_topk": 0.6}),
    ],
)
def test_every_part_is_what_its_weights_make_of_the_whole_tensor(
    sources: dict[str, Path],
    method: str,
    parameters: dict[str, Any],
    granularity: Granularity,
    tmp_path: Path,
) -> None:
    layout = layout_of(llama_shapes(), LLAMA, granularity, 2)
    parity = [int(block.name[-1]) % 2 if block.name[-1].isdigit() else 0 for block in layout.blocks]
    more = {"parameters": parameters}
    whole = [
        made(sources, tmp_path / str(number), **step(method, weights, 0.6, **more))
        for number, weights in enumerate(WEIGHTS)
    ]
    per_block = {
        name: {
            "blocks": {
                block.name: WEIGHTS[odd][name]
                for block, odd in zip(layout.blocks, parity, strict=True)
            }
        }
        for name in ("math", "chat")
    }
    cut = {"blocks": {"granularity": granularity, "groups": 2}}
    found = made(sources, tmp_path / "cut", **step(method, per_block, 0.6, **more, **cut))
    for name, tensor in found.items():
        for segment in layout.segments[name]:
            where = (slice(None),) * segment.dim + (slice(segment.start, segment.stop),)
            wanted = whole[parity[segment.block]][name]
            np.testing.assert_array_equal(tensor[where], wanted[where], err_msg=name)


def test_only_weights_may_differ_within_a_tensor(sources: dict[str, Path], tmp_path: Path) -> None:
    layout = layout_of(llama_shapes(), LLAMA, "slice", 2)
    density = {"blocks": {b.name: 0.5 + 0.1 * b.name.endswith("1") for b in layout.blocks}}
    cut = {"blocks": {"granularity": "slice", "groups": 2}}
    recipe = recipe_of(sources, step("ties", WEIGHTS[0], density, **cut))
    refused(lambda: merged(recipe, tmp_path / "out"), "ties", "no other density")
