"""Pioneers: who of the first population gets a place."""

from collections.abc import Iterable

import numpy as np

from lineage.records import Floats
from population.errors import CampaignError
from population.evolution.proposals import Offspring


def pioneers(brood: Offspring, worth: Floats, taken: Iterable[str], places: int) -> list[int]:
    """Rows of the first population that get a place: the best that live and are like no other.

    Args:
        brood: the first population.
        worth: shape (children,).
        taken: hashes of weights that are there already.
        places: how many there are at most.

    Raises:
        CampaignError: there are hardly any.
    """
    known = set(taken)
    chosen: list[int] = []
    for row in np.argsort(-worth, kind="stable").tolist():
        fit = brood.causes[row] is None and brood.hashes[row] not in known
        if fit and len(chosen) < places:
            chosen.append(row)
            known.add(brood.hashes[row])
    if len(chosen) < 2:
        causes = ", ".join(sorted({cause for cause in brood.causes if cause}))
        raise CampaignError(
            f"of {len(brood.causes)} first merges of these founders {len(chosen)} can live; "
            f"the others died of: {causes or 'being like a founder or each other'}"
        )
    return sorted(chosen)
