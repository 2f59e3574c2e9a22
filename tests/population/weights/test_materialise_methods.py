"""Genomes of several methods: the bits of the merge engine, and their gradient."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file as save_torch

from lineage.records import Floats
from population.bred_methods import BRED_METHODS, NORMALIZED, SCE
from population.evolution.spaces.methods import DENSITIES, MethodSpace, RegionMethod
from population.merging.merge import merge
from population.merging.recipe import Blocks, Recipe, Source
from population.models.blocks import Granularity, layout_of, regions_of
from population.models.opening import open_checkpoint
from population.weights.genomes import Basis
from population.weights.materialise import Materialiser, State
from population.weights.materialise_methods import MethodMaterialiser
from population.weights.method_recipes import method_recipe
from population.weights.sparse_vectors import SparseVectors
from tests.merge_helpers import LLAMA, llama_shapes, write_llama

NAMES = ("base", "math", "chat", "code")
BASIS = Basis(NAMES, 0)
SPARSE = BRED_METHODS[1:]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Founders in bf16 and in fp64, as folders of folders."""
    root = tmp_path_factory.mktemp("methods")
    made = []
    for dtype in (torch.bfloat16, torch.float64):
        folder = root / str(dtype)
        for seed, name in enumerate(NAMES):
            write_llama(folder / name, seed=seed, layers=2)
            file = folder / name / "model.safetensors"
            with safe_open(file, framework="pt") as opened:
                tensors = {key: opened.get_tensor(key).to(dtype) for key in opened.keys()}  # noqa: SIM118
            save_torch(tensors, file)
        made.append(folder)
    return made


def maker_of(folder: Path, granularity: Granularity, **options: bool) -> MethodMaterialiser:
    founders = [open_checkpoint(folder / name) for name in NAMES]
    layout = layout_of(llama_shapes(2), LLAMA, granularity, 2)
    names = [block.name for block in layout.blocks]
    space = MethodSpace(
        4, (1, 2, 3), len(names), -1.0, 2.0, methods=BRED_METHODS, regions=regions_of(names)
    )
    return MethodMaterialiser(founders, BASIS, layout, space, threads=1, **options)


def genome_of(maker: MethodMaterialiser, *methods: str, seed: int = 0) -> Floats:
    """Random coefficients and densities; the regions take turns with the methods."""
    rng, space = np.random.default_rng(seed), maker.space
    regions = [
        RegionMethod(
            methods[region % len(methods)],
            bool(rng.integers(2)),
            int(rng.integers(3)),
            tuple(float(density) for density in rng.choice(DENSITIES, 3)),
        )
        for region in range(space.region_count)
    ]
    coefficients = rng.normal(0.3, 0.4, (3, space.blocks))
    coefficients[0, ::5] = 0.0
    return space.genome(coefficients, regions)


def recipe_of(maker: MethodMaterialiser, granularity: Granularity, genome: Floats) -> Recipe:
    sources = [Source(path=str(founder.path)) for founder in maker.founders]
    cut = Blocks(granularity=granularity, groups=2)
    return method_recipe(BASIS, maker.layout, cut, maker.space, genome, sources)


def assert_same_bits(state: State, folder: Path) -> None:
    with safe_open(folder / "model.safetensors", framework="pt") as opened:
        assert set(opened.keys()) == state.keys()
        for name, tensor in state.items():
            stored = opened.get_tensor(name)
            assert stored.dtype == tensor.dtype
            assert torch.equal(stored.view(torch.uint8), tensor.view(torch.uint8)), name


@pytest.mark.parametrize("granularity", ["half", "group", "slice"])
@pytest.mark.parametrize(
    "methods", [("linear", "ties", "dare_ties"), ("della", "breadcrumbs"), ("sce",)]
)
def test_a_genome_makes_what_the_merge_engine_makes_of_its_recipe(
    folders: list[Path],
    methods: tuple[str, ...],
    granularity: Granularity,
    tmp_path: Path,
) -> None:
    maker = maker_of(folders[0], granularity)
    genome = genome_of(maker, *methods)
    recipe = recipe_of(maker, granularity, genome)
    merge(recipe, tmp_path / "out", threads=1)
    assert_same_bits(maker.one(genome), tmp_path / "out")


@pytest.mark.parametrize("method", SPARSE)
def test_one_method_everywhere_is_one_step_of_a_recipe(
    folders: list[Path], method: str, tmp_path: Path
) -> None:
    maker = maker_of(folders[0], "half")
    space = maker.space
    everywhere = RegionMethod(method, method in NORMALIZED, 5, (0.4, 0.5, 0.6))
    genome = space.genome(np.full((3, space.blocks), 0.5), [everywhere] * space.region_count)
    recipe = recipe_of(maker, "half", genome)
    (step,) = recipe.steps
    assert step.method == method
    assert [model.parameters["weight"] for model in step.models] == [0.5] * 3
    if method == SCE:
        assert step.parameters == {"select_topk": 0.4}
    else:
        assert [model.parameters["density"] for model in step.models] == [0.4, 0.5, 0.6]
    merge(recipe, tmp_path / "out", threads=1)
    assert_same_bits(maker.one(genome), tmp_path / "out")


