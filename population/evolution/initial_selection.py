"""Initial selection: the candidates of generation 0 that get a place among the living."""

from collections.abc import Iterable

import numpy as np

from lineage.records import Floats
from population.errors import CampaignError
from population.evolution.proposals import Offspring


def select_initial_population(
    candidates: Offspring, means: Floats, taken: Iterable[str], places: int
) -> list[int]:
    """Rows of the candidates that get a place: the best coherent ones with distinct weights.

    Args:
        candidates: of generation 0.
        means: shape (candidates,): score of each.
        taken: hashes of weights that are among the living already.
        places: how many are selected at most.

    Raises:
        CampaignError: there are fewer than two.
    """
    hashes = set(taken)
    selected: list[int] = []
    for row in np.argsort(-means, kind="stable").tolist():
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
