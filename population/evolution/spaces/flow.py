"""Paths through the layers of several models: merging in data-flow space.

The search space of "Evolutionary Optimization of Model Merging Recipes" (arXiv 2403.13187, section
3.2). The layers of all sources stand in a row, source after source, and the row is repeated; each
place in it is a slot. A genome says of each slot whether the route takes it, and by how much the
stream is scaled before it enters.

The paper scales by a matrix W, one number for each pair of layers that may follow each other. Here
a scale belongs to the slot that is entered, wherever the stream comes from: two genes for each slot
instead of `layers ** 2`. Nothing that W can say of a route is lost, because a route takes a slot
once and comes to it from one place only; what differs is that a scale stays as it is when the layer
before it changes, and that a layer may have another one in each repeat.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lineage.records import Floats
from population.errors import PopulationError
from population.evolution.spaces.space import InitialGenome, Space
from population.merging.routes import Route, RouteStep, from_indicators

SCALE_STEP = 0.1
"""A small change of a scale; what a route of many layers multiplies up should stay near 1."""

MAX_SCALE_PRODUCT = 1e28
"""Scales that multiply to more, or to less than its inverse, are drawn in to that: weights could
not hold the quotient (see `Route`)."""

ATTEMPTS = 50
"""Draws for each genome of the first population, many of which may be no genome of this space."""

KINDS = ("frankenmerge", "repeat", "stack", "insert", "toggle")
"""What a first population is made of, see `FlowSpace.initial_genomes`."""


@dataclass(frozen=True)
class FlowSpace:
    """Routes through the layers of some sources.

    A genome has shape (2 * slots,): for each slot its indicator, 0 or 1, and its scale. The scale
    of a slot that is left out does not matter.

    Attributes:
        layers: the number of layers of each source.
        repeats: how often the row of all layers is repeated. With 1, a route takes each layer once
            at most, and those of an earlier source first.
        longest: layers that a route may have; None is as many as there are slots.
        scales: the smallest scale and the largest; (1, 1) searches paths alone.

    Raises:
        PopulationError: there is no such space.
    """

    layers: tuple[int, ...]
    repeats: int = 1
    longest: int | None = None
    scales: tuple[float, float] = (0.5, 1.5)

    def __post_init__(self) -> None:
        if not self.layers or min(self.layers) < 1:
            raise PopulationError(f"expected sources with layers, got {self.layers}")
        if self.repeats < 1:
            raise PopulationError(f"expected one repeat at least, got {self.repeats}")
        if not 0 < self.scales[0] <= 1 <= self.scales[1] < MAX_SCALE_PRODUCT:
            raise PopulationError(
                f"expected positive scales around 1, got {self.scales[0]} to {self.scales[1]}"
            )
        if self.limit < max(self.layers):
            raise PopulationError(
                f"routes of {self.longest} layers at most leave no room for a source of "
                f"{max(self.layers)}"
            )

    @property
    def slots(self) -> int:
        """How many slots there are."""
        return sum(self.layers) * self.repeats

    @property
    def limit(self) -> int:
        """How many layers a route may have."""
        return self.slots if self.longest is None else self.longest

    @cached_property
    def space(self) -> Space:
        """Bounds and kinds of the genes; the two genes of a slot are a block."""
        low, high = self.scales
        indicator = np.tile([True, False], self.slots)
        return Space(
            low=np.where(indicator, 0.0, low),
            high=np.where(indicator, 1.0, high),
            block=np.repeat(np.arange(self.slots), 2),
            step=np.where(indicator, 1.0, SCALE_STEP),
            integer=indicator,
        )

    def route(self, genome: Floats) -> Route:
        """The route of a genome of shape (genes,).

        Raises:
            RecipeError: it is no route; what `repaired` returns always is.
        """
        indicators, scales = genome.reshape(-1, 2).T
        return from_indicators(
            indicators.tolist(), self.layers, self.repeats, scales=scales.tolist()
        )

    def genome(self, route: Route) -> Floats | None:
        """The genome of a route, which takes each layer from the first slot where it can be had.

        Returns:
            Shape (genes,), or None if this space has no such route: it would take more repeats, or
            is too long.
        """
        genome = self._empty()
        row, slot = sum(self.layers), -1
        for step in route.steps:
            place = sum(self.layers[: step.model]) + step.layer
            slot += 1 + (place - slot - 1) % row
            if slot >= self.slots:
                return None
            genome[2 * slot : 2 * slot + 2] = 1.0, step.scale
        return genome if len(route.steps) <= self.limit else None

    def founder(self, number: int) -> Floats:
        """The genome that makes source `number` itself, shape (genes,): its layers, unscaled."""
        genome = self.genome(self._all_layers(number))
        assert genome is not None  # every source fits, see `__post_init__`
        return genome

    def repaired(self, genomes: Floats) -> Floats:
        """The genomes nearby that are routes.

        Genes are brought inside their bounds and rounded. Then a genome without any layer takes
        those of the first source, in the first row. One with too many is thinned out evenly: the
        first layer and the last stay, which read the embeddings and feed the head, and a single one
        too many is lost in the middle, far from both. Scales that multiply to what weights cannot
        hold are drawn towards 1, all by the same power.

        Args:
            genomes: shape (..., genes).
        """
        repaired = self.space.repaired(genomes)
        for genome in repaired.reshape(-1, self.space.genes):
            self._repair(genome.reshape(-1, 2))
        return repaired

    def _repair(self, slots: Floats) -> None:
        """Repair a genome of shape (slots, 2) in place."""
        taken = np.flatnonzero(slots[:, 0])
        if not len(taken):
            taken = np.arange(self.layers[0])
        elif len(taken) > self.limit:
            taken = taken[np.rint(np.linspace(0, len(taken) - 1, self.limit)).astype(int)]
        slots[:, 0] = 0.0
        slots[taken, 0] = 1.0
        furthest = np.abs(np.cumsum(np.log(slots[taken, 1]))).max()
        if (
            furthest > np.log(MAX_SCALE_PRODUCT) + 1
        ):  # well within what `Route` takes, and never twice
            slots[taken, 1] **= np.log(MAX_SCALE_PRODUCT) / furthest

    def outside(self, genome: Floats, base: int) -> int:
        """The source that gives what belongs to no layer: embeddings, last norm, head.

        Of a route through the layers of one source alone it is that source, so that a founder is
        itself; of any other it is `base`, whose embeddings all others were trained from.

        Args:
            genome: shape (genes,).
            base: number of the base.
        """
        used = sources_used(self.route(genome))
        return used[0] if len(used) == 1 else base

    def initial_genomes(self, rng: np.random.Generator, size: int) -> list[InitialGenome]:
        """Routes that people try by hand, in equal parts, as far as this space has them.

        Two sources cut at the same depth (frankenmerge), a layer repeated, one source stacked on
        another, a layer of one inserted into another, and founders with random changes (toggle).

        Args:
            rng: for this use alone.
            size: how many; fewer are returned only if there are hardly any more.
        """
        routes: list[InitialGenome] = []
        seen = {self.founder(source).tobytes() for source in range(len(self.layers))}
        for attempt in range(ATTEMPTS * size):
            kind = KINDS[attempt % len(KINDS)]
            genome = self._drawn(rng, kind)
            if genome is None or genome.tobytes() in seen:
                continue
            seen.add(genome.tobytes())
            routes.append(InitialGenome(kind, genome, sources_used(self.route(genome))))
            if len(routes) >= size:
                break
        return routes

    def _drawn(self, rng: np.random.Generator, kind: str) -> Floats | None:
        """A genome of a kind for the first population, or None if the draw was in vain."""
        one = int(rng.integers(len(self.layers)))
        others = [source for source in range(len(self.layers)) if source != one]
        own = self._all_layers(one).steps
        other = self._all_layers(int(rng.choice(others or [one]))).steps
        if kind == "toggle":
            return self._toggled(rng, one)
        if kind == "frankenmerge":
            cut = int(rng.integers(1, max(2, min(len(own), len(other)))))
            steps = own[:cut] + other[cut:]
        elif kind == "repeat":
            layer = int(rng.integers(len(own)))
            steps = own[: layer + 1] + own[layer:]
        elif kind == "stack":
            steps = own + other
        else:
            place, guest = int(rng.integers(len(own) + 1)), int(rng.integers(len(other)))
            steps = (*own[:place], other[guest], *own[place:])
        return self.genome(Route(steps))

    def _toggled(self, rng: np.random.Generator, source: int) -> Floats:
        """A source with a slot or two toggled and its scales a little changed."""
        slots = self.founder(source).reshape(-1, 2)
        flipped = rng.choice(self.slots, size=min(self.slots, int(rng.integers(1, 3))))
        slots[flipped, 0] = 1 - slots[flipped, 0]
        slots[:, 1] += SCALE_STEP * rng.standard_normal(self.slots)
        return self.repaired(slots.ravel())

    def _all_layers(self, source: int) -> Route:
        return Route(tuple(RouteStep(source, layer) for layer in range(self.layers[source])))

    def _empty(self) -> Floats:
        """The genome that takes no slot."""
        return np.tile([0.0, 1.0], self.slots)


def sources_used(route: Route) -> tuple[int, ...]:
    """The sources whose layers a route takes, in order of their numbers."""
    return tuple(sorted({step.model for step in route.steps}))