def test_siblings_have_the_bits_that_each_has_alone_and_linear_ones_those_of_parameter_space(
    folders: list[Path],
) -> None:
    maker = maker_of(folders[0], "slice")
    genomes = [
        genome_of(maker, "ties", "linear"),
        genome_of(maker, "linear", seed=1),
        genome_of(maker, "dare_linear", "breadcrumbs_ties", seed=2),
    ]
    together = list(maker.siblings(genomes))
    for genome, state in zip(genomes, together, strict=True):
        alone = maker.one(genome)
        assert all(torch.equal(state[name], alone[name]) for name in state)
    plain = Materialiser(maker.founders, BASIS, maker.layout)
    linear = plain.one(maker.space.coefficients(genomes[1]))
    assert all(torch.equal(together[1][name], linear[name]) for name in linear)


def test_a_founder_makes_itself(folders: list[Path]) -> None:
    maker = maker_of(folders[0], "slice")
    for number, founder in enumerate(maker.founders):
        state = maker.one(maker.space.founder(number))
        assert all(torch.equal(state[name], founder.tensor(name)) for name in state)


@pytest.mark.parametrize("method", SPARSE)
@pytest.mark.parametrize("normalize", [True, False])
def test_the_gradient_is_that_of_a_small_step_along_each_coefficient(
    folders: list[Path], method: str, normalize: bool
) -> None:
    maker = maker_of(folders[1], "half", rounded=False)
    space = maker.space
    genome = genome_of(maker, method, "linear")
    regions = [replace(one, normalize=normalize) for one in space.region_methods(genome)]
    genome = space.genome(space.coefficients(genome), regions)
    slopes = {
        name: torch.from_numpy(np.random.default_rng(n).normal(size=header.shape))
        for n, (name, header) in enumerate(maker.founders[0].tensors.items())
    }
    gradient = np.zeros_like(genome)
    for name, slope in slopes.items():
        maker.add_gradient(genome, name, slope, gradient)

    def value(genome: Floats) -> float:
        state = maker.one(genome)
        return sum(float((state[name] * slope).sum()) for name, slope in slopes.items())

    wanted, step = np.zeros_like(genome), 1e-7
    moving = np.zeros_like(genome)
    coefficients = space.coefficients(genome)
    space.coefficients(moving)[:, ::2] = coefficients[:, ::2] != 0.0
    for gene in np.flatnonzero(moving):
        moved = np.zeros_like(genome)
        moved[gene] = step
        wanted[gene] = (value(genome + moved) - value(genome - moved)) / (2 * step)
    np.testing.assert_allclose(gradient[moving > 0], wanted[moving > 0], rtol=1e-5, atol=1e-5)
    assert not gradient[space.space.structure.genes].any()
    assert space.coefficients(gradient)[coefficients == 0.0].all()  # who has no part can get one


def test_what_sce_selects_does_not_change_when_a_founder_joins(folders: list[Path]) -> None:
    """One without a weight takes no part, as the merge engine has it of a model with weight 0."""
    maker = maker_of(folders[0], "half")
    space = maker.space
    how = RegionMethod(SCE, True, 0, (0.5, 1.0))
    before = replace(space, founders=3, vectors=(1, 2))
    genome = before.genome(np.array([[0.7] * space.blocks, [0.2] * space.blocks]), [how] * 3)
    earlier = MethodMaterialiser(
        maker.founders[:3], Basis(NAMES[:3], 0), maker.layout, before, threads=1
    )
    old, new = earlier.one(genome), maker.one(genome)
    assert all(torch.equal(old[name], new[name]) for name in old)


def test_masks_are_made_once_and_no_more_are_kept_than_there_is_room_for(
    folders: list[Path],
) -> None:
    founders = [open_checkpoint(folders[0] / name) for name in NAMES]
    name, room = "lm_head.weight", 2 * 79 * 8
    vectors = SparseVectors(founders, BASIS, room)
    first = vectors.of(name, 0, "dare_ties", 0.5, 1)
    assert vectors.of(name, 0, "dare_linear", 0.5, 1) is first
    assert vectors.of(name, 0, "dare_ties", 0.5, 2) is not first
    vectors.of(name, 0, "dare_ties", 0.5, 3)  # for which the oldest makes room
    again = vectors.of(name, 0, "dare_ties", 0.5, 1)
    assert again is not first
    np.testing.assert_array_equal(again.kept, first.kept)
