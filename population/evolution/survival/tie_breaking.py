"""Order of the candidates: ties between equal means and between equal models, and first claims.

The survival rules share these; none depends on the order in which candidates come.
"""

from collections.abc import Iterable
from itertools import chain

import numpy as np

from population.evolution.survival.candidates import Candidates


def seated(size: int, *claims: Iterable[int]) -> list[int]:
    """The rows that get a place, ascending: claims are served in turn while there are places.

    >>> seated(3, [4], [2, 4], [0, 1])
    [0, 2, 4]
    """
    return sorted(list(dict.fromkeys(chain(*claims)))[:size])


def fittest_first(candidates: Candidates) -> list[int]:
    """Rows of the distinct candidates by mean, best first. Ties are broken by hash.

    A hash, unlike a row, stays the same when candidates come in another order.
    """
    return sorted(
        _oldest(candidates).values(),
        key=lambda row: (-candidates.means[row], candidates.hashes[row]),
    )


def protected(candidates: Candidates) -> list[int]:
    """The protected rows in the order given; for one that has an older twin, that twin."""
    oldest = _oldest(candidates)
    return [oldest[candidates.hashes[row]] for row in candidates.protected]


def heads_of_lines(candidates: Candidates) -> list[int]:
    """For every founder the fittest row in which it has the largest share, fittest first.

    Shares may tie, as in a child of two founders: then it belongs to both lines.
    """
    ranked = fittest_first(candidates)
    share = candidates.founder_line[ranked]
    belongs = share >= share.max(axis=1, keepdims=True) - 1e-9
    heads = {ranked[int(np.argmax(line))] for line in belongs.T if line.any()}
    return [row for row in ranked if row in heads]


def _oldest(candidates: Candidates) -> dict[str, int]:
    """The oldest row of each hash: of equal models only that can survive."""
    youngest_first = np.argsort(candidates.born, kind="stable")[::-1]
    return {candidates.hashes[row]: int(row) for row in youngest_first}
