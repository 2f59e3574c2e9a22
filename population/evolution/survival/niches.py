"""Niches: most places go by mean, some by shared fitness, which rewards rare skills."""

from collections.abc import Sequence

import numpy as np

from lineage.records import Floats
from population.evolution.selection.parents import shared_fitness
from population.evolution.survival.candidates import Candidates


def niches(candidates: Candidates, size: int, *, part: float = 0.25) -> list[int]:
    """Places by mean and by shared fitness.

    See `Rule`, and `survivors`, which is given the candidates in the order of their births.

    Args:
        candidates: who may survive.
        size: how many do.
        part: part of the places that goes by shared fitness.
    """
    order = np.argsort(candidates.born, kind="stable")
    place = np.argsort(order)
    kept = survivors(
        candidates.scores[order],
        candidates.means[order],
        [candidates.hashes[row] for row in order],
        size,
        protected=[int(place[row]) for row in candidates.protected],
        niches=part,
        sharing=candidates.sharing,
    )
    return sorted(int(order[row]) for row in kept)


def survivors(
    scores: Floats,
    means: Floats,
    hashes: Sequence[str],
    size: int,
    *,
    protected: Sequence[int] = (),
    niches: float = 0.25,
    sharing: float = 1.0,
) -> list[int]:
    """Choose the survivors: some by their mean, some by shared fitness.

    Args:
        scores: shape (candidates, items), all on the same items.
        means: shape (candidates,): the score that the first kind of places goes by.
        hashes: of the candidates' weights. Of equal models only the first can survive.
        size: how many survive; all do if there are fewer distinct candidates.
        protected: candidates that survive whatever they score.
        niches: part of the places that goes by shared fitness.
        sharing: exponent of fitness sharing.

    Returns:
        Indices of the survivors, ascending. Ties go to the earlier candidate, so the outcome does
        not depend on anything but the arguments.
    """
    first_of = {sha: index for index, sha in reversed(list(enumerate(hashes)))}
    distinct = [index for index, sha in enumerate(hashes) if first_of[sha] == index]
    chosen = sorted({first_of[hashes[index]] for index in protected})[:size]
    by_mean = [i for i in sorted(distinct, key=lambda i: (-means[i], i)) if i not in chosen]
    places = max(0, size - len(chosen))
    chosen += by_mean[: places - round(niches * places)]
    shared = shared_fitness(scores, sharing)
    by_niche = [i for i in sorted(distinct, key=lambda i: (-shared[i], i)) if i not in chosen]
    chosen += by_niche[: size - len(chosen)]
    return sorted(chosen)
