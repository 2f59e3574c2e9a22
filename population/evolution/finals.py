"""The finals: the most promising offspring race over the panel that the living were scored on.

Round by round, whoever can no longer get a place is out (`selection.racing` says when that is).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lineage.records import Floats
from population.config import Search
from population.evolution.population_state import BreedingState
from population.evolution.proposals import Offspring, Panel
from population.evolution.selection.james_stein import shrunk, variances_between
from population.evolution.selection.racing import still_racing

LEAST = 2
"""Items from which the noise of a mean can be told."""

MANY = 1 << 20
"""Items that could be asked, as far as shrinkage is concerned: there are always more."""

ScoreOnPanel = Callable[[Sequence[int], Sequence[int]], Floats]
"""Scores of some rows of the offspring on some columns of the panel, shape (rows, columns).

NaN for who dies when it is looked at."""


@dataclass(frozen=True)
class Race:
    """What a race came to.

    Attributes:
        finishers: rows of the offspring that were scored on all of the panel, ascending.
        scores: shape (finishers, items), in the panel's order.
        asked: by row of the offspring, the items of the panel that it was asked.
    """

    finishers: tuple[int, ...]
    scores: Floats
    asked: dict[int, int]


def run_race(
    state: BreedingState, offspring: Offspring, panel: Panel, search: Search, score: ScoreOnPanel
) -> Race:
    """Let the most promising race over the panel. The centre always finishes: there it goes on.

    Args:
        state: who bred; its offspring hold the places that are raced for.
        offspring: scored on the generation's items.
        panel: with the living on it.
        search: how many race, and how sure it must be that one is out.
        score: scores offspring on the panel.
    """
    centre = offspring.proposals.centre
    racing = promising(offspring, search.finalists)
    entrants = len(racing)
    incumbents = (panel.scores @ panel.weights)[state.offspring]
    seen: dict[int, list[Floats]] = {row: [] for row in racing}
    for number, columns in enumerate(panel.rounds, start=1):
        if not racing:
            break
        fresh = score(racing, columns)
        for row, scores in zip(racing, fresh, strict=True):
            seen[row].append(scores)
        racing = [
            row for row, scores in zip(racing, fresh, strict=True) if not np.isnan(scores).any()
        ]
        if number == len(panel.rounds) or all(row == centre for row in racing):
            continue
        stays = still_racing(
            np.array([np.concatenate(seen[row]) for row in racing]),
            len(panel.weights),
            search.population,
            incumbents,
            search.race,
            entrants=entrants,
        )
        racing = [row for row, stay in zip(racing, stays, strict=True) if stay or row == centre]
    order = np.argsort(np.concatenate(panel.rounds), kind="stable")
    scores = [np.concatenate(seen[row])[order] for row in racing]
    return Race(
        tuple(racing),
        np.array(scores).reshape(len(racing), len(panel.weights)),
        {row: sum(map(len, parts)) for row, parts in seen.items()},
    )


def promising(offspring: Offspring, count: int) -> list[int]:
    """Rows of the offspring that deserve a second look, ascending: the centre, the best others.

    The best of many on few items is the luckiest, so means are shrunk first: towards the mean of
    the children that came about in the same way, emitted or recombined.
    """
    alive = [row for row, cause in enumerate(offspring.causes) if cause is None]
    centre = [row for row in alive if row == offspring.proposals.centre]
    if not alive:
        return []
    kinds = np.array([row in offspring.proposals.emitted for row in alive])
    scores = offspring.scores[alive]
    means = scores.mean(axis=1)
    prior = np.array([means[kinds == kind].mean() for kind in kinds])
    posterior = means
    if scores.shape[1] >= LEAST:  # a single item says nothing of how much chance is in a mean
        posterior, _ = shrunk(
            means, np.full(len(alive), scores.shape[1]), variances_between(scores, MANY), prior
        )
    ranked = [alive[place] for place in np.argsort(-posterior, kind="stable")]
    others = [row for row in ranked if row not in centre]
    return sorted([*centre, *others][:count])
