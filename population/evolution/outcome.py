"""Judging a brood: who is looked at again, who lives on, and what the searchers learn from it.

Everyone has been scored on the generation's few items. The most promising, by means that are shrunk
towards what their kind came to, race over the panel that the living were scored on: round by
round, whoever can no longer get a place is out. A survival rule then chooses among old and new.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lineage.records import Floats
from population.config import Search
from population.evolution.bandit import ArmResult, updated
from population.evolution.evolution_strategy import (
    EvolutionStrategyEmitter,
    moved,
    shortened,
    started,
)
from population.evolution.population_state import BreedingState
from population.evolution.proposals import CENTRE, Host, Offspring, Outcome, Panel
from population.evolution.selection.james_stein import shrunk, variances_between
from population.evolution.selection.racing import still_racing
from population.evolution.spaces import Space
from population.evolution.survival import RULES, Candidates

LEAST = 2
"""Items from which the noise of a mean can be told."""

MANY = 1 << 20
"""Items that could be asked, as far as shrinkage is concerned: there are always more."""


@dataclass(frozen=True)
class Race:
    """What a race came to.

    Attributes:
        finishers: rows of the brood that were scored on all of the panel.
        scores: shape (finishers, items), in the panel's order.
        asked: by row of the brood, the items of the panel that it was asked.
    """

    finishers: tuple[int, ...]
    scores: Floats
    asked: dict[int, int]


def judge(
    stock: BreedingState, brood: Offspring, space: Space, search: Search, host: Host, sharing: float
) -> Outcome:
    """Judge a brood.

    Args:
        stock: who bred it.
        brood: scored on the generation's items.
        space: what genomes may be.
        search: how to breed.
        host: scores the most promising on the panel.
        sharing: exponent of fitness sharing, as it is in this generation.
    """
    panel = host.panel()
    race = _raced(stock, brood, panel, search, host)
    candidates = _candidates(stock, brood, panel, race)
    kept = RULES[search.survival](candidates, search.population)
    living = tuple(int(candidates.born[row]) for row in kept)
    emitter = _moved(stock, brood, space, search, sharing)
    emitter, origin = _followed(emitter, stock, brood, space, search, candidates, kept)
    return Outcome(
        brood=brood,
        panel=panel,
        finishers=race.finishers,
        finished=race.scores,
        living=living,
        deaths=_deaths(stock, brood, race, candidates, living),
        emitter=emitter,
        origin=origin,
        bandit=updated(
            stock.bandit,
            [
                ArmResult(
                    child.operator,
                    float(stock.next_id + row in living),
                    float(brood.scores.shape[1] + race.asked.get(row, 0)),
                )
                for row, child in enumerate(brood.conceived)
                if child.operator in stock.bandit
            ],
        ),
        coverage=max(stock.coverage, float((candidates.scores[kept] > 0.5).any(axis=0).mean())),
    )


def promising(brood: Offspring, count: int) -> list[int]:
    """Rows of the brood that deserve a second look, ascending: the centre, and the best others.

    The best of many on few items is the luckiest, so means are shrunk first: towards the mean of
    the children that came about in the same way, emitted or recombined.
    """
    alive = [row for row, cause in enumerate(brood.causes) if cause is None]
    centre = [row for row in alive if _is_centre(brood, row)]
    if not alive:
        return []
    kinds = np.array([row in brood.emitted for row in alive])
    scores = brood.scores[alive]
    means = scores.mean(axis=1)
    prior = np.array([means[kinds == kind].mean() for kind in kinds])
    # A single item says nothing of how much chance there is in a mean.
    posterior = (
        means
        if scores.shape[1] < LEAST
        else shrunk(
            means, np.full(len(alive), scores.shape[1]), variances_between(scores, MANY), prior
        )[0]
    )
    ranked = [alive[place] for place in np.argsort(-posterior, kind="stable")]
    others = [row for row in ranked if row not in centre]
    return sorted([*centre, *others][:count])


def _raced(
    stock: BreedingState, brood: Offspring, panel: Panel, search: Search, host: Host
) -> Race:
    """Let the most promising race over the panel. The centre always finishes: there it goes on."""
    racing = promising(brood, search.finalists)
    entrants = len(racing)
    incumbents = (panel.scores @ panel.weights)[stock.offspring]
    seen: dict[int, list[Floats]] = {row: [] for row in racing}
    for number, columns in enumerate(panel.rounds, start=1):
        if not racing:
            break
        fresh = host.look(brood, racing, columns)
        for row, scores in zip(racing, fresh, strict=True):
            seen[row].append(scores)
        racing = [
            row for row, scores in zip(racing, fresh, strict=True) if not np.isnan(scores).any()
        ]
        if number == len(panel.rounds) or all(_is_centre(brood, row) for row in racing):
            continue
        stays = still_racing(
            np.array([np.concatenate(seen[row]) for row in racing]),
            len(panel.weights),
            search.population,
            incumbents,
            search.race,
            entrants=entrants,
        )
        racing = [
            row for row, stay in zip(racing, stays, strict=True) if stay or _is_centre(brood, row)
        ]
    order = np.argsort(np.concatenate(panel.rounds), kind="stable")
    scores = [np.concatenate(seen[row])[order] for row in racing]
    return Race(
        tuple(racing),
        np.array(scores).reshape(len(racing), len(panel.weights)),
        {row: sum(map(len, parts)) for row, parts in seen.items()},
    )


def _candidates(stock: BreedingState, brood: Offspring, panel: Panel, race: Race) -> Candidates:
    """The living offspring and the finishers, who compete for places."""
    old = stock.offspring
    scores = np.concatenate([panel.scores[old], race.scores])
    row_of = {model: row for row, model in enumerate(stock.ids)}
    lines = [
        sum(
            (parent.share * stock.lines[row_of[parent.id]] for parent in child.parents),
            start=np.zeros(stock.lines.shape[1]),
        )
        for child in (brood.conceived[row] for row in race.finishers)
    ]
    born = np.array(
        [*(stock.ids[row] for row in old), *(stock.next_id + r for r in race.finishers)]
    )
    return Candidates(
        scores=scores,
        means=scores @ panel.weights,
        hashes=[*(stock.hashes[row] for row in old), *(brood.hashes[r] for r in race.finishers)],
        protected=[
            int(row)
            for model in dict.fromkeys(
                (stock.champion, stock.origin, _newest_centre(stock, brood), *stock.pinned)
            )
            for row in np.flatnonzero(born == model)
        ],
        founder_line=np.concatenate(
            [stock.lines[old], np.array(lines).reshape(len(lines), stock.lines.shape[1])]
        ),
        born=born,
    )


def _is_centre(brood: Offspring, row: int) -> bool:
    return brood.conceived[row].operator == CENTRE


def _newest_centre(stock: BreedingState, brood: Offspring) -> int | None:
    """Id of the brood's centre, which gets a place whatever it scores.

    The best of many on one panel is partly the luckiest. If the centre had to beat it for a place,
    one lucky elite would hold the search up until the next panel.
    """
    rows = range(len(brood.conceived))
    return next((stock.next_id + row for row in rows if _is_centre(brood, row)), None)


def _deaths(
    stock: BreedingState,
    brood: Offspring,
    race: Race,
    candidates: Candidates,
    living: Sequence[int],
) -> dict[int, str]:
    """By id, what everyone who does not live on died of."""
    deaths = {int(model): "outscored" for model in candidates.born if model not in living}
    for row, cause in enumerate(brood.causes):
        if row not in race.finishers:
            lost = "outraced" if row in race.asked else "unpromising"
            deaths[stock.next_id + row] = cause or lost
    return deaths


def _moved(
    stock: BreedingState, brood: Offspring, space: Space, search: Search, sharing: float
) -> EvolutionStrategyEmitter:
    """The emitter after its children's scores. Those that died at birth count as having none."""
    if not len(brood.steps):
        return stock.emitter
    scores = brood.scores[list(brood.emitted)]
    rate = search.rate * stock.emitter.stride
    return moved(stock.emitter, space, brood.steps, scores, rate=rate, sharing=sharing)


