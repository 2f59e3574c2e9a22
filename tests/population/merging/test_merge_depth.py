"""Steps upon steps, up to a thousand, are what they would be if each had been written."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from population.models.blocks import layout_of
from tests.merge_helpers import (
    LLAMA,
    arrays_of,
    linear,
    llama_shapes,
    merged,
    recipe_of,
    refused,
    write_llama,
)
from tests.model_zoo import slerp


def chain(count: int, step: Callable[[str, int], dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps of which each takes the one before."""
    last = "a"
    steps = []
    for number in range(count):
        steps.append({"name": f"n{number}", **step(last, number)})
        last = f"n{number}"
    return steps


def numbers(folder: Path, names: str = "abc") -> dict[str, Path]:
    """Models of numbers, with a counter among them."""
    made = {}
    for seed, name in enumerate(names):
        write_llama(folder / name, seed=seed, layers=2)
        weights = load_file(folder / name / "model.safetensors")
        weights["model.steps"] = np.array([3, 7], np.int64)
        save_file(weights, folder / name / "model.safetensors", metadata={"format": "pt"})
        made[name] = folder / name
    return made


def test_a_thousand_linear_steps_are_one(tmp_path: Path) -> None:
    share = 0.998
    steps = chain(
        1000,
        lambda last, n: linear({last: share, "b" if n % 2 else "c": 1 - share}),
    )
    sources = numbers(tmp_path / "in")
    merged(recipe_of(sources, *steps), tmp_path / "out")
    weights = {"a": share**1000, "b": 0.0, "c": 0.0}
    for n in range(1000):
        weights["b" if n % 2 else "c"] += (1 - share) * share ** (999 - n)
    found = arrays_of(tmp_path / "out")
    arrays = {name: arrays_of(folder) for name, folder in sources.items()}
    for tensor, value in found.items():
        if tensor == "model.steps":
            assert value.tolist() == [3, 7]  # all models', copied
            continue
        expected = sum(weights[name] * arrays[name][tensor].astype(float) for name in "abc")
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_thousand_slerp_steps_are_replayed_as_they_were(tmp_path: Path) -> None:
    steps = chain(
        1000,
        lambda last, n: {
            "method": "slerp",
            "base": last,
            "models": ["b" if n % 3 else "c"],
            "parameters": {"t": 0.002 + 0.001 * (n % 5)},
        },
    )
    sources = numbers(tmp_path / "in")
    merged(recipe_of(sources, *steps), tmp_path / "out")
    found = arrays_of(tmp_path / "out")
    arrays = {
        name: {tensor: torch.from_numpy(array).double() for tensor, array in arrays_of(p).items()}
        for name, p in sources.items()
    }
    for tensor in ("model.layers.1.mlp.down_proj.weight", "model.norm.weight", "lm_head.weight"):
        state = arrays["a"][tensor]
        for n in range(1000):
            other = arrays["b" if n % 3 else "c"][tensor]
            state = slerp(state, other, 0.002 + 0.001 * (n % 5))
        np.testing.assert_allclose(found[tensor], state.numpy(), rtol=1e-4, atol=1e-5)


def test_shared_ancestors_are_made_once(tmp_path: Path) -> None:
    """Both children of a generation are parents of both of the next: 2^40 paths, 80 steps."""
    steps: list[dict[str, Any]] = []
    pair = ("a", "b")
    for n in range(40):
        steps.append({"name": f"x{n}", **linear({pair[0]: 0.75, pair[1]: 0.25})})
        steps.append(
            {
                "name": f"y{n}",
                "method": "slerp",
                "base": pair[0],
                "models": [pair[1]],
                "parameters": {"t": 0.6},
            }
        )
        pair = (f"x{n}", f"y{n}")
    sources = numbers(tmp_path / "in", "ab")
    merged(recipe_of(sources, *steps), tmp_path / "out")
    arrays = [arrays_of(folder) for folder in sources.values()]
    found = arrays_of(tmp_path / "out")
    for tensor in ("model.layers.0.mlp.up_proj.weight", "model.norm.weight"):
        one, other = (torch.from_numpy(array[tensor]).double() for array in arrays)
        for _ in range(40):
            one, other = 0.75 * one + 0.25 * other, slerp(one, other, 0.6)
        np.testing.assert_allclose(found[tensor], other.numpy(), rtol=1e-4, atol=1e-5)


STREAMED = [
    {"name": "mean", **linear({"a": 0.4, "b": 0.6})},
    {
        "name": "thin",
        "method": "dare_linear",
        "base": "a",
        "models": ["mean", "c"],
        "parameters": {"weight": 0.5, "density": 0.6},
        "seed": 3,
    },
    {
        "name": "ranked",  # draws while it is read, so it must be read once, in order
        "method": "della_linear",
        "base": "a",
        "models": ["thin", "b"],
        "parameters": {"weight": 0.5, "density": 0.6, "epsilon": 0.2, "rescale": False},
        "seed": 4,
    },
    {
        "name": "last",
        "method": "ties",
        "base": "a",
        "models": ["ranked", "mean"],
        "parameters": {"weight": [0.3, 0.9], "density": 0.5},
    },
]


