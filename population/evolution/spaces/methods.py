"""Merging by several methods: coefficients as in parameter space, and what methods make of them.

Weights of a `ParameterSpace` are the base plus task vectors times coefficients. TIES, DARE, DELLA
and breadcrumbs do the same with task vectors that they sparsified first, and may then elect signs.
So a genome has a structure beside its coefficients: for each region (a layer, or what belongs to
no layer) a method, whether it normalises and its seed, and the density of every task vector there.
SCE selects elements of all task vectors together: the density of the first is the share of them.
Given the structure, weights are linear in the coefficients, or nearly so, and have a gradient; the
structure itself is for evolution alone.

Searches of these parameters: arXiv 2403.13187, section 3.1 (DARE-TIES, a weight and a density for
each model and layer, by CMA-ES), and mergekit-evolve.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lineage.records import Floats
from population.bred_methods import BRED_METHODS, LINEAR, NORMALIZED, RANDOM, SCE
from population.errors import PopulationError
from population.evolution.spaces.parameter import ParameterSpace
from population.evolution.spaces.space import Booleans, InitialGenome, Integers, Space, Structure

Numbers = npt.NDArray[Any]

DENSITIES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""What densities may be; genomes hold places in this row. So few that masks can be kept."""

SEEDS = 16
"""Random masks differ by seed: 0, 1, ..."""

PER_REGION = 3
"""Genes of a region beside its densities: method, whether it normalises, seed."""

STANDARD_DENSITY, STANDARD_WEIGHT = 0.5, 0.5
"""Of the standard merge of a method; where weights are normalised, that one is 1."""


@dataclass(frozen=True)
class RegionMethod:
    """How a region of a model is merged.

    Attributes:
        method: its name.
        normalize: whether the sum is divided by the weights that took part.
        seed: of its random masks.
        densities: of the task vectors, shape (vectors,).
    """

    method: str
    normalize: bool
    seed: int
    densities: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        """What matters of it, as `--json` prints it."""
        if self.method == LINEAR:
            return {"method": LINEAR}
        if self.method == SCE:
            return {"method": SCE, "select_topk": self.densities[0]}
        settings = {"normalize": self.normalize, "densities": list(self.densities)}
        seed = {"seed": self.seed} if self.method in RANDOM else {}
        return {"method": self.method, **settings, **seed}


