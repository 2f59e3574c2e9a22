"""Genomes in parameter space, and the recipes of genomes.

A genome gives each task vector a coefficient in each block, so a model is

    weights = base + sum over founders f of genome[f, block] * (f - base)

(task arithmetic, Ilharco et al. 2023, arXiv 2212.04089, with a scale for each block). Without a
base among the founders their average takes its place and every founder has a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from lineage.records import Floats
from population.errors import RecipeError
from population.evolution.spaces.both import BothSpace
from population.evolution.spaces.flow import FlowSpace, sources_used
from population.merging.recipe import (
    Blocks,
    Choice,
    Input,
    Parameters,
    PerBlock,
    Recipe,
    Source,
    Step,
)
from population.models.blocks import Layout, name_filters


@dataclass(frozen=True)
class Basis:
    """The axes of a genome.

    Attributes:
        founders: names of the founders.
        base: index of the base among them, or None.
    """

    founders: tuple[str, ...]
    base: int | None

    @property
    def vectors(self) -> tuple[int, ...]:
        """For each row of a genome, the index of the founder whose task vector it scales."""
        return tuple(i for i in range(len(self.founders)) if i != self.base)

    def weights(self, genome: Floats) -> Floats:
        """The founders' weights per block for a genome.

        >>> Basis(("base", "math"), base=0).weights(np.array([[0.25, 1.0]])).tolist()
        [[0.75, 0.0], [0.25, 1.0]]

        Args:
            genome: shape [vectors, blocks].

        Returns:
            Shape [founders, blocks]; columns sum to 1.
        """
        weights = np.zeros((len(self.founders), genome.shape[1]))
        weights[list(self.vectors)] = genome
        rest = 1.0 - genome.sum(axis=0)
        if self.base is None:
            weights += rest / len(self.founders)
        else:
            weights[self.base] += rest
        return weights

    def gradient(self, by_weights: Floats) -> Floats:
        """The gradient by a genome, from the gradient by the founders' weights (chain rule).

        >>> Basis(("base", "math"), base=0).gradient(np.array([[2.0, 0.0], [5.0, 1.0]])).tolist()
        [[3.0, 1.0]]

        Args:
            by_weights: shape [founders, blocks], see `weights`.

        Returns:
            Shape [vectors, blocks].
        """
        rest = by_weights.mean(axis=0) if self.base is None else by_weights[self.base]
        return np.asarray(by_weights[list(self.vectors)] - rest)

    def genome_of_founder(self, founder: int, blocks: int) -> Floats:
        """The genome of a founder itself: 1 on its own task vector, 0 elsewhere.

        Args:
            founder: its index.
            blocks: how many blocks there are.

        Returns:
            Shape [vectors, blocks].
        """
        genome = np.zeros((len(self.vectors), blocks))
        if founder != self.base:
            genome[self.vectors.index(founder)] = 1.0
        return genome


def recipe_of(
    basis: Basis, layout: Layout, cut: Blocks, genome: Floats, sources: Sequence[Source]
) -> Recipe:
    """The recipe of a genome, over its founders.

    Args:
        basis: the meaning of the genome's rows.
        layout: the meaning of its columns.
        cut: how the layout was made.
        genome: shape [vectors, blocks].
        sources: the founders, in the order of the basis.
    """
    step = merge_step("offspring", basis, layout, cut, genome)
    return recipe_over(basis, sources, [step])


def route_recipe(
    basis: Basis,
    layout: Layout,
    cut: Blocks,
    space: FlowSpace | BothSpace,
    genome: Floats,
    sources: Sequence[Source],
) -> Recipe:
    """The recipe of a genome that is a route: the merged models that it uses, then the route.

    Its weights have the bits of `population.weights.materialise_routes`: a merged model is a step
    of its own, but the merge engine rounds only what it writes, so not before the layers are
    scaled.

    Args:
        basis: the founders, and the meaning of the rows of coefficients.
        layout: the meaning of the columns of coefficients.
        cut: how the layout was made.
        space: the search space of the genome.
        genome: shape [genes].
        sources: the founders, in the order of the basis.
    """
    route = space.route(genome)
    outside = space.outside(genome, basis.base or 0)
    # What belongs to no layer comes from the model that is listed first.
    used = [outside, *(source for source in sources_used(route) if source != outside)]
    merged: dict[int, Floats] = {}
    if isinstance(space, BothSpace):
        merged = dict(enumerate(space.merged(genome), len(basis.founders)))
    names = [*basis.founders, *new_names(basis.founders, len(merged))]
    steps = [
        merge_step(names[source], basis, layout, cut, coefficients)
        for source, coefficients in merged.items()
        if source in used
    ]
    steps.append(
        Step(
            name="offspring",
            method="route",
            models=[Input(model=names[source]) for source in used],
            path=[(used.index(step.model), step.layer, step.scale) for step in route.steps],
        )
    )
    return recipe_over(basis, sources, steps)


def merge_step(name: str, basis: Basis, layout: Layout, cut: Blocks, genome: Floats) -> Step:
    """The step that merges founders by coefficients of shape (vectors, blocks)."""
    blocks = [block.name for block in layout.blocks]
    weights = basis.weights(genome)
    # Without a base, differences are taken to the first founder, even if it weighs nothing itself.
    origin = 0 if basis.base is None else None
    merged = [f for f in basis.vectors if f == origin or np.any(weights[f])] or [basis.vectors[0]]
    models = [
        Input(
            model=basis.founders[founder],
            parameters={
                "weight": PerBlock(blocks=dict(zip(blocks, weights[founder].tolist(), strict=True)))
            },
        )
        for founder in merged
    ]
    base = None if basis.base is None else basis.founders[basis.base]
    return Step(
        name=name,
        method="linear" if base is None else "task_arithmetic",
        base=base,
        models=models,
        parameters={"normalize": False},
        blocks=cut,
    )


def recipe_over(basis: Basis, sources: Sequence[Source], steps: list[Step]) -> Recipe:
    """A recipe over those founders that its steps use."""
    used = {name for step in steps for name in step.uses()}
    return Recipe(
        sources={
            name: source
            for name, source in zip(basis.founders, sources, strict=True)
            if name in used
        },
        steps=steps,
    )


def new_names(taken: Sequence[str], count: int) -> list[str]:
    """Names for merged models that no founder has."""
    candidates = (f"merged {number}" for number in range(count + len(taken)))
    return list(islice((name for name in candidates if name not in taken), count))


def _differs_by_block(step: Step) -> bool:
    sets = [step.parameters, *(model.parameters for model in step.models)]
    return any(isinstance(value, PerBlock) for own in sets for value in own.values())


def with_filters(recipe: Recipe, layout: Layout) -> Recipe:
    """The same recipe with values per tensor name instead of per block, as mergekit's filters.

    A recipe without blocks stays as it is, and so does one of several steps, which mergekit cannot
    express.

    Raises:
        RecipeError: values differ within tensors.
    """
    if len(recipe.steps) > 1 or recipe.steps[0].blocks is None:
        return recipe
    filters = name_filters(layout)
    if filters is None and not _differs_by_block(recipe.steps[0]):
        filters = {}
    if filters is None:
        raise RecipeError(
            "mergekit cannot cut within tensors, as these blocks do; export the recipe as JSON"
        )
    (step,) = recipe.steps

    def with_choices(parameters: Parameters) -> Parameters:
        return {
            name: [
                Choice(filter=text, value=value.blocks[block])
                for block, texts in filters.items()
                for text in texts
            ]
            if isinstance(value, PerBlock)
            else value
            for name, value in parameters.items()
        }

    models = [
        model.model_copy(update={"parameters": with_choices(model.parameters)})
        for model in step.models
    ]
    step = step.model_copy(update={"models": models, "blocks": None})
    return recipe.model_copy(update={"steps": [step]})
