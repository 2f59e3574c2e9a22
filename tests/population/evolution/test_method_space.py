"""Genomes of several methods: what they mean, how they are handed on and how they change."""

from dataclasses import replace

import numpy as np
import pytest

from lineage.records import Floats
from population.bred_methods import BRED_METHODS, NORMALIZED, RANDOM, SCE
from population.errors import PopulationError
from population.evolution.evolution_strategy import sample_steps
from population.evolution.mutation import mutate
from population.evolution.operators import OPERATORS, Recombination
from population.evolution.spaces.methods import DENSITIES, MethodSpace, RegionMethod
from population.evolution.structure import recombined
from population.merging.methods import METHODS
from population.merging.methods.task_vectors import TaskVectors

REGIONS = np.array([0, 0, 1, 1, 2])
TIES = RegionMethod("ties", True, 0, (0.3, 0.5))
DARE = RegionMethod("dare_linear", False, 7, (1.0, 0.1))
PLAIN = RegionMethod("linear", False, 0, (1.0, 1.0))


def space_of(*methods: str) -> MethodSpace:
    return MethodSpace(3, (1, 2), 5, -1.0, 2.0, methods=methods, regions=REGIONS)


SPACE = space_of("linear", "ties", "dare_linear")


def coefficients(seed: int) -> Floats:
    return np.random.default_rng(seed).normal(0.4, 0.2, (2, 5))


def test_what_campaigns_breed_is_what_the_merge_engine_says_of_these_methods() -> None:
    sparse = {name: method for name, method in METHODS.items() if isinstance(method, TaskVectors)}
    assert set(BRED_METHODS[1:]) == {*sparse, SCE}
    assert {name for name, method in sparse.items() if method.random} == set(RANDOM)
    defaults = {
        name: parameter.default
        for name, method in sparse.items()
        for parameter in method.parameters
        if parameter.name == "normalize"
    }
    assert {SCE, *(name for name, default in defaults.items() if default)} == set(NORMALIZED)
    with pytest.raises(PopulationError, match="slerp"):
        space_of("linear", "slerp")


def test_a_genome_says_what_it_was_made_of() -> None:
    wanted, regions = coefficients(0), (TIES, PLAIN, DARE)
    genome = SPACE.genome(wanted, regions)
    assert genome.shape == (SPACE.space.genes,)
    assert SPACE.region_methods(genome) == regions
    np.testing.assert_array_equal(SPACE.coefficients(genome), wanted)
    np.testing.assert_array_equal(SPACE.repaired(genome), genome)
    SPACE.coefficients(genome)[1, 2] = 0.75  # it is a view
    assert (genome == 0.75).sum() == 1


def test_a_genome_from_before_a_founder_joined_has_nothing_of_it() -> None:
    genome = SPACE.genome(coefficients(0), (TIES, PLAIN, DARE))
    joined = MethodSpace(4, (1, 2, 3), 5, -1.0, 2.0, methods=SPACE.methods, regions=REGIONS)
    assert len(genome) < joined.space.genes
    np.testing.assert_array_equal(joined.coefficients(genome)[:2], SPACE.coefficients(genome))
    assert not joined.coefficients(genome)[2].any()
    assert joined.region_methods(genome)[2].densities == (1.0, 0.1, 1.0)


def test_methods_that_offspring_may_not_have_are_replaced_but_founders_stay_linear() -> None:
    space = space_of("ties", "dare_linear")
    founder = space.founder(1)
    assert {region.method for region in space.region_methods(founder)} == {"linear"}
    assert {region.method for region in space.region_methods(space.repaired(founder))} == {"ties"}


def test_the_first_population_has_a_standard_merge_of_every_method_and_mixtures_of_some() -> None:
    genomes = SPACE.initial_genomes(np.random.default_rng(0), 8)
    named = {one.method: SPACE.region_methods(one.genes) for one in genomes[:2]}
    for method, regions in named.items():
        assert [region.method for region in regions] == [method] * 3
        assert regions[0].normalize == (method in NORMALIZED)
    used = {SPACE.region_methods(one.genes)[0].method for one in genomes if one.method == "mixture"}
    assert used == {"linear", "ties", "dare_linear"}
    alone = space_of("dare_linear").initial_genomes(np.random.default_rng(0), 8)
    assert {SPACE.region_methods(one.genes)[0].method for one in alone} == {"dare_linear"}


def test_a_child_has_the_structure_of_one_parent_in_each_region_and_mixed_coefficients() -> None:
    structures = (TIES, PLAIN, DARE), (DARE, DARE, TIES)
    parents = np.array([SPACE.genome(coefficients(n), own) for n, own in enumerate(structures)])
    plain = SPACE._linear.space
    seen = set()
    for seed in range(8):
        weights = np.array([0.5, 0.5])
        mating = Recombination(np.random.default_rng(seed), parents, weights, SPACE.space)
        child = recombined(OPERATORS["blend"], mating)
        regions = SPACE.region_methods(child)
        assert all(own in of_parents for own, *of_parents in zip(regions, *structures, strict=True))
        seen.add(regions)
        flat = np.array([SPACE.coefficients(parent).ravel() for parent in parents])
        alone = Recombination(np.random.default_rng(seed), flat, weights, plain)
        wanted = OPERATORS["blend"].make(alone)
        np.testing.assert_array_equal(SPACE.coefficients(child).ravel(), wanted)
    assert len(seen) > 2


def test_mutation_changes_names_at_random_and_densities_by_a_step_now_and_then() -> None:
    genome = SPACE.genome(coefficients(0), (TIES, PLAIN, DARE))
    changes = []
    for seed in range(200):
        child = mutate(genome, np.random.default_rng(seed), SPACE.space, (0.01, 0.1))
        np.testing.assert_array_equal(SPACE.repaired(child), child)
        before, after = SPACE.region_methods(genome), SPACE.region_methods(child)
        pairs = list(zip(before, after, strict=True))
        changes.append(sum(one.method != other.method for one, other in pairs))
        for one, other in pairs:
            steps = [
                abs(DENSITIES.index(a) - DENSITIES.index(b))
                for a, b in zip(one.densities, other.densities, strict=True)
            ]
            assert max(steps) <= 1
    assert 0.05 < np.mean(changes) < 0.5


def test_a_coarse_search_groups_coefficients_and_no_densities() -> None:
    coarse = replace(SPACE, levels=(np.array([0, 0, 1, 1, 2]), np.arange(5)))
    level = coarse.space.groups_at(0)
    assert level.shape == (coarse.space.genes,)
    grouped = coarse.coefficients(level.astype(np.float64))
    np.testing.assert_array_equal(grouped, [[0, 0, 1, 1, 2], [3, 3, 4, 4, 5]])
    structural = level[coarse.space.structure.genes]
    assert len(np.unique(structural)) == len(structural)
    assert structural.min() > grouped.max()


def test_the_evolution_strategy_tries_other_densities_but_no_other_names() -> None:
    steps = sample_steps(np.random.default_rng(0), SPACE.space, 0, 4)
    moved = np.array([(step != 0.0) for step in steps]).any(axis=0)
    structure = SPACE.space.structure
    assert structure is not None
    assert not moved[structure.genes[~structure.ordered]].any()
    assert moved[structure.genes[structure.ordered]].all()
