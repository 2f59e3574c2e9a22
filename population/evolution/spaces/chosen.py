"""The search space that a configuration asks for, over founders of which little need be known."""

from collections.abc import Sequence

from population.config import Search
from population.evolution.spaces.both import BothSpace
from population.evolution.spaces.flow import FlowSpace
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
) -> ParameterSpace:
    """Merging by coefficients, see `ParameterSpace`; `levels` are for searches that are coarse."""
    many = len(vectors) * blocks > MANY_GENES
    coarse = many if search.coarse == "auto" else search.coarse
    return ParameterSpace(
        founders,
        tuple(vectors),
        blocks,
        search.lowest,
        search.highest,
        tuple(levels) if coarse else (),
    )


def route_space(
    search: Search, founders: int, vectors: Sequence[int], blocks: int, depth: int
) -> FlowSpace | BothSpace:
    """Paths through the layers of founders that have `depth` each, and of a merge of them."""
    longest = search.longest or depth + depth // 2
    sources = founders + (search.space == "both")
    flow = FlowSpace((depth,) * sources, search.repeats, longest, search.scales)
    if search.space == "flow":
        return flow
    return BothSpace(tuple(vectors), blocks, search.lowest, search.highest, flow)


def depth_of(search: Search, founders: int, vectors: Sequence[int], blocks: int, genes: int) -> int:
    """The founders' number of layers, from the length of a genome of `route_space`."""
    both = search.space == "both"
    slots = (genes - both * len(vectors) * blocks) // 2
    return slots // ((founders + both) * search.repeats)
