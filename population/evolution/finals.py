"""The finals: the most promising offspring race over the panel that the living were scored on.

After each round of items, finalists that can no longer get a place are dropped (`selection.racing`
says when that is).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lineage.records import Floats
from population.config import Search
from population.evolution.population_state import BreedingState
from population.evolution.proposals import Offspring, Panel
from population.evolution.selection.james_stein import shrink_means, variances_between
from population.evolution.selection.racing import still_racing

MIN_ITEMS = 2
"""Items from which the noise of a mean can be estimated."""

UNLIMITED_ITEMS = 1 << 20
"""How many items there are, as far as shrinkage is concerned: tasks always have more."""

ScoreOnPanel = Callable[[Sequence[int], Sequence[int]], Floats]
"""(rows of the offspring, columns of the panel) -> scores, shape (rows, columns).

NaN for children that turn out to be incoherent."""


@dataclass(frozen=True)
class Race:
    """The result of a race.

    Attributes:
        finishers: rows of the offspring that were scored on all of the panel, ascending.
        scores: shape (finishers, items), in the panel's order.
        items_seen: by row of the offspring, how many items of the panel it was scored on.
    """

    finishers: tuple[int, ...]
    scores: Floats
    items_seen: dict[int, int]


def run_race(
    state: BreedingState, offspring: Offspring, panel: Panel, search: Search, score: ScoreOnPanel
) -> Race:
    """Score the most promising offspring on the panel, round by round, and drop who cannot win.

    The evolution strategy's centre always finishes: the search goes on from there.

    Args:
        state: the population that bred; its offspring hold the places that are raced for.
        offspring: scored on the generation's items.
        panel: with the scores of the living on it.
        search: how many race, and the probability of dropping one wrongly.
        score: scores offspring on the panel.
    """
    centre = offspring.proposals.centre_row
    racing = select_finalists(offspring, search.finalists)
    entrants = len(racing)
    incumbents = (panel.scores @ panel.weights)[state.members.offspring]
    scores_of: dict[int, list[Floats]] = {row: [] for row in racing}
    for number, columns in enumerate(panel.rounds, start=1):
        if not racing:
            break
        round_scores = score(racing, columns)
        for row, scores in zip(racing, round_scores, strict=True):
            scores_of[row].append(scores)
        racing = [
            row
            for row, scores in zip(racing, round_scores, strict=True)
            if not np.isnan(scores).any()
        ]
        if number == len(panel.rounds) or all(row == centre for row in racing):
            continue
        stays = still_racing(
            np.array([np.concatenate(scores_of[row]) for row in racing]),
            len(panel.weights),
            search.population,
            incumbents,
            search.race,
            entrants=entrants,
        )
        racing = [row for row, stay in zip(racing, stays, strict=True) if stay or row == centre]
    order = np.argsort(np.concatenate(panel.rounds), kind="stable")
    scores = [np.concatenate(scores_of[row])[order] for row in racing]
    return Race(
        tuple(racing),
        np.array(scores).reshape(len(racing), len(panel.weights)),
        {row: sum(map(len, parts)) for row, parts in scores_of.items()},
    )


def select_finalists(offspring: Offspring, count: int) -> list[int]:
    """Rows of the offspring that are scored on the panel, ascending: the centre, the best others.

    The best of many on few items is partly the luckiest, so means are shrunk first: towards the
    mean of the children that were made in the same way, emitted or recombined.

    Args:
        offspring: scored on the generation's items.
        count: how many are selected at most.
    """
    alive = [row for row, cause in enumerate(offspring.causes) if cause is None]
    centre = [row for row in alive if row == offspring.proposals.centre_row]
    if not alive:
        return []
    kinds = np.array([row in offspring.proposals.emitter_rows for row in alive])
    scores = offspring.scores[alive]
    means = scores.mean(axis=1)
    prior = np.array([means[kinds == kind].mean() for kind in kinds])
    posterior = means
    if scores.shape[1] >= MIN_ITEMS:  # a single item says nothing of how much chance is in a mean
        posterior, _ = shrink_means(
            means,
            np.full(len(alive), scores.shape[1]),
            variances_between(scores, UNLIMITED_ITEMS),
            prior,
        )
    ranked = [alive[place] for place in np.argsort(-posterior, kind="stable")]
    others = [row for row in ranked if row not in centre]
    return sorted([*centre, *others][:count])
