"""Both search spaces at once: models merged from weights, and paths through layers of these too.

"Evolutionary Optimization of Model Merging Recipes" (arXiv 2403.13187, section 3.3) searches one
space and then the other. Here a genome holds coefficients and a path together, so the two can fit
each other: founders are merged by the coefficients into one or a few models, and these stand behind
the founders in the row of sources whose layers a path goes through.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lineage.records import Floats
from population.errors import PopulationError
from population.evolution.spaces.flow import FlowSpace, sources_used
from population.evolution.spaces.initial_genomes import initial_merges
from population.evolution.spaces.space import InitialGenome, Space
from population.merging.routes import Route

COEFFICIENT_STEP = 1.0
"""Mutation is measured in units of a coefficient."""


@dataclass(frozen=True)
class BothSpace:
    """Founders merged in parameter space, and routes through the layers of founders and merges.

    A genome has shape (models * vectors * blocks + flow genes,): for each merged model its
    coefficients, row after row, and then the genes of the route.

    Attributes:
        vectors: for each row of coefficients the founder whose task vector it scales, see
            `population.weights.genomes.Basis`.
        blocks: columns of coefficients.
        low: the smallest coefficient.
        high: the largest.
        flow: over the layers of all founders, and after them of the merged models.
        models: how many of the sources of `flow`, the last ones, are merged models.

    Raises:
        PopulationError: there is no such space.
    """

    vectors: tuple[int, ...]
    blocks: int
    low: float
    high: float
    flow: FlowSpace
    models: int = 1

    def __post_init__(self) -> None:
        if self.models < 1 or self.founders <= max(self.vectors, default=0):
            raise PopulationError(
                f"expected {self.models} merged models behind the founders, one at least; there "
                f"are {len(self.flow.layers)} sources of layers in all"
            )

    @property
    def founders(self) -> int:
        """How many sources are founders; the first merged model has this number."""
        return len(self.flow.layers) - self.models

    @property
    def coefficients(self) -> int:
        """Genes before those of the route."""
        return self.models * len(self.vectors) * self.blocks

    @cached_property
    def space(self) -> Space:
        """Bounds and kinds of the genes.

        A block of coefficients is one column of one merged model, see `ParameterSpace`; the blocks
        of the route come after them.
        """
        count, flow = self.coefficients, self.flow.space
        columns = np.arange(self.models * self.blocks).reshape(self.models, 1, self.blocks)
        block = np.broadcast_to(columns, (self.models, len(self.vectors), self.blocks)).ravel()
        return Space(
            low=np.concatenate([np.full(count, self.low), flow.low]),
            high=np.concatenate([np.full(count, self.high), flow.high]),
            block=np.concatenate([block, flow.block + self.models * self.blocks]),
            step=np.concatenate([np.full(count, COEFFICIENT_STEP), flow.step]),
            integer=np.concatenate([np.zeros(count, dtype=bool), flow.integer]),
        )

    def merged(self, genome: Floats) -> Floats:
        """The coefficients of a genome's merged models, shape (models, vectors, blocks).

        Args:
            genome: shape (genes,).
        """
        shape = (self.models, len(self.vectors), self.blocks)
        return genome[: self.coefficients].reshape(shape)

    def route(self, genome: Floats) -> Route:
        """The route of a genome (genes,); merged models are numbered after the founders."""
        return self.flow.route(genome[self.coefficients :])

    def founder(self, number: int) -> Floats:
        """The genome that makes a founder itself, shape (genes,).

        Its merged models are not used, and are that founder too: when chance adds a layer of one to
        the path, coefficients are where they should start from.
        """
        merged = np.zeros((self.models, len(self.vectors), self.blocks))
        merged[:, [vector == number for vector in self.vectors]] = 1.0
        return np.concatenate([merged.ravel(), self.flow.founder(number)])

    def repaired(self, genomes: Floats) -> Floats:
        """The genomes nearby that are valid: coefficients in bounds, routes as in `FlowSpace`.

        Args:
            genomes: shape (..., genes).
        """
        repaired = self.space.repaired(genomes)
        repaired[..., self.coefficients :] = self.flow.repaired(repaired[..., self.coefficients :])
        return repaired

    def outside(self, genome: Floats, base: int) -> int:
        """The source that gives what belongs to no layer.

        Of a route through one source alone it is that source; else the first merged model whose
        layers the route takes, which has the embeddings of all in it; else `base`.

        Args:
            genome: shape (genes,).
            base: number of the base.
        """
        used = sources_used(self.route(genome))
        if len(used) == 1:
            return used[0]
        return next((source for source in used if source >= self.founders), base)

    def initial_genomes(self, rng: np.random.Generator, size: int) -> list[InitialGenome]:
        """Merges as they are, and routes as of `FlowSpace` with merges among their sources.

        Half of each, as far as there are so many. Sources are founders; a merge mixes those that it
        is made of.

        Args:
            rng: for this use alone.
            size: how many.
        """
        rows = len(self.vectors)
        merges = initial_merges(
            rng, rows, self.blocks, size * self.models, base=rows < self.founders
        )
        rng.shuffle(merges)
        alone = InitialGenome("", self.flow.founder(self.founders), (self.founders,))
        routes = self.flow.initial_genomes(rng, size // 2)
        genomes: list[InitialGenome] = []
        for number in range(size):
            group = [merges.pop() for _ in range(self.models)]
            path = (
                routes[number] if number < len(routes) else alone._replace(method=group[0].method)
            )
            genes = [*(merge.genes.ravel() for merge in group), path.genes]
            mixed = self._mixed(path.sources, [merge.sources for merge in group])
            genomes.append(InitialGenome(path.method, self.repaired(np.concatenate(genes)), mixed))
        return genomes

    def _mixed(self, used: Sequence[int], rows: Sequence[Sequence[int]]) -> tuple[int, ...]:
        """The founders in some sources, given the rows of coefficients that each merge has."""
        mixed = {source for source in used if source < self.founders}
        for source in used:
            if source >= self.founders:
                mixed |= {self.vectors[row] for row in rows[source - self.founders]}
        return tuple(sorted(mixed))
