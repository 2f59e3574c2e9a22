"""What must hold of merges whatever the numbers: what is equal stays equal, and steps compose.

What cannot be stored is refused.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

from population.errors import CheckpointError
from population.merging.merge import merge
from population.merging.methods import METHODS
from population.merging.recipe import Recipe
from population.models.dtypes import DTYPES
from population.models.opening import open_tensors
from tests.population.merging.test_methods import BACKENDS, Tensors, merged, step, use, written

few = settings(max_examples=8, deadline=None)
seeds = st.integers(0, 2**32 - 1)
sizes = st.floats(2**-10, 1024, width=32)
values = st.builds(float.__mul__, sizes, st.sampled_from([1.0, -1.0])) | st.just(0.0)
tensors = st.fixed_dictionaries(
    {
        "matrix": arrays(np.float32, (3, 5), elements=values),
        "vector": arrays(np.float32, (4,), elements=values),
        "column": arrays(np.float32, (3, 1), elements=values),
    }
).filter(lambda made: all(tensor.any() for tensor in made.values()))


def random_models(seed: int, count: int = 3) -> dict[str, Tensors]:
    """A base and models that moved a little from it, as fine-tunes do."""
    rng = np.random.default_rng(seed)
    shapes = {"matrix": (16, 24), "vector": (40,), "column": (9, 1), "cube": (2, 3, 4)}
    base = {name: rng.normal(0, 0.05, shape) for name, shape in shapes.items()}
    models = {"base": base}
    for number in range(1, count + 1):
        models[f"m{number}"] = {n: v + rng.normal(0, 0.02, v.shape) for n, v in base.items()}
    return {m: {n: v.astype(np.float32) for n, v in made.items()} for m, made in models.items()}


def close(found: Tensors, wanted: Tensors, tolerance: float) -> None:
    """Equal, relative to the largest element of each tensor."""
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        scale = max(float(np.abs(value).max()), 1e-30)
        np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance * scale, err_msg=name)


def same(found: Tensors, wanted: Tensors) -> None:
    """Equal to the bit; only the sign of a 0 may get lost in a sum."""
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


# What is equal stays equal.

EQUAL: dict[str, Callable[[float], dict[str, Any]]] = {
    "linear": lambda w: step("linear", {"a": w, "b": 0.7 - w, "c": 0.3}, normalize=False),
    "linear normalized": lambda w: step("linear", {"a": w + 1, "b": 2.3, "c": 0.4}),
    "slerp": lambda w: step("slerp", ["b"], "a", t=w),
    "nuslerp": lambda w: step("nuslerp", {"a": w, "b": 1 - w}),
    "nuslerp rows": lambda w: step("nuslerp", {"a": w, "b": 1 - w}, nuslerp_flatten=False),
    "multislerp": lambda w: step("multislerp", {"a": w + 1, "b": 2.3, "c": 0.4}),
    "karcher": lambda _: step("karcher", ["a", "b", "c"]),
    "passthrough": lambda _: step("passthrough", ["a"]),
}


@pytest.mark.parametrize("method", EQUAL)
@few
@given(model=tensors, weight=st.floats(0, 1))
def test_equal_models_stay_what_they_are(method: str, model: Tensors, weight: float) -> None:
    same(merged(dict.fromkeys("abc", model), EQUAL[method](weight)), model)


UNMOVED: dict[str, dict[str, Any]] = {
    name: step(name, {"a": 0.4, "b": 1.1} if "slerp" in name else {"a": 0.4, "b": -0.3, "c": 1.1})
    for name in METHODS
    if any(parameter.name == "weight" for parameter in METHODS[name].parameters)
    and METHODS[name].base != "ignored"
} | {
    "slerp": step("slerp", ["a"], t=0.3),
    "nearswap": step("nearswap", ["a"], t=0.01),
    "arcee_fusion": step("arcee_fusion", ["a"]),
    "model_stock": step("model_stock", ["a", "b", "c"]),
    "model_stock rows": step("model_stock", ["a", "b", "c"], filter_wise=True),
    "sce": step("sce", ["a", "b", "c"], select_topk=0.5),
    "ram": step("ram", ["a", "b", "c"]),
    "ramplus_tl": step("ramplus_tl", ["a", "b", "c"]),
}
FREELY = {"density": 0.5, "lambda": 1.7, "rescale": True}


@pytest.mark.parametrize("method", UNMOVED)
@few
@given(model=tensors)
def test_models_that_did_not_move_give_the_base(method: str, model: Tensors) -> None:
    """Whatever the weights; for every method that has a base."""
    merge_step = UNMOVED[method] | {"base": "base"}
    known = {parameter.name for parameter in METHODS[merge_step["method"]].parameters}
    extra = {name: value for name, value in FREELY.items() if name in known}
    merge_step["parameters"] = extra | merge_step["parameters"]
    same(merged(dict.fromkeys(["base", "a", "b", "c"], model), merge_step), model)


def test_all_methods_with_a_base_are_tried() -> None:
    tried = {entry["method"] for entry in UNMOVED.values()}
    assert tried == {name for name, method in METHODS.items() if method.base != "ignored"}


@pytest.mark.parametrize(
    "merge_step",
    [
        step("task_arithmetic", {"a": 0.5, "b": 0.2, "c": 0.3}),
        step("task_arithmetic", {"a": 5, "b": 2, "c": 3}, normalize=True),
        step("ties", {"a": 0.5, "b": 0.2, "c": 0.3}),
        step("ties", {"a": 5, "b": 2, "c": 3}, normalize=True, density=1),
        step("dare_ties", {"a": 0.5, "b": 0.2, "c": 0.3}, density=1),
        step("della_linear", {"a": 0.5, "b": 0.2, "c": 0.3}, density=1),
        step("breadcrumbs", {"a": 0.5, "b": 0.2, "c": 0.3}, gamma=0),
        step("model_stock", ["a", "b", "c"]),
        step("model_stock", ["a", "b", "c"], filter_wise=True),
        step("sce", ["a", "b", "c"]),
        step("ram", ["a", "b", "c"], epsilon=0),
        step("nuslerp", {"a": 0.4, "b": 0.6}),
        step("multislerp", {"a": 0.5, "b": 0.2, "c": 0.3}),
    ],
    ids=lambda merge_step: merge_step["method"],
)
@few
@given(seed=seeds)
def test_models_that_moved_alike_are_what_they_moved_to(
    merge_step: dict[str, Any], seed: int
) -> None:
    """But for rounding: base + (model - base) is the model only nearly."""
    models = random_models(seed, 1)
    all_moved = {"base": models["base"], **dict.fromkeys("abc", models["m1"])}
    close(merged(all_moved, merge_step | {"base": "base"}), models["m1"], 3e-7)


@few
@given(base=tensors, model=tensors)
def test_all_of_one_task_vector_is_the_model(base: Tensors, model: Tensors) -> None:
    models = {"base": base, "m": model}
    same(merged(models, step("task_arithmetic", {"m": 1}, "base")), model)
    same(merged(models, step("linear", {"m": 3})), model)
    same(merged(models, step("slerp", ["m"], "base", t=1)), model)
    same(merged(models, step("slerp", ["m"], "base", t=0)), base)
    either = {name: np.maximum(np.abs(base[name]), np.abs(model[name])) for name in base}
    for method in ("ties", "dare_linear", "della", "breadcrumbs_ties"):
        extra = {"gamma": 0} if "breadcrumbs" in method else {}
        found = merged(models, step(method, {"m": 1}, "base", density=1, **extra))
        for name, wanted in model.items():
            assert np.all(np.abs(found[name] - wanted) <= 2.0**-22 * either[name])


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("base", [None, "base"])
def test_tensors_of_zeros_can_be_merged_on_the_sphere(count: int, base: str | None) -> None:
    """Biases that are 0, or tensors that no fine-tuning touched: they have no direction."""
    weights = {f"m{number}": 1 / count for number in range(count)}
    frozen = {"bias": np.ones(8, np.float32) if base else np.zeros(8, np.float32)}
    models = dict.fromkeys(["base", *weights], frozen)
    same(merged(models, step("multislerp", weights, base)), frozen)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("code", ["F64", "F32", "F16", "BF16"])
def test_a_copy_is_a_copy(
    code: str, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit, with the sign of every 0: nothing is computed, so nothing may change."""
    use(monkeypatch, BACKENDS[backend])
    wide = torch.tensor([0.0, -0.0, 1.5, -2.25, 6e-8, -6e-8, 1e-40, -1e-40, 60000.0])
    kind = getattr(torch, DTYPES[code].name)
    save_torch({"t": wide.to(kind)}, tmp_path / "a.safetensors")
    for name, made in (
        ("passthrough", step("passthrough", ["a"])),
        ("linear", step("linear", {"a": 0.7})),
    ):
        content = {"sources": {"a": {"path": f"{tmp_path}/a.safetensors"}}, "steps": [made]}
        written(Recipe.model_validate(content), tmp_path / name)
        copied = open_tensors(tmp_path / name / "model.safetensors").raw("t")
        original = open_tensors(tmp_path / "a.safetensors").raw("t")
        assert copied.tobytes() == original.tobytes(), name


