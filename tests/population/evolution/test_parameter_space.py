"""Genomes that are coefficients: what they mean, and what is tried first."""

import numpy as np
import pytest

from population.config import Search
from population.evolution.spaces.flow import FlowSpace
from population.evolution.spaces.from_config import depth_of, parameter_space, route_space
from population.evolution.spaces.parameter import ParameterSpace
from population.models.blocks import layout_of, levels_of
from population.randomness import generator
from population.weights.genomes import Basis

BASED = ParameterSpace(4, (0, 1, 3), 5, -1.0, 2.0)
"""Four founders, of which number 2 is the base."""
FREE = ParameterSpace(3, (0, 1, 2), 4, -1.0, 2.0)
LLAMA = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 8}


def test_a_genome_is_row_after_row() -> None:
    genome = np.arange(15.0)
    assert BASED.coefficients(genome).tolist() == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
        [10, 11, 12, 13, 14],
    ]
    assert genome[BASED.space.block == 2].tolist() == [2, 7, 12]
    assert (BASED.space.genes, BASED.space.blocks) == (15, 5)
    assert not BASED.space.integer.any()


@pytest.mark.parametrize(("space", "base"), [(BASED, 2), (FREE, None)])
def test_a_founder_is_what_its_basis_says(space: ParameterSpace, base: int | None) -> None:
    basis = Basis(tuple("abcd"[: space.founders]), base)
    assert basis.vectors == space.vectors
    for number in range(space.founders):
        expected = basis.genome_of_founder(number, space.blocks)
        assert np.array_equal(space.coefficients(space.founder(number)), expected)


def test_repaired_genomes_are_inside_and_the_valid_are_left_alone() -> None:
    wild = np.random.default_rng(0).normal(scale=3.0, size=(6, 15))
    before = wild.copy()
    tame = BASED.repaired(wild)
    assert np.array_equal(wild, before)
    assert tame.min() == -1.0
    assert tame.max() == 2.0
    inside = (wild >= -1.0) & (wild <= 2.0)
    assert np.array_equal(tame[inside], wild[inside])
    assert np.array_equal(BASED.repaired(tame), tame)
    assert np.array_equal(BASED.repaired(wild[0]), tame[0])


def test_the_first_population_is_valid_and_names_who_it_mixes() -> None:
    made = BASED.initial_genomes(generator(0, "first"), 8)
    assert len(made) >= 8
    assert {"arithmetic", "average", "pair", "mixture"} <= {how for how, _, _ in made}
    for how, genome, mixed in made:
        assert np.array_equal(BASED.repaired(genome), genome)
        used = [BASED.vectors[row] for row in np.flatnonzero(BASED.coefficients(genome).any(1))]
        assert set(used) <= set(mixed) <= set(BASED.vectors)
        if how == "pair":
            assert tuple(used) == mixed
    again = BASED.initial_genomes(generator(0, "first"), 8)
    assert all(np.array_equal(one[1], other[1]) for one, other in zip(made, again, strict=True))


def test_without_a_base_no_scale_of_arithmetic_is_tried() -> None:
    kinds = {how for how, _, _ in FREE.initial_genomes(generator(0, "first"), 8)}
    assert "arithmetic" not in kinds
    assert "average" in kinds


def shapes(layers: int) -> dict[str, tuple[int, ...]]:
    found = {"model.embed_tokens.weight": (10, 4)}
    for layer in range(layers):
        place = f"model.layers.{layer}"
        found |= {f"{place}.self_attn.{part}_proj.weight": (4, 4) for part in "qkvo"}
        found |= {f"{place}.mlp.{part}_proj.weight": (8, 4) for part in ("gate", "up")}
        found |= {f"{place}.mlp.down_proj.weight": (4, 8), f"{place}.input_layernorm.weight": (4,)}
    return found


def test_levels_go_from_layers_to_halves_to_blocks() -> None:
    layout = layout_of(shapes(3), LLAMA, "group", groups=2)
    names = [block.name for block in layout.blocks]
    assert {"outside", "layer 0 heads 1", "layer 1 units 0", "layer 2 rest"} <= {*names}

    def same(words: int, one: str, other: str) -> bool:
        return one.split()[:words] == other.split()[:words]

    for words, level in zip((2, 3, 4), levels_of(layout), strict=True):
        for name, group in zip(names, level, strict=True):
            together = [other for other, its in zip(names, level, strict=True) if its == group]
            assert together == [other for other in names if same(words, name, other)]


def test_a_level_that_says_nothing_new_is_left_out() -> None:
    assert len(levels_of(layout_of(shapes(2), LLAMA, "layer"))) == 1
    assert len(levels_of(layout_of(shapes(2), LLAMA, "half"))) == 2


def test_levels_never_tie_two_founders() -> None:
    layout = layout_of(shapes(2), LLAMA, "half")
    space = ParameterSpace(3, (1, 2), len(layout.blocks), -1, 2, levels_of(layout)).space
    blocks = space.blocks
    coarse = space.groups_at(0)
    assert not set(coarse[:blocks].tolist()) & set(coarse[blocks:].tolist())
    assert set(coarse.tolist()) == set(range(2 * 3))  # two layers and the outside, twice
    assert np.array_equal(np.unique(space.groups_at(9)), np.arange(space.genes))
    assert np.array_equal(BASED.space.groups_at(0), np.arange(15))


# The space that a configuration asks for


def test_the_space_is_what_was_asked_for() -> None:
    search = Search(lowest=-0.5, highest=1.5)
    assert parameter_space(search, 4, [0, 1, 3], 5) == ParameterSpace(4, (0, 1, 3), 5, -0.5, 1.5)
    flow = route_space(Search(space="flow", repeats=2), 3, [1, 2], 5, depth=4)
    assert isinstance(flow, FlowSpace)
    assert (flow.layers, flow.repeats, flow.limit) == ((4, 4, 4), 2, 6)
    both = route_space(Search(space="both", longest=9), 3, [1, 2], 5, depth=4)
    assert not isinstance(both, FlowSpace)
    assert (both.flow.layers, both.flow.limit, both.models) == ((4, 4, 4, 4), 9, 1)


def test_a_search_is_coarse_if_it_is_asked_to_or_has_many_coefficients() -> None:
    def levels(layers: int, **asked: object) -> int:
        found = levels_of(layout_of(shapes(layers), LLAMA, "half"))
        blocks = 1 + 2 * layers
        search = Search.model_validate(asked)
        return len(parameter_space(search, 4, [0, 1, 2, 3], blocks, found).levels)

    assert levels(4) == 0
    assert levels(32) == 2
    assert levels(4, coarse=True) == 2
    assert levels(32, coarse=False) == 0


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("kind", ["flow", "both"])
def test_the_depth_is_told_by_the_length_of_a_genome(kind: str, repeats: int, depth: int) -> None:
    search = Search.model_validate({"space": kind, "repeats": repeats})
    space = route_space(search, 3, [1, 2], 5, depth)
    assert depth_of(search, 3, [1, 2], 5, space.space.genes) == depth
