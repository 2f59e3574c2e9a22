"""Turns offspring into births, as the archive has them."""

from lineage.records import Birth
from population.evolution.proposals import Offspring, Proposal
from population.evolution.spaces import SearchSpace
from population.evolution.spaces.parameter import ParameterSpace


def birth_of(number: int, child: Proposal, weights_sha256: str, space: SearchSpace) -> Birth:
    """The birth of a child.

    Args:
        number: its id.
        child: genome and parents.
        weights_sha256: of its weights.
        space: what its genome means.
    """
    method = "linear" if isinstance(space, ParameterSpace) else "route"
    return Birth(number, child.operator, child.parents, child.genome, weights_sha256, method)


def births_of(offspring: Offspring, first: int, space: SearchSpace) -> tuple[Birth, ...]:
    """The births of some offspring.

    Args:
        offspring: made, so that the hashes of their weights are known.
        first: the id of the first of them.
        space: what their genomes mean.
    """
    return tuple(
        birth_of(first + row, child, sha, space)
        for row, (child, sha) in enumerate(zip(offspring.children, offspring.hashes, strict=True))
    )
