"""The search space that a configuration asks for, from a few numbers about the founders."""

from collections.abc import Sequence

from population.bred_methods import LINEAR
from population.config import Search
from population.evolution.spaces.both import BothSpace
from population.evolution.spaces.flow import FlowSpace
from population.evolution.spaces.methods import MethodSpace
from population.evolution.spaces.parameter import ParameterSpace
from population.evolution.spaces.space import Integers

MANY_GENES = 256
"""With more coefficients than this a search is coarse at first, unless it is told otherwise."""


def parameter_space(
    search: Search,
    founders: int,
    vectors: Sequence[int],
    blocks: int,
    levels: Sequence[Integers] = (),
    regions: Integers | None = None,
) -> ParameterSpace:
    """Merging by coefficients, see `ParameterSpace`, or by several methods, see `MethodSpace`.

    Args:
        search: bounds, and whether the search is coarse at first.
        founders: how many there are.
        vectors: for each row of coefficients the founder whose task vector it scales.
        blocks: columns of coefficients.
        levels: groups of blocks from coarse to fine, shape (blocks,) each, for coarse searches.
        regions: of the blocks, shape (blocks,), for searches with other methods than `linear`.
    """
    many = len(vectors) * blocks > MANY_GENES
    coarse = many if search.coarse == "auto" else search.coarse
    used_levels = tuple(levels) if coarse else ()
    bounds = search.lowest, search.highest
    if set(search.methods) == {LINEAR}:
        return ParameterSpace(founders, tuple(vectors), blocks, *bounds, used_levels)
    assert regions is not None
    return MethodSpace(
        founders,
        tuple(vectors),
        blocks,
        *bounds,
        used_levels,
        methods=tuple(search.methods),
        regions=regions,
    )


def route_space(
    search: Search, founders: int, vectors: Sequence[int], blocks: int, depth: int
) -> FlowSpace | BothSpace:
    """Paths through the layers of founders and, in the space "both", of a merge of them.

    Args:
        search: bounds of paths.
        founders: how many there are.
        vectors: for each row of coefficients the founder whose task vector it scales.
        blocks: columns of coefficients.
        depth: layers of each founder.
    """
    longest = search.longest or depth + depth // 2
    sources = founders + (search.space == "both")
    flow = FlowSpace((depth,) * sources, search.repeats, longest, search.scales)
    if search.space == "flow":
        return flow
    return BothSpace(tuple(vectors), blocks, search.lowest, search.highest, flow)


def depth_of(search: Search, founders: int, vectors: Sequence[int], blocks: int, genes: int) -> int:
    """The founders' number of layers, from the length of a genome of `route_space`.

    Args:
        search: as there.
        founders: as there.
        vectors: as there.
        blocks: as there.
        genes: length of a genome.
    """
    both = search.space == "both"
    slots = (genes - both * len(vectors) * blocks) // 2
    return slots // ((founders + both) * search.repeats)
