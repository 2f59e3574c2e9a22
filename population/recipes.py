"""Genomes: what they mean, and the recipes that they stand for.

A genome gives each task vector a coefficient in each block, so a model is

    weights = base + sum over founders f of genome[f, block] * (f - base)

(task arithmetic, Ilharco et al. 2023, arXiv 2212.04089, with a scale for each block). Without a
base among the founders their average takes its place and every founder has a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lineage.records import Floats
from population.blocks import Layout, filters
from population.errors import RecipeError
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
        """The founders' weights per block for a genome: shape (founders, blocks), columns sum to 1.

        Args:
            genome: shape (vectors, blocks).
        """
        weights = np.zeros((len(self.founders), genome.shape[1]))
        weights[list(self.vectors)] = genome
        rest = 1.0 - genome.sum(axis=0)
        if self.base is None:
            weights += rest / len(self.founders)
        else:
            weights[self.base] += rest
        return weights

    def genome_of_founder(self, founder: int, blocks: int) -> Floats:
        """The genome that makes a founder itself: 1 on its own task vector, 0 elsewhere."""
        genome = np.zeros((len(self.vectors), blocks))
        if founder != self.base:
            genome[self.vectors.index(founder)] = 1.0
        return genome


def recipe_of(
    basis: Basis, layout: Layout, cut: Blocks, genome: Floats, sources: Sequence[Source]
) -> Recipe:
    """The recipe of a genome, over its founders.

    Args:
        basis: what the rows of the genome mean.
        layout: what its columns mean.
        cut: how the layout was made.
        genome: shape (vectors, blocks).
        sources: the founders, in the order of the basis.
    """
    names = [block.name for block in layout.blocks]
    weights = basis.weights(genome)
    merged = [founder for founder in basis.vectors if np.any(weights[founder])] or [
        basis.vectors[0]
    ]
    models = [
        Input(
            model=basis.founders[founder],
            parameters={
                "weight": PerBlock(blocks=dict(zip(names, weights[founder].tolist(), strict=True)))
            },
        )
        for founder in merged
    ]
    base = None if basis.base is None else basis.founders[basis.base]
    step = Step(
        name="offspring",
        method="linear" if base is None else "task_arithmetic",
        base=base,
        models=models,
        parameters={"normalize": False},
        blocks=cut,
    )
    used = set(step.uses())
    return Recipe(
        sources={
            name: source
            for name, source in zip(basis.founders, sources, strict=True)
            if name in used
        },
        steps=[step],
    )


def with_filters(recipe: Recipe, layout: Layout) -> Recipe:
    """The same recipe with its blocks named by tensor names, as mergekit's filters do.

    Raises:
        RecipeError: blocks cut within tensors.
    """
    found = filters(layout)
    if found is None:
        raise RecipeError(
            "mergekit cannot cut within tensors, as these blocks do; export the recipe as JSON"
        )
    (step,) = recipe.steps

    def plain(parameters: Parameters) -> Parameters:
        return {
            name: [
                Choice(filter=text, value=value.blocks[block])
                for block, texts in found.items()
                for text in texts
            ]
            if isinstance(value, PerBlock)
            else value
            for name, value in parameters.items()
        }

    models = [
        model.model_copy(update={"parameters": plain(model.parameters)}) for model in step.models
    ]
    step = step.model_copy(update={"models": models, "blocks": None})
    return recipe.model_copy(update={"steps": [step]})