def _followed(
    emitter: EvolutionStrategyEmitter,
    stock: BreedingState,
    brood: Offspring,
    space: Space,
    search: Search,
    candidates: Candidates,
    kept: Sequence[int],
) -> tuple[EvolutionStrategyEmitter, int]:
    """The emitter and its origin, once it is known who lives.

    As long as its centres improve on their origin, the newest is the origin. When they have not for
    a while, genomes are cut more finely, or if that is done the steps get shorter. If one of the
    living is better beyond doubt, it starts anew from there.
    """
    row_of: dict[int | None, int] = {int(model): row for row, model in enumerate(candidates.born)}
    centre = row_of.get(_newest_centre(stock, brood))
    origin = row_of.get(stock.origin)
    if centre is not None and centre in kept:
        before = candidates.means[origin] if origin is not None else 0.0
        if candidates.means[centre] > before:
            return replace(emitter, stalled=0), int(candidates.born[centre])
    emitter = replace(emitter, stalled=emitter.stalled + 1)
    if emitter.stalled < search.patience:
        return emitter, stock.origin
    if emitter.level + 1 < len(space.levels):
        return replace(emitter, level=emitter.level + 1, stalled=0), stock.origin
    best = max(kept, key=lambda row: (candidates.means[row], -row))
    if centre is not None and not _surely_better(
        candidates.scores[best], candidates.scores[centre]
    ):
        return shortened(emitter, search.shortest), stock.origin
    model = int(candidates.born[best])
    return started(_genome_of(model, stock, brood), emitter.level), model


def _surely_better(one: Floats, other: Floats) -> bool:
    """Whether one is ahead of the other by two standard errors, item by item."""
    ahead = one - other
    return bool(ahead.mean() > 2.0 * ahead.std() / np.sqrt(len(ahead)) + 1e-12)


def _genome_of(model: int, stock: BreedingState, brood: Offspring) -> Floats:
    if model >= stock.next_id:
        return brood.conceived[model - stock.next_id].genome
    return np.asarray(stock.genomes[stock.ids.index(model)])