@dataclass(frozen=True, kw_only=True)
class MethodSpace(ParameterSpace):
    """Founders merged by their coefficients and by methods that differ from region to region.

    A genome has shape (genes,): method, normalisation and seed of each region; then for each task
    vector its coefficients in all blocks and its densities in all regions. A founder that joins
    adds genes at the end: genomes from before are read as if they had zeros there.

    Attributes:
        methods: those that offspring may have.
        regions: the region of each block, shape (blocks,), numbered from 0.

    Raises:
        PopulationError: there is no such method.
    """

    methods: tuple[str, ...]
    regions: Integers

    def __post_init__(self) -> None:
        if not self.methods or not set(self.methods) <= set(BRED_METHODS):
            raise PopulationError(
                f"expected methods among {', '.join(BRED_METHODS)}, got {', '.join(self.methods)}"
            )

    @property
    def region_count(self) -> int:
        """How many regions there are."""
        return int(self.regions.max()) + 1

    @property
    def _header(self) -> int:
        return PER_REGION * self.region_count

    @cached_property
    def space(self) -> Space:
        """Bounds of the genes. Coefficients have the blocks of a `ParameterSpace`."""
        regions, vectors, plain = self.region_count, len(self.vectors), self._linear.space
        of_regions = self.blocks + np.arange(regions)
        most = np.array([len(BRED_METHODS) - 1, 1, SEEDS - 1], dtype=np.float64)
        row = self.blocks + regions
        genes = self._header + vectors * row
        structural = np.ones(genes, dtype=bool)
        rows = structural[self._header :].reshape(vectors, row)
        rows[:, : self.blocks] = False
        (places,) = np.nonzero(structural)
        codes = [float(BRED_METHODS.index(method)) for method in sorted(self.methods, key=_code)]
        names = [codes, [0.0, 1.0], [float(seed) for seed in range(SEEDS)]]
        grades = [float(grade) for grade in range(len(DENSITIES))]
        values = [*names * regions, *[grades] * (regions * vectors)]
        return Space(
            low=self._joined(np.zeros(self._header), plain.low, np.zeros(regions)),
            high=self._joined(
                np.tile(most, regions), plain.high, np.full(regions, len(DENSITIES) - 1.0)
            ),
            block=self._joined(
                of_regions.repeat(PER_REGION), plain.block, of_regions.astype(np.int64)
            ),
            # An evolution strategy tries other densities, but no other names.
            step=self._joined(np.zeros(self._header), plain.step, np.ones(regions)),
            integer=structural,
            levels=tuple(self._with_own_groups(level, structural) for level in plain.levels),
            structure=Structure(
                places,
                tuple(tuple(own) for own in values),
                np.arange(len(places)) >= self._header,
            ),
        )

    def _joined(self, header: Numbers, coefficients: Numbers, of_row: Numbers) -> Numbers:
        """One array of all genes, shape (genes,), from those of a kind each.

        Args:
            header: shape (regions * PER_REGION,).
            coefficients: shape (vectors * blocks,).
            of_row: of the densities of one task vector, shape (regions,).
        """
        rows = coefficients.reshape(len(self.vectors), self.blocks)
        densities = np.broadcast_to(of_row, (len(rows), self.region_count))
        return np.concatenate([header, np.concatenate([rows, densities], axis=1).ravel()])

    def _with_own_groups(self, level: Integers, structural: Booleans) -> Integers:
        groups = np.empty(len(structural), dtype=np.int64)
        groups[~structural] = level
        groups[structural] = level.max() + 1 + np.arange(int(structural.sum()))
        return groups

    def _rows(self, genome: Floats) -> Floats:
        """Coefficients and densities, shape (vectors, blocks + regions): a view if it is whole."""
        size = self._header + len(self.vectors) * (self.blocks + self.region_count)
        whole = np.pad(genome, (0, size - len(genome))) if len(genome) < size else genome
        return whole[self._header :].reshape(len(self.vectors), -1)

    def coefficients(self, genome: Floats) -> Floats:
        """The coefficients of a genome, shape (vectors, blocks): a view if it is whole."""
        return self._rows(genome)[:, : self.blocks]

    def region_methods(self, genome: Floats) -> tuple[RegionMethod, ...]:
        """How a genome of shape (genes,) merges each region."""
        names = np.rint(genome[: self._header].reshape(-1, PER_REGION)).astype(int)
        grades = np.rint(self._rows(genome)[:, self.blocks :]).astype(int).T
        return tuple(
            RegionMethod(
                BRED_METHODS[method],
                bool(normalize),
                int(seed),
                tuple(DENSITIES[grade] for grade in own),
            )
            for (method, normalize, seed), own in zip(names, grades, strict=True)
        )

    def genome(self, coefficients: Floats, regions: Sequence[RegionMethod]) -> Floats:
        """The genome of coefficients and methods, shape (genes,).

        Args:
            coefficients: shape (vectors, blocks).
            regions: the method of each; its densities are of `DENSITIES`.
        """
        names = [(BRED_METHODS.index(one.method), one.normalize, one.seed) for one in regions]
        grades = np.array(
            [[DENSITIES.index(density) for density in one.densities] for one in regions]
        )
        rows = np.concatenate([coefficients, grades.T], axis=1)
        return np.concatenate([np.array(names, dtype=np.float64).ravel(), rows.ravel()])

    def founder(self, number: int) -> Floats:
        """The genome that makes a founder itself: it is linear, whatever methods there are.

        Args:
            number: of the founder, from 0.

        Returns:
            Shape [genes].
        """
        coefficients = super().founder(number).reshape(len(self.vectors), self.blocks)
        return self.genome(coefficients, [self._plain(LINEAR)] * self.region_count)

    def repaired(self, genomes: Floats) -> Floats:
        """The nearest genomes inside the bounds, of methods that offspring may have.

        Args:
            genomes: shape (..., genes).
        """
        repaired = super().repaired(genomes)
        codes = repaired[..., : self._header : PER_REGION]
        allowed = [_code(method) for method in self.methods]
        codes[...] = np.where(np.isin(codes, allowed), codes, allowed[0])
        return repaired

    def initial_genomes(self, rng: np.random.Generator, size: int) -> list[InitialGenome]:
        """The merges of a `ParameterSpace`, every other one of random mixtures by some method.

        Before them comes a standard merge of every method, which bears its name.

        Args:
            rng: for this use alone.
            size: how many at least.
        """
        shape, regions = (len(self.vectors), self.blocks), self.region_count
        others = [method for method in self.methods if method != LINEAR]
        genomes = []
        for method in others:
            weight = 1.0 if method in NORMALIZED else STANDARD_WEIGHT
            genes = self.genome(np.full(shape, weight), [self._plain(method)] * regions)
            genomes.append(InitialGenome(method, self.repaired(genes), self.vectors))
        for number, merge in enumerate(self._linear.initial_genomes(rng, size)):
            drawn = number % 2 == 0 and merge.method == "mixture"
            how = self._plain(LINEAR)
            if drawn or LINEAR not in self.methods:
                how = replace(
                    self._plain(str(rng.choice(others))),
                    seed=int(rng.integers(SEEDS)),
                    densities=(float(rng.choice(DENSITIES)),) * len(self.vectors),
                )
            genes = self.genome(merge.genes.reshape(shape), [how] * regions)
            genomes.append(merge._replace(genes=self.repaired(genes)))
        return genomes

    @cached_property
    def _linear(self) -> ParameterSpace:
        """The same without methods."""
        return ParameterSpace(
            self.founders, self.vectors, self.blocks, self.low, self.high, self.levels
        )

    def _plain(self, method: str) -> RegionMethod:
        """A method with its usual settings."""
        density = 1.0 if method == LINEAR else STANDARD_DENSITY
        return RegionMethod(method, method in NORMALIZED, 0, (density,) * len(self.vectors))


def _code(method: str) -> int:
    return BRED_METHODS.index(method)
