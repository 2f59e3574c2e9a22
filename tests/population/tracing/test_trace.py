"""What a merge was made of is found from its weights, and so is that something is missing."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from population.errors import CheckpointError
from population.merging.merge import merge
from population.models.checkpoints import Checkpoint
from population.models.dtypes import BF16, narrow, widen
from population.models.sources import open_source
from population.tracing.fit import least_squares
from population.tracing.parents import shares_of
from population.tracing.products import tensor_products
from population.tracing.results import Trace
from population.tracing.trace import trace
from tests.command_helpers import colony
from tests.merge_helpers import recipe_of

NAMES = ("base", "capital", "kanji", "reverse", "sort", "sum")
SHAPES = {"a.weight": (96, 160), "b.weight": (128, 96), "c.weight": (64, 200), "norm.weight": (64,)}

Arrays = dict[str, np.ndarray[Any, Any]]


def rounded(arrays: Mapping[str, Any]) -> Arrays:
    """Weights as bf16 holds them, in fp32."""
    return {k: widen(narrow(v.astype(np.float32), BF16), BF16).copy() for k, v in arrays.items()}


@pytest.fixture(scope="module")
def weights() -> dict[str, Arrays]:
    """A base and fine-tunes that have a little in common, like those of one base in life."""
    rng = np.random.default_rng(0)
    base = {name: rng.normal(0, 0.05, shape) for name, shape in SHAPES.items()}
    base["norm.weight"] = np.ones(64)
    common = {name: rng.normal(0, 0.001, shape) for name, shape in SHAPES.items()}
    models = {"base": rounded(base)}
    for model in NAMES[1:]:
        own = {name: rng.normal(0, 0.002, shape) for name, shape in SHAPES.items()}
        own["norm.weight"] = common["norm.weight"] = np.zeros(64)
        models[model] = rounded({n: base[n] + common[n] + own[n] for n in SHAPES})
    return models


@pytest.fixture(scope="module")
def folder(weights: dict[str, Arrays], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, arrays in weights.items():
        save_file(arrays, folder / f"{name}.safetensors")
    return folder


Traced = Callable[..., Trace]


@pytest.fixture
def traced(folder: Path, tmp_path: Path) -> Traced:
    """Trace a merge by a step of a recipe, or given weights, among all models but the hidden."""

    def run(made: Mapping[str, Any], hidden: str | None = None, **more: Any) -> Trace:
        path = tmp_path / f"merged {len(list(tmp_path.iterdir()))}.safetensors"
        if "method" in made:
            sources = {name: folder / f"{name}.safetensors" for name in NAMES}
            merge(recipe_of(sources, made, dtype="bfloat16"), path, threads=1)
        else:
            save_file(rounded(made), path)
        return trace(open_source(str(path)), candidates(folder, hidden), **more)

    return run


def candidates(folder: Path, hidden: str | None = None) -> list[Checkpoint]:
    return [open_source(str(folder / f"{name}.safetensors")) for name in NAMES if name != hidden]


def step(method: str, density: float | None = None, **parts: float) -> dict[str, Any]:
    more = {} if density is None else {"density": density}
    models = [{"model": k, "parameters": {"weight": v, **more}} for k, v in parts.items()]
    base = {} if method == "linear" else {"base": "base"}
    return {"method": method, "models": models, "seed": 3, **base}


def found(result: Trace) -> dict[str, float]:
    return {parent.name: parent.coefficient for parent in result.parents}


@pytest.mark.parametrize(
    ("made", "base", "parents"),
    [
        (step("linear", kanji=0.3, sort=0.7), 0.0, {"kanji": 0.3, "sort": 0.7}),
        (step("task_arithmetic", sum=0.4, kanji=0.15), 0.45, {"sum": 0.4, "kanji": 0.15}),
        (step("task_arithmetic", sum=1.2, sort=-0.3), 0.1, {"sum": 1.2, "sort": -0.3}),
    ],
)
def test_the_coefficients_of_sums(
    traced: Traced, made: dict[str, Any], base: float, parents: dict[str, float]
) -> None:
    result = traced(made)
    assert result.kind == "sum"
    assert not result.missing
    assert result.base == "base"
    assert result.base_coefficient == pytest.approx(base, abs=0.01)
    assert found(result) == pytest.approx(parents, abs=0.01)
    assert result.unknown == ("norm.weight",)  # which is equal in all of them


@pytest.mark.parametrize("made", [step("linear", kanji=0.3, sort=0.3, sum=0.4)])
def test_a_hidden_parent_is_noticed_and_nobody_is_named_in_its_place(
    traced: Traced, made: dict[str, Any]
) -> None:
    result = traced(made, hidden="kanji")
    assert result.kind == "incomplete"
    assert result.missing
    assert result.missing_coefficient == pytest.approx(0.3, abs=0.1)
    assert found(result).keys() == {"sort", "sum"}


@pytest.mark.parametrize("method", ["ties", "dare_linear", "dare_ties"])
def test_dropped_elements_are_no_missing_parent(traced: Traced, method: str) -> None:
    made = step(method, 0.5, sort=0.7, capital=0.4, sum=0.3)
    complete = traced(made)
    assert complete.kind == "sparse"
    assert not complete.missing
    assert found(complete).keys() == {"sort", "capital", "sum"}
    assert complete.explained is not None
    assert complete.explained > 0.97
    if method == "dare_linear":
        kept = [parent.kept for parent in complete.parents]
        factors = [parent.factor for parent in complete.parents]
        assert kept == pytest.approx([0.5] * 3, abs=0.1)
        assert factors == pytest.approx([1.4, 0.8, 0.6], abs=0.05)
    hidden = traced(made | {"seed": 4}, hidden="sort")
    assert hidden.missing


def test_coefficients_may_differ_within_tensors(traced: Traced, weights: dict[str, Arrays]) -> None:
    made = {}
    for name, shape in SHAPES.items():
        slope = np.arange(shape[0]) * 32 // shape[0] / 32
        slope = slope.reshape(-1, *[1] * (len(shape) - 1))
        change = weights["sum"][name] - weights["base"][name]
        made[name] = weights["base"][name] + slope * change
    result = traced(made)
    assert result.kind == "sum by slices"
    assert found(result) == pytest.approx({"sum": 0.484}, abs=0.05)


def test_a_copy_and_a_scaled_model(traced: Traced, weights: dict[str, Arrays]) -> None:
    assert traced(weights["sort"]).kind == "copy"
    half = traced({name: 0.5 * weights["sort"][name] for name in SHAPES})
    assert half.kind == "sum"
    assert found(half) == pytest.approx({"sort": 0.5}, abs=0.01)


def test_of_two_candidates_that_are_equal_the_first_counts(
    folder: Path, weights: dict[str, Arrays], tmp_path: Path
) -> None:
    for name in ("twin", "merged"):
        save_file(weights["sum"], tmp_path / f"{name}.safetensors")
    models = [*candidates(folder), open_source(str(tmp_path / "twin.safetensors"))]
    result = trace(open_source(str(tmp_path / "merged.safetensors")), models)
    assert (result.kind, result.equal) == ("copy", {"twin": "sum"})
    assert found(result) == pytest.approx({"sum": 1.0}, abs=0.01)


def test_any_candidate_may_be_the_reference(folder: Path, weights: dict[str, Arrays]) -> None:
    models = candidates(folder)
    merged = open_source(str(folder / "sum.safetensors"))
    first, third = (
        tensor_products(merged, models[:5], row, list(SHAPES), lambda done, total: None, 1).whole
        for row in (0, 3)
    )
    assert np.allclose(first.from_reference(0, 3).gram, third.gram, atol=1e-9)
    by_first, by_third = (
        shares_of(least_squares(products, row)) for products, row in ((first, 0), (third, 3))
    )
    assert np.allclose(by_first.mean, by_third.mean, atol=1e-3)


def test_nothing_in_common(folder: Path, tmp_path: Path) -> None:
    save_file({"other": np.ones(3, np.float32)}, tmp_path / "other.safetensors")
    other = open_source(str(tmp_path / "other.safetensors"))
    with pytest.raises(CheckpointError, match="no tensor in common"):
        trace(other, candidates(folder))
    with pytest.raises(CheckpointError, match="name some"):
        trace(other, [])


def test_the_command(folder: Path, weights: dict[str, Arrays], tmp_path: Path) -> None:
    made = {n: 0.5 * weights["sum"][n] + 0.5 * weights["sort"][n] for n in SHAPES}
    save_file(rounded(made), tmp_path / "merged.safetensors")
    merged = tmp_path / "merged.safetensors"
    among = [part for name in NAMES for part in ("-m", folder / f"{name}.safetensors")]
    code, printed, _ = colony("trace", merged, *among, "--json")
    result = json.loads(printed)
    assert code == 0
    assert {p["name"]: round(p["coefficient"], 2) for p in result["parents"]} == {
        "sum": 0.5,
        "sort": 0.5,
    }
    code, printed, _ = colony("trace", merged, *among[:-2], "--tensors")
    assert code == 2
    assert "something is missing" in printed
    assert "c.weight" in printed
    code, _, error = colony("trace", merged, *among, "--base", "nobody")
    assert code == 1
    assert "'nobody'" in error
