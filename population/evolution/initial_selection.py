"""Initial selection: the candidates of generation 0 that get a place among the living."""

from collections.abc import Collection, Iterable

import numpy as np

from lineage.records import Floats
from population.errors import CampaignError
from population.evolution.proposals import Offspring


def select_initial_population(
    candidates: Offspring,
    means: Floats,
    taken: Iterable[str],
    places: int,
    standard: Collection[str] = (),
) -> list[int]:
    """Rows of the candidates that get a place: the best coherent ones with distinct weights.

    Standard merges by several methods come first, as far as they take no more than half of the
    places: what a method is good for shows when its children have been bred for a while.

    Args:
        candidates: of generation 0.
        means: shape (candidates,): score of each.
        taken: hashes of weights that are among the living already.
        places: how many are selected at most.
        standard: names of these merges.

    Raises:
        CampaignError: there are fewer than two.
    """
    hashes = set(taken)
    selected: list[int] = []
    best_first = np.argsort(-means, kind="stable").tolist()
    named = [row for row in best_first if candidates.children[row].operator in standard]
    for row in dict.fromkeys([*named[: places // 2], *best_first]):
        eligible = candidates.causes[row] is None and candidates.hashes[row] not in hashes
        if eligible and len(selected) < places:
            selected.append(row)
            hashes.add(candidates.hashes[row])
    if len(selected) < 2:
        causes = ", ".join(sorted({cause for cause in candidates.causes if cause}))
        raise CampaignError(
            f"of {len(candidates.causes)} first merges of these founders {len(selected)} can live; "
            f"the others died of: {causes or 'being like a founder or each other'}"
        )
    return sorted(selected)