def one_by_one(
    sources: Mapping[str, Path], steps: list[dict[str, Any]], folder: Path
) -> dict[str, Path]:
    """Run steps through files, each over what the ones before have written."""
    known = dict(sources)
    for step in steps:
        merged(recipe_of(known, step), folder / step["name"])
        known[step["name"]] = folder / step["name"]
    return known


def test_steps_of_any_kind_nest_as_if_each_had_been_written(tmp_path: Path) -> None:
    sources = numbers(tmp_path / "in")
    merged(recipe_of(sources, *STREAMED), tmp_path / "out")
    apart = one_by_one(sources, STREAMED, tmp_path / "apart")
    assert load_file(apart["last"] / "model.safetensors").keys() == arrays_of(apart["a"]).keys()
    found, expected = arrays_of(tmp_path / "out"), arrays_of(apart["last"])
    thin = arrays_of(apart["thin"])
    assert any((thin[name] == arrays_of(apart["a"])[name]).any() for name in thin)
    for name, array in found.items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("granularity", ["half", "group"])
def test_blocks_nest_too(granularity: str, tmp_path: Path) -> None:
    """A step per block over a step per block, of combinations that need angles."""
    sources = numbers(tmp_path / "in")
    shapes = llama_shapes(2) | {"model.steps": (2,)}
    layout = layout_of(shapes, LLAMA, granularity, 2)  # type: ignore[arg-type]
    names = [block.name for block in layout.blocks]

    def values(seed: int) -> dict[str, Any]:
        draw = np.random.default_rng(seed)
        return {"blocks": {name: float(draw.uniform(0.1, 0.9)) for name in names}}

    cut = {"granularity": granularity, "groups": 2}
    steps = [
        {"name": "one", **linear({"a": values(0), "b": values(1)}, blocks=cut)},
        {
            "name": "two",
            "method": "slerp",
            "base": "one",
            "models": ["c"],
            "parameters": {"t": values(2)},
            "blocks": cut,
        },
    ]
    merged(recipe_of(sources, *steps), tmp_path / "out")
    arrays = {name: arrays_of(path) for name, path in sources.items()}
    found = arrays_of(tmp_path / "out")
    v = [values(seed)["blocks"] for seed in range(3)]
    for tensor, segments in layout.segments.items():
        for segment in segments:
            block = names[segment.block]
            a, b, c, out = (
                torch.from_numpy(
                    x[tensor].take(range(segment.start, segment.stop), axis=segment.dim)
                ).double()
                for x in (arrays["a"], arrays["b"], arrays["c"], found)
            )
            if tensor != "model.steps":
                expected = slerp(v[0][block] * a + v[1][block] * b, c, v[2][block])
                torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "step",
    [
        {"method": "ties", "base": "a", "parameters": {"weight": 1, "density": 0.9}},
        {"method": "route", "path": [(0, 0, 1), (1, 1, 1)]},
    ],
)
def test_too_many_steps_that_are_no_sums_are_refused(step: dict[str, Any], tmp_path: Path) -> None:
    def run(count: int, into: str) -> None:
        steps = chain(count, lambda last, _: step | {"models": [last, "b"]})
        merged(recipe_of(sources, *steps), tmp_path / into)

    sources = {name: write_llama(tmp_path / name, seed=n, layers=2) for n, name in enumerate("ab")}
    run(60, "out")
    assert np.isfinite(arrays_of(tmp_path / "out")["lm_head.weight"]).all()
    refused(lambda: run(1200, "no"), "step 'n200'", "lie upon each other")


def test_shared_ancestors_may_be_cut_within_tensors(tmp_path: Path) -> None:
    sources = {name: write_llama(tmp_path / name, n, layers=2) for n, name in enumerate("ab")}
    blocks = [
        f"layer {n} {part} {k}" for n in (0, 1) for part in ("heads", "units") for k in (0, 1)
    ]
    values = dict.fromkeys([*blocks, "layer 0 rest", "layer 1 rest", "outside"], 0.25)
    values["layer 1 units 1"] = 0.0
    steps: list[dict[str, Any]] = []
    pair = ("a", "b")
    for n in range(40):
        for name, one, other in ((f"x{n}", *pair), (f"y{n}", *pair[::-1])):
            rest = {block: 1 - value for block, value in values.items()}
            step = linear(
                {one: {"blocks": rest}, other: {"blocks": values}},
                blocks={"granularity": "group", "groups": 2},
            )
            steps.append({"name": name} | step)
        pair = (f"x{n}", f"y{n}")
    merged(recipe_of(sources, *steps), tmp_path / "out")
    found = arrays_of(tmp_path / "out")
    # The pair converges to its mean, but for a block in which each stays what it was.
    np.testing.assert_allclose(found["model.norm.weight"], 0.5, atol=1e-6)
    up = found["model.layers.1.mlp.up_proj.weight"]
    np.testing.assert_allclose(up[:6], 0.5, atol=1e-6)
    np.testing.assert_allclose(up[6:], 1.0, atol=1e-6)
