"""The outcome of a generation: survivors and deaths, and the updates of the searchers.

Pure functions of the state before, the offspring and their race.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lineage.records import Floats
from population.config import Search
from population.evolution.bandit import update_bandit
from population.evolution.credit import credit_of_children
from population.evolution.evolution_strategy import (
    EvolutionStrategyEmitter,
    new_emitter,
    update_emitter,
    with_shorter_stride,
)
from population.evolution.finals import Race
from population.evolution.population_state import BreedingState, SearchState
from population.evolution.proposals import Offspring, Outcome, Panel
from population.evolution.spaces import Space
from population.evolution.survival import Candidates, Rule


def outcome_of(
    state: BreedingState,
    offspring: Offspring,
    panel: Panel,
    race: Race,
    space: Space,
    search: Search,
    rule: Rule,
) -> Outcome:
    """The survivors, and what the evolution strategy and the bandit learn.

    Args:
        state: the population that bred.
        offspring: its children, scored on the generation's items.
        panel: with the scores of the living on it.
        race: the finalists on it.
        space: what genomes may be.
        search: how to breed.
        rule: the survival rule.
    """
    candidates = _candidates(state, offspring, panel, race)
    kept = rule(candidates, search.population)
    living = tuple(int(candidates.born[row]) for row in kept)
    emitter = _updated_emitter(state, offspring, space, search)
    emitter, origin = _with_origin(emitter, state, offspring, space, search, candidates, kept)
    credit = credit_of_children(state, offspring, race, living)
    return Outcome(
        finishers=race.finishers,
        living=living,
        deaths=_deaths(state, offspring, race, candidates, living),
        search=SearchState(emitter, origin, update_bandit(state.search.bandit, credit)),
        coverage=max(state.coverage, float((candidates.scores[kept] > 0.5).any(axis=0).mean())),
    )


def _candidates(state: BreedingState, offspring: Offspring, panel: Panel, race: Race) -> Candidates:
    """The living offspring and the finishers, which compete for places."""
    members, old = state.members, state.members.offspring
    origin, shares = state.search.origin, members.founder_shares
    scores = np.concatenate([panel.scores[old], race.scores])
    row_of = {model: row for row, model in enumerate(members.ids)}
    lines = [
        sum(
            (parent.share * shares[row_of[parent.id]] for parent in child.parents),
            start=np.zeros(shares.shape[1]),
        )
        for child in (offspring.children[row] for row in race.finishers)
    ]
    born = np.array(
        [*(members.ids[row] for row in old), *(state.next_id + row for row in race.finishers)]
    )
    searching = (origin, _newest_centre(state, offspring)) if len(offspring.proposals.steps) else ()
    keep = (state.champion, *searching, *state.pinned)
    return Candidates(
        scores=scores,
        means=scores @ panel.weights,
        hashes=[
            *(members.hashes[row] for row in old),
            *(offspring.hashes[row] for row in race.finishers),
        ],
        protected=[
            int(row) for model in dict.fromkeys(keep) for row in np.flatnonzero(born == model)
        ],
        founder_line=np.concatenate(
            [shares[old], np.array(lines).reshape(len(lines), shares.shape[1])]
        ),
        born=born,
        sharing=offspring.proposals.sharing,
    )


def _newest_centre(state: BreedingState, offspring: Offspring) -> int | None:
    """Id of the offspring's centre, which gets a place whatever it scores.

    The best of many on one panel is partly the luckiest. If the centre had to beat it for a place,
    one lucky elite would hold the search up until the next panel.
    """
    centre = offspring.proposals.centre_row
    return None if centre is None else state.next_id + centre


def _deaths(
    state: BreedingState,
    offspring: Offspring,
    race: Race,
    candidates: Candidates,
    living: Sequence[int],
) -> dict[int, str]:
    """By id, the causes of death of all that do not live on."""
    deaths = {int(model): "outscored" for model in candidates.born if model not in living}
    for row, cause in enumerate(offspring.causes):
        if row not in race.finishers:
            reason = "outraced" if row in race.items_seen else "unpromising"
            deaths[state.next_id + row] = cause or reason
    return deaths


def _updated_emitter(
    state: BreedingState, offspring: Offspring, space: Space, search: Search
) -> EvolutionStrategyEmitter:
    """The emitter after its children's scores; those that died at birth have scores of 0."""
    proposals, emitter = offspring.proposals, state.search.emitter
    if not len(proposals.steps):
        return emitter
    return update_emitter(
        emitter,
        space,
        proposals.steps,
        offspring.scores[list(proposals.emitter_rows)],
        rate=search.rate * emitter.stride,
        sharing=proposals.sharing,
    )


def _with_origin(
    emitter: EvolutionStrategyEmitter,
    state: BreedingState,
    offspring: Offspring,
    space: Space,
    search: Search,
    candidates: Candidates,
    kept: Sequence[int],
) -> tuple[EvolutionStrategyEmitter, int]:
    """The emitter and its origin, given the survivors.

    As long as its centres improve on their origin, the newest is the origin. When they have not for
    a while, genomes are cut more finely, or if that is done the steps get shorter. If one of the
    living is significantly better, the emitter starts anew from it. One that does not search has no
    place to keep: its origin is the champion.
    """
    if not len(offspring.proposals.steps):
        return emitter, state.champion
    row_of: dict[int | None, int] = {int(model): row for row, model in enumerate(candidates.born)}
    centre = row_of.get(_newest_centre(state, offspring))
    origin = state.search.origin
    if centre is not None and centre in kept:
        before = candidates.means[row_of[origin]] if origin in row_of else 0.0
        if candidates.means[centre] > before:
            return replace(emitter, stalled=0), int(candidates.born[centre])
    emitter = replace(emitter, stalled=emitter.stalled + 1)
    if emitter.stalled < search.patience:
        return emitter, origin
    if emitter.level + 1 < len(space.levels):
        return replace(emitter, level=emitter.level + 1, stalled=0), origin
    best = max(kept, key=lambda row: (candidates.means[row], -row))
    if centre is not None and not _significantly_better(
        candidates.scores[best], candidates.scores[centre]
    ):
        return with_shorter_stride(emitter, search.shortest), origin
    model = int(candidates.born[best])
    return new_emitter(_genome_of(model, state, offspring), emitter.level), model


def _significantly_better(one: Floats, other: Floats) -> bool:
    """Whether one is ahead of the other by two standard errors of the paired difference."""
    lead = one - other
    return bool(lead.mean() > 2.0 * lead.std() / np.sqrt(len(lead)) + 1e-12)


def _genome_of(model: int, state: BreedingState, offspring: Offspring) -> Floats:
    if model >= state.next_id:
        return offspring.children[model - state.next_id].genome
    return np.asarray(state.members.genomes[state.members.ids.index(model)])
