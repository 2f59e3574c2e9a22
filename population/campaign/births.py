"""Turns offspring into births, as the archive has them."""

from lineage.records import Birth
from population.evolution.proposals import Offspring, Proposal
from population.evolution.spaces import SearchSpace
from population.evolution.spaces.parameter import ParameterSpace
from population.weights.fingerprint import FINGERPRINT_DIGITS


def birth_of(number: int, child: Proposal, identity: str, space: SearchSpace) -> Birth:
    """The birth of a child.

    Args:
        number: its id.
        child: genome and parents.
        identity: of its weights, a fingerprint or a SHA-256, see `Context.identify`.
        space: what its genome means.
    """
    method = "linear" if isinstance(space, ParameterSpace) else "route"
    sha256, print_ = (None, identity) if len(identity) == FINGERPRINT_DIGITS else (identity, None)
    return Birth(number, child.operator, child.parents, child.genome, sha256, method, print_)


def births_of(offspring: Offspring, first: int, space: SearchSpace) -> tuple[Birth, ...]:
    """The births of some offspring.

    Args:
        offspring: made, so that the identities of their weights are known.
        first: the id of the first of them.
        space: what their genomes mean.
    """
    return tuple(
        birth_of(first + row, child, identity, space)
        for row, (child, identity) in enumerate(
            zip(offspring.children, offspring.hashes, strict=True)
        )
    )
