"""Recipes of genomes of several methods: steps that the merge engine takes."""

from collections.abc import Sequence

import numpy as np

from lineage.records import Floats
from population.bred_methods import LINEAR, RANDOM, SCE
from population.evolution.spaces.methods import MethodSpace, RegionMethod
from population.merging.recipe import Blocks, Input, PerBlock, Recipe, Source, Step
from population.models.blocks import Layout
from population.weights.genomes import Basis, merge_step, new_names, recipe_of, recipe_over
from population.weights.method_settings import selected_share, settings_of

_Way = tuple[str, bool, int]


def method_recipe(
    basis: Basis,
    layout: Layout,
    cut: Blocks,
    space: MethodSpace,
    genome: Floats,
    sources: Sequence[Source],
) -> Recipe:
    """The recipe of a genome of several methods, over its founders.

    Its weights have the bits of `population.weights.materialise_methods`. Where all regions are
    merged in one way that is one step; otherwise each way is a step, and the last one takes from
    every step the regions that are merged so.

    Args:
        basis: the meaning of the rows of coefficients; with a base.
        layout: the meaning of their columns.
        cut: how the layout was made.
        space: the search space of the genome.
        genome: shape [genes].
        sources: the founders, in the order of the basis.
    """
    coefficients, regions = space.coefficients(genome), space.region_methods(genome)
    found = [_way_of(region) for region in regions]
    sparse = list(dict.fromkeys(way for way in found if way is not None))
    if not sparse:
        return recipe_of(basis, layout, cut, coefficients, sources)
    alone = len(set(found)) == 1
    names = ["offspring"] if alone else new_names(basis.founders, len(sparse))
    steps, inputs = [], []
    for name, way in zip(names, sparse, strict=True):
        here = np.array([found[region] == way for region in space.regions], dtype=np.float64)
        weights = coefficients * here
        steps.append(_sparse_step(name, basis, layout, cut, way, weights, space, regions))
        inputs.append(Input(model=name, parameters={"weight": _per_block(layout, here)}))
    if not alone:
        linear = np.array([found[region] is None for region in space.regions])
        plain = merge_step("offspring", basis, layout, cut, coefficients * linear)
        models = [*plain.models, *inputs] if linear.any() else inputs
        steps.append(plain.model_copy(update={"models": models}))
    return recipe_over(basis, sources, steps)


def _way_of(region: RegionMethod) -> _Way | None:
    """Method, normalisation and seed of a region, as far as they matter; None: merged linearly."""
    if region.method == LINEAR:
        return None
    seed = region.seed if region.method in RANDOM else 0
    return region.method, region.normalize or region.method == SCE, seed


def _sparse_step(
    name: str,
    basis: Basis,
    layout: Layout,
    cut: Blocks,
    way: _Way,
    coefficients: Floats,
    space: MethodSpace,
    regions: Sequence[RegionMethod],
) -> Step:
    """The step that merges sparsified task vectors by coefficients of shape (vectors, blocks)."""
    method, normalize, seed = way
    assert basis.base is not None
    models: list[Input] = []
    shared: dict[str, PerBlock | float | bool] = {"normalize": normalize}
    if method == SCE:
        shares = np.array([selected_share(region.densities) for region in regions])
        shared = {"select_topk": _per_block(layout, shares[space.regions])}
    for row, founder in enumerate(basis.vectors):
        of_region = [settings_of(method, region.densities[row]) for region in regions]
        settings = {
            setting: np.array([of_region[region][setting] for region in space.regions])
            for setting in of_region[0]
        }
        models.append(
            Input(
                model=basis.founders[founder],
                parameters={
                    setting: _per_block(layout, values)
                    for setting, values in {"weight": coefficients[row], **settings}.items()
                },
            )
        )
    return Step(
        name=name,
        method=method,
        base=basis.founders[basis.base],
        models=models,
        parameters=shared,
        blocks=cut,
        seed=seed,
    )


def _per_block(layout: Layout, values: Floats) -> PerBlock | float:
    """A value for each block; one for all where they are the same."""
    if np.all(values == values[0]):
        return float(values[0])
    names = [block.name for block in layout.blocks]
    return PerBlock(blocks=dict(zip(names, values.tolist(), strict=True)))
