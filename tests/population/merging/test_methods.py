"""Merge methods: every one gives the numbers that mergekit 0.1.5 gave, in fp32 and at most better.

The golden files (tests/golden) are what `mergekit-pytorch` made of generated checkpoints. Whatever
runs here runs as `colony merge` does: a recipe is read, planned, and written to a folder.
"""

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from population.merging import engine
from population.merging.backends import Backend, Numpy, Torch
from population.merging.lazy_tensors import MethodInputs
from population.merging.methods import METHODS, task_vectors
from population.merging.recipe import Recipe
from population.merging.recipe_files import read_recipe
from population.models.dtypes import BF16, narrow, widen
from population.models.opening import open_tensors

GOLDEN = Path(__file__).parents[2] / "golden"
CASES: dict[str, dict[str, Any]] = json.loads((GOLDEN / "index.json").read_text())["cases"]
RANDOM = {name for name, case in CASES.items() if case["random"]}
BACKENDS: dict[str, Callable[[], Backend]] = {"numpy": Numpy, "torch": lambda: Torch("cpu")}

Array = npt.NDArray[Any]
Tensors = dict[str, Array]


def written(recipe: Recipe, folder: Path, **options: Any) -> Tensors:
    """What a recipe makes, widened."""
    folder.mkdir(exist_ok=True)
    engine.run(engine.plan(recipe), folder, **options)
    file = open_tensors(folder / "model.safetensors")
    return {name: np.array(file.wide(name)) for name in file.tensors}


def merged(
    models: Mapping[str, Tensors], *steps: dict[str, Any], compat: bool = False, **output: Any
) -> Tensors:
    """What some steps make of some models, widened."""
    with tempfile.TemporaryDirectory() as place:
        sources = {}
        for name, tensors in models.items():
            packed = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
            save_file(packed, Path(place) / f"{name}.safetensors")
            sources[name] = {"path": f"{place}/{name}.safetensors"}
        content = {"sources": sources, "steps": steps, "output": output, "mergekit_compat": compat}
        return written(Recipe.model_validate(content), Path(place) / "made")


def step(
    method: str, models: Mapping[str, float] | list[str], base: str | None = None, **more: Any
) -> dict[str, Any]:
    """A step of a recipe; models may be given with their weights."""
    parameters = {key: more.pop(key) for key in list(more) if key not in {"name", "seed"}}
    entries: list[Any] = list(models)
    if isinstance(models, Mapping):
        entries = [{"model": m, "parameters": {"weight": w}} for m, w in models.items()]
    about = {"name": "made", "method": method, "base": base, "models": entries}
    return about | {"parameters": parameters} | more


def use(monkeypatch: pytest.MonkeyPatch, make: Callable[[], Backend], chunk: int = 0) -> None:
    """Have merges computed by a backend, if wanted in small chunks."""
    backend = make()
    if chunk:
        backend.chunk = chunk
    monkeypatch.setattr(engine, "backend_for", lambda _: backend)