@few
@given(seed=seeds)
def test_fp64_is_merged_in_fp64(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.normal(size=(2, 50))
    for t in (0.3, 1 - 1e-9, 1e-9):
        found = merged({"a": {"t": one}, "b": {"t": other}}, step("linear", {"a": 1 - t, "b": t}))
        np.testing.assert_allclose(found["t"], (1 - t) * one + t * other, rtol=0, atol=1e-14)


# Order does not matter.

ORDERLESS = [
    step("linear", {"m1": 0.2, "m2": 0.7, "m3": 0.4}),
    step("task_arithmetic", {"m1": 0.2, "m2": -0.7, "m3": 0.4}),
    step("multislerp", {"m1": 0.2, "m2": 0.7, "m3": 0.4}),
    step("karcher", ["m1", "m2", "m3"]),
    step("model_stock", ["m1", "m2", "m3"]),
    step("ties", {"m1": 0.2, "m2": 0.7, "m3": 0.4}, density=0.5),
    step("dare_linear", {"m1": 0.2, "m2": 0.7, "m3": 0.4}, density=0.5),
    step("dare_ties", {"m1": 0.2, "m2": 0.7, "m3": 0.4}, density=0.5),
    step("della_linear", {"m1": 0.2, "m2": 0.7, "m3": 0.4}, density=0.5),
    step("della", {"m1": 0.2, "m2": 0.7, "m3": 0.4}, density=0.5),
    step("breadcrumbs", {"m1": 0.2, "m2": 0.7, "m3": 0.4}, density=0.8, gamma=0.1),
    step("breadcrumbs_ties", {"m1": 0.2, "m2": 0.7, "m3": 0.4}, density=0.8, gamma=0.1),
    step("sce", ["m1", "m2", "m3"], select_topk=0.5),
    step("ram", ["m1", "m2", "m3"], epsilon=0.02),
    step("ramplus_tl", ["m1", "m2", "m3"], epsilon=0.02),
    step("nuslerp", {"m1": 0.2, "m2": 0.7}),
    step("nuslerp", {"m1": 0.2, "m2": 0.7}, nuslerp_flatten=False),
]


@pytest.mark.parametrize("merge_step", ORDERLESS, ids=lambda merge_step: merge_step["method"])
@few
@given(seed=seeds, order=st.permutations(range(3)))
def test_the_order_of_models_does_not_matter(
    merge_step: dict[str, Any], seed: int, order: list[int]
) -> None:
    entries = merge_step["models"]
    turned = [entries[place] for place in order if place < len(entries)]
    base = {"base": "base"} if METHODS[merge_step["method"]].base != "ignored" else {}
    models = random_models(seed)
    straight = merged(models, merge_step | base)
    close(merged(models, merge_step | base | {"models": turned}), straight, 1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, angle=st.floats(0.04, 3.1), t=st.floats(-0.5, 1.5))
def test_slerp_keeps_the_norm(seed: int, angle: float, t: float) -> None:
    rng = np.random.default_rng(seed)
    plane, _ = np.linalg.qr(rng.normal(size=(60, 2)))
    near, far = plane[:, 0], np.cos(angle) * plane[:, 0] + np.sin(angle) * plane[:, 1]
    wanted = (np.sin((1 - t) * angle) * near + np.sin(t * angle) * far) / np.sin(angle)
    models = {"a": {"t": near}, "b": {"t": far}}
    narrowed = {name: {"t": model["t"].astype(np.float32)} for name, model in models.items()}
    for given_models, tolerance in ((models, 1e-10), (narrowed, 2e-4 if angle > 3 else 1e-5)):
        for made in (step("slerp", ["b"], "a", t=t), step("nuslerp", {"a": 1 - t, "b": t})):
            found = merged(given_models, made)["t"]
            assert np.linalg.norm(found) == pytest.approx(1, abs=tolerance)
            np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(
    "merge_step",
    [
        step("slerp", ["b"], "a", t=0.4),
        step("nuslerp", {"a": 0.6, "b": 0.4}),
        step("nuslerp", {"a": 0.6, "b": 0.4}, nuslerp_flatten=False),
        step("nuslerp", {"a": 0.6, "b": 0.4}, nuslerp_flatten=False, nuslerp_row_wise=True),
        step("nuslerp", {"a": 0.6, "b": 0.4}, "base"),
        step("multislerp", {"a": 0.6, "b": 0.4}),
        step("multislerp", {"a": 0.5, "b": 0.5}),
        step("karcher", ["a", "b"]),
    ],
    ids=lambda merge_step: merge_step["method"],
)
def test_opposite_directions_do_not_explode(merge_step: dict[str, Any], kind: Any) -> None:
    """Between them there is no arc, or any; what comes out must be no other order of magnitude.

    Rows of one element are opposite whenever their signs are.
    """
    rng = np.random.default_rng(0)
    shapes = {"column": (200, 1), "matrix": (50, 7), "vector": (64,), "pair": (2,)}
    one = {name: rng.normal(0, 0.05, shape).astype(kind) for name, shape in shapes.items()}
    other = {name: (v * -0.7).astype(kind) for name, v in one.items()}
    base = {name: np.zeros_like(v) for name, v in one.items()}
    found = merged({"base": base, "a": one, "b": other}, merge_step)
    for name, tensor in found.items():
        assert np.linalg.norm(tensor) <= 10 * np.linalg.norm(one[name]), name


# Composing is replaying.

COMPOSED = {"linear": 3, "task_arithmetic": 3, "slerp": 1, "nuslerp": 2, "multislerp": 3}
COMPOSED |= {"karcher": 3, "model_stock": 3, "passthrough": 1}


def combination(
    method: str, models: list[str], base: str, rng: np.random.Generator, normalize: bool
) -> dict[str, Any]:
    """A step with settings drawn evenly."""
    weights = {name: float(rng.uniform(0.1, 0.32)) for name in models}
    t = float(rng.uniform())
    settings_of: dict[str, dict[str, Any]] = {
        "linear": {"normalize": normalize},
        "task_arithmetic": {"normalize": normalize, "lambda": 0.8},
        "nuslerp": {"nuslerp_flatten": normalize},
        "slerp": {"t": t},
        "passthrough": {"scale": 0.7 + 0.3 * t},
    }
    has_weights = any(parameter.name == "weight" for parameter in METHODS[method].parameters)
    needs_base = METHODS[method].base == "required"
    return step(
        method,
        weights if has_weights else models,
        base if needs_base else None,
        **settings_of.get(method, {}),
    )


@st.composite
def combinations_of_combinations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Up to six steps, each over sources and steps before it; weights are drawn evenly.

    Nothing is extrapolated, and what model_stock takes angles from is a source: opposite directions
    have no mean, and what is equal but for rounding has no direction, in any arithmetic.
    """
    rng = np.random.default_rng(draw(seeds))
    known, steps = ["base", "m1", "m2", "m3"], []
    for number in range(draw(st.integers(1, 6))):
        method = draw(st.sampled_from(sorted(COMPOSED)))
        # Later steps are picked more often, so that it gets deep.
        pool = st.sampled_from(known[-3:]) if draw(st.booleans()) else st.sampled_from(known)
        models = draw(
            st.lists(pool, min_size=COMPOSED[method], max_size=COMPOSED[method], unique=True)
        )
        bases = known[:4] if method == "model_stock" else known
        base = draw(st.sampled_from([name for name in bases if name not in models]))
        entry = combination(method, models, base, rng, normalize=draw(st.booleans()))
        steps.append(entry | {"name": f"s{number}"})
        known.append(f"s{number}")
    return steps


def replayed(models: dict[str, Tensors], steps: list[dict[str, Any]]) -> dict[str, Tensors]:
    """All steps one after another, each from fp32 files."""
    known = dict(models)
    for entry in steps:
        known[entry["name"]] = merged(known, entry)
    return known


@settings(max_examples=40, deadline=None)
@given(seed=seeds, steps=combinations_of_combinations())
def test_composing_is_replaying(seed: int, steps: list[dict[str, Any]]) -> None:
    models = random_models(seed)
    close(merged(models, *steps), replayed(models, steps)[steps[-1]["name"]], 1e-5)


@pytest.mark.parametrize("method", ["ties", "dare_ties", "della_linear", "sce", "ram"])
def test_what_streams_over_combinations_is_replayed_to_the_bit(method: str) -> None:
    """One combination is rounded to fp32 once, in memory as on disk."""
    settings = {} if method in {"sce", "ram"} else {"density": 0.5, "weight": 0.4}
    steps = [
        step("linear", {"m1": 0.3, "m2": 0.4}, name="one"),
        step("task_arithmetic", {"m2": 0.3, "m3": -0.4}, "base", name="other"),
        step(method, ["one", "other"], "base", name="top", **settings),
        step("slerp", ["top"], "m3", t=0.4, name="last"),
    ]
    models = random_models(0)
    same(merged(models, *steps), replayed(models, steps)["last"])


# Nothing overflows silently.

LARGEST = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("dtype", LARGEST)
def test_what_does_not_fit_is_refused_and_leaves_nothing(
    dtype: str, single: bool, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, BACKENDS[backend], chunk=16)
    model = {"w": np.ones((9, 8), np.float32), "v": np.ones(5, np.float32)}
    for weight, fits in ((LARGEST[dtype], True), (LARGEST[dtype] * 1.003, False)):
        model["w"][8, 7] = weight
        save_file(model, tmp_path / "m.safetensors")
        content = {
            "sources": {"m": {"path": f"{tmp_path}/m.safetensors"}},
            "steps": [step("passthrough", ["m"])],
            "output": {"dtype": dtype},
        }
        target = tmp_path / "out" / ("made.safetensors" if single else "made")
        if not fits:
            with pytest.raises(CheckpointError, match=rf"merge of w does not fit {dtype}"):
                merge(Recipe.model_validate(content), target)
            assert list((tmp_path / "out").iterdir()) == []
            return
        merge(Recipe.model_validate(content), target)
        file = target if single else target / "model.safetensors"
        assert open_tensors(file).wide("w").max() == np.float32(LARGEST[dtype])
        for path in sorted((tmp_path / "out").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()


@pytest.mark.parametrize("bits", [0x7FC00000, 0xFFC00000, 0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_no_nan_comes_through(dtype: str, bits: int, tmp_path: Path) -> None:
    """All NaNs, also those that some hardware and some tools make: one is all ones."""
    model = {"w": np.ones((9, 8), np.float32)}
    model["w"].view(np.uint32)[4, 4] = bits
    save_file(model, tmp_path / "m.safetensors")
    content = {
        "sources": {"m": {"path": f"{tmp_path}/m.safetensors"}},
        "steps": [step("passthrough", ["m"])],
        "output": {"dtype": dtype},
    }
    with pytest.raises(CheckpointError, match="'m': w holds NaN or infinity"):
        merge(Recipe.model_validate(content), tmp_path / "made")
    assert not (tmp_path / "made").exists()
