"""Materialising: the right weights, and the same bits whatever happens around them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from population.models.blocks import Granularity, layout_of
from population.models.checkpoints import Checkpoint
from population.models.opening import open_checkpoint
from population.weights import founder_rows, materialise
from population.weights.device_sums import DeviceFounders
from population.weights.genomes import Basis
from population.weights.materialise import Materialiser, state_sha256

Maker = Callable[..., Materialiser]


@pytest.fixture
def maker(make_checkpoint: Callable[..., Path]) -> Maker:
    founders = [open_checkpoint(make_checkpoint(name, seed)) for seed, name in enumerate("abc")]

    def make(
        base: int | None = 0, granularity: Granularity = "group", threads: int | None = None
    ) -> Materialiser:
        shapes = {name: header.shape for name, header in founders[0].tensors.items()}
        layout = layout_of(shapes, founders[0].config, granularity)
        return Materialiser(founders, Basis(("a", "b", "c"), base), layout, threads=threads)

    return make


def random_genomes(maker: Materialiser, count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (len(maker.basis.vectors), len(maker.layout.blocks))
    return [rng.normal(0.3, 0.4, shape) for _ in range(count)]


def slowly(maker: Materialiser, genome: np.ndarray, name: str) -> torch.Tensor:
    """The definition, in fp64: origin plus scaled task vectors, segment by segment."""
    founders: list[Checkpoint] = list(maker.founders)
    sources = [founder.tensor(name).double() for founder in founders]
    base = maker.basis.base
    origin = sources[base] if base is not None else sum(sources) / len(sources)
    result = origin.clone()
    for cut in maker.layout.segments[name]:
        width = cut.stop - cut.start
        for row, vector in enumerate(maker.basis.vectors):
            delta = (sources[vector] - origin).narrow(cut.dim, cut.start, width)
            result.narrow(cut.dim, cut.start, width).add_(delta, alpha=genome[row, cut.block])
    return result


@pytest.mark.parametrize("base", [0, 2, None])
@pytest.mark.parametrize("granularity", ["layer", "half", "group", "tensor", "slice"])
def test_a_recipe_makes_the_weights_it_says(
    maker: Maker, base: int | None, granularity: Granularity
) -> None:
    made = maker(base, granularity)
    (genome,) = random_genomes(made, 1)
    for name, tensor in made.one(genome).items():
        torch.testing.assert_close(
            tensor.double(), slowly(made, genome, name), atol=1e-6, rtol=1e-5
        )


def numbers(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def gradient_of(made: Materialiser, slopes: dict[str, torch.Tensor]) -> np.ndarray:
    gradient = np.zeros((len(made.basis.vectors), len(made.layout.blocks)))
    for name, slope in slopes.items():
        made.add_gradient(np.zeros_like(gradient), name, slope, gradient)
    return gradient


@pytest.mark.parametrize("base", [0, 2, None])
@pytest.mark.parametrize("granularity", ["layer", "half", "group", "tensor", "slice"])
def test_the_gradient_by_a_genome_is_what_a_step_along_each_gene_gives(
    maker: Maker, base: int | None, granularity: Granularity
) -> None:
    """Weights are linear in the genome, so a step of any length tells; in fp64."""
    made = maker(base, granularity)
    (genome,) = random_genomes(made, 1)
    slopes = {
        name: numbers(number, *header.shape)
        for number, (name, header) in enumerate(made.founders[0].tensors.items())
    }

    def value(genome: np.ndarray) -> float:
        return sum(
            float((slowly(made, genome, name) * slope).sum()) for name, slope in slopes.items()
        )

    steps, here = np.zeros_like(genome), value(genome)
    for gene in np.ndindex(genome.shape):
        moved = genome.copy()
        moved[gene] += 1.0
        steps[gene] = value(moved) - here
    found = gradient_of(made, slopes)
    np.testing.assert_allclose(found, steps, atol=2e-5 * np.abs(steps).max())


def test_what_is_the_same_in_all_founders_or_no_float_has_no_gradient(tmp_path: Path) -> None:
    founders = []
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"model_type": "llama"}')
        tensors = {
            "counter": torch.arange(4),
            "frozen": numbers(0, 700),
            "learned": numbers(ord(name), 700),
        }
        save_file(tensors, tmp_path / name / "model.safetensors")
        founders.append(open_checkpoint(tmp_path / name))
    shapes = {name: header.shape for name, header in founders[0].tensors.items()}
    layout = layout_of(shapes, {}, "tensor")
    made = Materialiser(founders, Basis(("a", "b"), 0), layout)
    slopes = {name: torch.ones(shape) for name, shape in shapes.items()}
    moved = {
        layout.blocks[block].name: value for block, value in enumerate(gradient_of(made, slopes)[0])
    }
    assert moved["counter"] == moved["frozen"] == 0.0
    assert moved["learned"] != 0.0


def test_the_gradient_has_the_same_bits_however_founders_are_read(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = maker()
    slopes = {
        name: numbers(number, *header.shape)
        for number, (name, header) in enumerate(made.founders[0].tensors.items())
    }
    found = gradient_of(made, slopes)
    half = {name: slope.to(torch.bfloat16) for name, slope in slopes.items()}
    np.testing.assert_allclose(gradient_of(made, half), found, atol=0.02 * np.abs(found).max())
    monkeypatch.setattr(founder_rows, "KEEP_IN_MEMORY", 0)
    streamed = maker()
    assert np.array_equal(gradient_of(streamed, slopes), found)
    streamed._device = DeviceFounders(made.founders, made.layout.segments, torch.device("cpu"))
    on_device = gradient_of(streamed, slopes)
    np.testing.assert_allclose(on_device, found, atol=1e-5 * np.abs(found).max())


def test_a_founder_is_remade_from_its_genome(maker: Maker) -> None:
    made = maker()
    for row, founder in enumerate(made.founders):
        state = made.one(made.basis.genome_of_founder(row, len(made.layout.blocks)))
        for name in founder.tensors:
            assert torch.equal(state[name], founder.tensor(name))
        assert state_sha256(state) == founder.sha256()


def test_siblings_and_threads_do_not_change_a_bit(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = maker()
    genomes = random_genomes(made, 5)
    alone = [state_sha256(made.one(genome)) for genome in genomes]
    together = [state_sha256(state) for state in made.siblings(genomes)]
    assert together == alone
    assert len(set(alone)) == len(alone)
    flat = [genome.ravel() for genome in genomes]
    assert [state_sha256(state) for state in made.siblings(flat)] == alone
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert [state_sha256(state) for state in made.siblings(genomes)] == alone
    finally:
        torch.set_num_threads(threads)
    for count in (1, 3):
        of_threads = maker(threads=count)
        assert [state_sha256(state) for state in of_threads.siblings(genomes)] == alone
    monkeypatch.setattr(founder_rows, "KEEP_IN_MEMORY", 0)
    monkeypatch.setattr(materialise, "SIBLINGS_IN_MEMORY", 1)
    streamed = maker()
    assert streamed.batch == 1
    assert [state_sha256(state) for state in streamed.siblings(genomes)] == alone


@given(st.integers(0, 2**31), st.floats(-0.5, 1.5))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_blend_of_two_recipes_is_the_recipe_of_their_blend(
    maker: Maker, seed: int, t: float
) -> None:
    """Linear recipes compose: a child over its parents is a recipe over the founders."""
    made = maker()
    first, second = random_genomes(made, 2, seed)
    child = made.one((1 - t) * first + t * second)
    parents = made.one(first), made.one(second)
    for name, tensor in child.items():
        blend = (1 - t) * parents[0][name].double() + t * parents[1][name].double()
        torch.testing.assert_close(tensor.double(), blend, atol=1e-5, rtol=1e-4)


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_founder_weights_always_sum_to_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    founders = int(rng.integers(2, 6))
    base = None if rng.random() < 0.5 else int(rng.integers(founders))
    basis = Basis(tuple("abcdef"[:founders]), base)
    genome = rng.normal(size=(len(basis.vectors), 3))
    np.testing.assert_allclose(basis.weights(genome).sum(axis=0), 1.0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
@pytest.mark.parametrize("base", [0, 1, None])
def test_an_accelerator_makes_the_bits_that_the_compiled_loop_makes(
    make_checkpoint: Callable[..., Path], dtype: str, base: int | None
) -> None:
    """Over resident founders torch does the sums; here on the CPU, where both can be compared."""
    founders = []
    for seed, name in enumerate("abc"):
        folder = make_checkpoint(name, seed)
        AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).save_pretrained(folder)
        founders.append(open_checkpoint(folder))
    assert founders[0].dtype.name == dtype
    shapes = {name: header.shape for name, header in founders[0].tensors.items()}
    made = Materialiser(
        founders, Basis(("a", "b", "c"), base), layout_of(shapes, founders[0].config, "group")
    )
    genomes = random_genomes(made, 3)
    genomes[1][:] = 0.0
    genomes[1][0] = 1.0
    compiled = [state_sha256(state) for state in made.siblings(genomes)]
    made._device = DeviceFounders(founders, made.layout.segments, torch.device("cpu"))
    assert [state_sha256(state) for state in made.siblings(genomes)] == compiled