def give_masks(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have the masks that mergekit drew for a case used instead of our own."""
    masks = load_file(GOLDEN / f"masks_{name}.safetensors")

    def given(group: MethodInputs, model: int, *_: float) -> Callable[[Any, int, int], Array]:
        key = f"{group.tensor}::{group.names[model].removeprefix('in_')}"
        mask = masks[key].astype(bool).reshape(group.rows, group.columns)
        return lambda _, start, stop: mask[start:stop]

    monkeypatch.setattr(task_vectors, "bernoulli_mask", given)
    monkeypatch.setattr(task_vectors, "rank_mask", given)


def golden_recipe(name: str, path: Callable[[str], str] = str) -> Recipe:
    recipe = read_recipe(GOLDEN / f"cfg_{name}.yml")
    sources = {
        key: source.model_copy(update={"path": path(source.path)})
        for key, source in recipe.sources.items()
    }
    return recipe.model_copy(update={"sources": sources})


def test_there_is_a_golden_case_for_every_method() -> None:
    assert {case["method"] for case in CASES.values()} == METHODS.keys()
    assert len(CASES) == 34


@pytest.mark.parametrize("chunk", [0, 300], ids=["whole", "chunks"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_mergekits_numbers(
    name: str, backend: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, BACKENDS[backend], chunk)
    if name in RANDOM:
        give_masks(monkeypatch, name)
    found = written(golden_recipe(name), tmp_path, threads=1)
    wanted = open_tensors(GOLDEN / f"out_{name}.safetensors")
    assert found.keys() == wanted.tensors.keys()
    for tensor, values in found.items():
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, wanted.wide(tensor), rtol=0, atol=1e-6)


EXACT = [
    name
    for name, case in CASES.items()
    if not getattr(METHODS[case["method"]], "needs_gram", False)  # angles are summed up otherwise
    and case["method"] not in {"sce", "ramplus_tl", "arcee_fusion"}  # as are energies, softmaxes
    and case["method"] != "nearswap"  # torch divides a number by a tensor in two roundings
    and not case["parameters"].get("rescale", name.startswith(("dare", "della")))  # and norms
]


@pytest.mark.parametrize("name", EXACT)
def test_compiled_and_array_code_give_the_same_bits(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name in RANDOM:
        give_masks(monkeypatch, name)
    found = {}
    for backend, make in BACKENDS.items():
        use(monkeypatch, make)
        found[backend] = written(golden_recipe(name), tmp_path / backend, threads=1)
    for tensor, values in found["numpy"].items():
        np.testing.assert_array_equal(
            values.view(np.uint32), found["torch"][tensor].view(np.uint32), err_msg=tensor
        )


def test_most_methods_without_sums_are_compared_to_the_bit() -> None:
    assert len(EXACT) == 12
    assert {"linear", "ties_d0.5", "breadcrumbs_ties", "dare_linear_d0.5_norescale"} <= set(EXACT)


@pytest.fixture(scope="module")
def in_fp64(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bf16 inputs as fp64, which everything is then computed in."""
    folder = tmp_path_factory.mktemp("fp64")
    for path in GOLDEN.glob("in_*_bf16.safetensors"):
        file = open_tensors(path)
        wide = {name: file.wide(name).astype(np.float64) for name in file.tensors}
        save_file(wide, folder / path.name)
    return folder


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("della")])
def test_bf16_is_at_least_as_close_as_mergekit(
    name: str, in_fp64: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is compared: mean |bf16 result - result of our method in fp64 on the same bf16 inputs|.

    Over all elements; and over those where mergekit is within 4 bf16 steps (of the largest input)
    of the reference. The others are no matter of precision: there it keeps another element, because
    bf16 magnitudes are often equal at the cut (and differences rounded to bf16 more often), or it
    votes otherwise. ramplus_tl comes from mergekit in fp32, so it is rounded as it would be saved.

    DARE's masks for bf16 are those for fp32 (both compare the same draws with 0.5), which the first
    assertion on `far` would show; DELLA's are not, so there is nothing to compare.
    """
    if name in RANDOM:
        give_masks(monkeypatch, name)
    as_bf16 = golden_recipe(name, lambda path: path.replace(".safetensors", "_bf16.safetensors"))
    ours = written(as_bf16, tmp_path / "ours")
    assert all(
        header.dtype is BF16
        for header in open_tensors(tmp_path / "ours" / "model.safetensors").tensors.values()
    )
    exact = written(
        golden_recipe(name, lambda path: str(in_fp64 / f"{Path(path).stem}_bf16.safetensors")),
        tmp_path / "exact",
    )
    theirs = open_tensors(GOLDEN / f"out_{name}_bf16.safetensors")
    inputs = [open_tensors(path) for path in GOLDEN.glob("in_*_bf16.safetensors")]
    our_errors, their_errors, steps = [], [], []
    for tensor, reference in exact.items():
        assert reference.dtype == np.float64
        saved = widen(narrow(theirs.wide(tensor), BF16), BF16)
        our_errors.append(np.abs(ours[tensor] - reference).ravel())
        their_errors.append(np.abs(saved - reference).ravel())
        largest = np.max([np.abs(file.wide(tensor)) for file in inputs], axis=0)
        steps.append(2.0 ** (np.floor(np.log2(largest)) - 7).ravel())
    our_error, their_error, bf16_step = map(np.concatenate, (our_errors, their_errors, steps))
    far = their_error > 4 * bf16_step
    assert far.mean() < (0.1 if name == "arcee_fusion" else 0.02)  # its quartiles are rounded
    assert (our_error > 4 * bf16_step).mean() < 1e-3
    assert our_error.mean() <= their_error.mean()
    assert our_error[~far].mean() <= their_error[~far].mean()
    if name not in {"ties_d0.5", "ties_d0.2_negw", "ties_d0.5_unnorm", "breadcrumbs_ties"} | {
        "arcee_fusion"
    }:  # where an element that lies on the edge in fp32 may go another way than in fp64
        nearest = np.concatenate(
            [np.abs(widen(narrow(r, BF16), BF16) - r).ravel() for r in exact.values()]
        )
        assert our_error.mean() <= 1.001 * nearest.mean(), "bf16 can do better"


SIGNS = np.array([[1]])
for _ in range(6):
    SIGNS = np.block([[SIGNS, SIGNS], [SIGNS, -SIGNS]])


@pytest.mark.parametrize("filter_wise", [False, True])
@pytest.mark.parametrize(("compat", "wanted"), [(False, 0.930), (True, 0.488)])
def test_model_stock_keeps_the_angles_of_small_tensors(
    compat: bool, wanted: float, filter_wise: bool
) -> None:
    """A vector of 576 that moved by 2e-5 per element: mergekit goes half as far as it should."""
    common, *own = np.tile(SIGNS[1:5], 9)  # orthogonal to each other
    moved = {
        f"m{i}": {"norm": (2e-5 * (1.023 * common + 0.486 * v)).astype(np.float32)}
        for i, v in enumerate(own)
    }
    base = {"norm": np.zeros(576, np.float32)}
    stock = step("model_stock", list(moved), "base", filter_wise=filter_wise)
    made = merged({"base": base, **moved}, stock, compat=compat)["norm"]
    mean = np.mean([model["norm"] for model in moved.values()], axis=0)
    assert made @ common / (mean @ common) == pytest.approx(wanted, abs=5e-4)


@pytest.mark.parametrize(("compat", "wanted"), [(False, 6.5e-3 / 17), (True, 2.5e-4)])
def test_sce_keeps_the_weights_of_small_tensors(compat: bool, wanted: float) -> None:
    """Moved by 1e-4 and by 4e-4: energies of 1 to 16, which mergekit takes for equal."""
    models = {
        name: {"norm": np.full(576, value, np.float32)}
        for name, value in (("base", 0), ("m1", 1e-4), ("m2", 4e-4))
    }
    made = merged(models, step("sce", ["m1", "m2"], "base"), compat=compat)["norm"]
    np.testing.assert_allclose(made, wanted, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(CASES.keys() - RANDOM))
def test_compat_changes_nothing_on_ordinary_tensors(name: str, tmp_path: Path) -> None:
    recipe = golden_recipe(name)
    plain = written(recipe, tmp_path / "plain")
    compat = written(recipe.model_copy(update={"mergekit_compat": True}), tmp_path / "compat")
    for tensor, values in plain.items():
        np.testing.assert_array_equal(values, compat[tensor])


@pytest.mark.parametrize("moved", [2e-2, 2e-3, 2e-4])
def test_arcee_fusion_takes_the_important_elements_of_close_fine_tunes(moved: float) -> None:
    """In fp32 as in fp64: which elements are taken must not be decided by rounding errors.

    The divergence of nearly equal rows is a small difference of large sums.
    """
    rng = np.random.default_rng(0)
    base = rng.normal(0, 0.05, (64, 576)).astype(np.float32)
    scale = rng.uniform(0.3, 1, (64, 1))  # some rows moved more than others
    model = (base + moved * scale * rng.normal(size=base.shape)).astype(np.float32)
    taken = []
    for kind in (np.float32, np.float64):
        models = {"base": {"w": base.astype(kind)}, "m": {"w": model.astype(kind)}}
        taken.append(merged(models, step("arcee_fusion", ["m"], "base"))["w"] != base)
    in_fp32, in_fp64 = taken
    assert 0.05 < in_fp64.mean() < 0.2
    assert (in_fp32 & in_fp64).sum() > 0.99 * (in_fp32 | in_fp64).sum()
