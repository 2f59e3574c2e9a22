"""Crowns the champion: the best of the living on the selection split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lineage import Archive
from lineage.records import Floats, Scores
from population.campaign.context import Context, Progress
from population.campaign.failure_handling import score_tolerantly
from population.campaign.item_sampling import ItemSampler
from population.campaign.state import PopulationState, selection_score, task_means
from population.evaluation.results import Results

LAST_CHALLENGE = 3
"""In the last generation so many times as many leaders are scored on the selection split."""


def is_early_challenge(generation: int, crown: int) -> bool:
    """Whether a generation has a challenge before the first regular one.

    Challenges every `crown` generations suit a long campaign. One of six generations would never
    crown a model before its end, so the first challenges come at growing intervals: after
    generation 1, 2, 3, 5, 8, ..., until the first regular one.

    >>> [generation for generation in range(12) if is_early_challenge(generation, crown=10)]
    [1, 2, 3, 5, 8]
    """
    one, two = 1, 2
    while one < generation:
        one, two = two, one + two
    return 0 < generation == one < crown


@dataclass(frozen=True)
class ChampionCandidates:
    """The living of a generation, of whom one becomes champion.

    Attributes:
        generation: its number.
        living: ids of all living, the founders first.
        merits: shape (living,): means on the panel.
        genomes: by id, shape (genes,) each.
        centres: ids of the centres of the evolution strategy that were born and live.
    """

    generation: int
    living: tuple[int, ...]
    merits: Floats
    genomes: Mapping[int, Floats]
    centres: Sequence[int]


@dataclass(frozen=True)
class ChampionSelection:
    """Crowns the champion of each generation.

    Attributes:
        archive: of the campaign.
        context: makes the challengers.
        sampler: of the selection items.
        progress: called while challengers are scored; may raise to stop.
    """

    archive: Archive
    context: Context
    sampler: ItemSampler
    progress: Progress

    def crown(
        self, before: PopulationState | None, candidates: ChampionCandidates, *, last: bool
    ) -> tuple[int, list[Scores]]:
        """The champion, and the selection scores that had to be taken to choose it.

        Every few generations, early on at shorter intervals (`is_early_challenge`), and in the last
        one, there is a challenge: the newest centre and the leaders that were never scored on the
        selection split are scored there; leaders, if they lead the champion on the panel. A centre
        need not: it has learned longer than a champion that one lucky panel keeps ahead. Of all the
        living with selection scores, the best is champion.

        Where a jury scores, an earlier jury's scores count for nothing: the champion has to defend
        its title, and without a challenge it keeps it.

        Args:
            before: the population that bred, or None for generation 0.
            candidates: of the generation.
            last: whether it is the last generation, as far as can be told.
        """
        search = self.context.config.search
        by_jury = search.merit == "jury"
        generation, living, merits = candidates.generation, candidates.living, candidates.merits
        early = is_early_challenge(generation, search.crown)
        challenge = before is None or last or early or generation % search.crown == 0
        score = self._earlier_scores(before, challenge=challenge, by_jury=by_jury)
        if not challenge:
            return _best(score, living), []
        reigning = before.breeding.champion if before else None
        ahead = merits[living.index(reigning)] if reigning is not None else -np.inf
        order = np.argsort(-merits, kind="stable")
        unscored = [int(row) for row in order if living[row] not in score]
        leaders = [living[row] for row in unscored if merits[row] > ahead]
        places = search.challengers * (LAST_CHALLENGE if last else 2 if early else 1)
        challengers = list(dict.fromkeys([*candidates.centres, *leaders]))[:places]
        if by_jury and reigning is not None:
            challengers = list(dict.fromkeys([reigning, *challengers]))
        rows = []
        if challengers:
            results = self._score(challengers, candidates)
            items = self.sampler.selection(self.sampler.epoch_of(generation))
            means = task_means(items, results.merit, self.context.weights)
            score |= dict(zip(challengers, means.tolist(), strict=True))
            if not by_jury:
                rows.append(results.rows(challengers, items))
        return _best(score, living), rows

    def _score(self, challengers: Sequence[int], candidates: ChampionCandidates) -> Results:
        """Results on the selection split, shape (challengers, items)."""
        epoch = self.sampler.epoch_of(candidates.generation)
        scored = score_tolerantly(
            self.context,
            [candidates.genomes[model] for model in challengers],
            self.sampler.answered_selection(epoch).for_each(challengers),
            self.progress,
            "challengers",
            challengers,
            all_may_fail=True,
        )
        return Results(scored.exact, scored.probability)

    def _earlier_scores(
        self, before: PopulationState | None, *, challenge: bool, by_jury: bool
    ) -> dict[int, float]:
        """By id, the earlier selection scores that still count."""
        if before is None:
            return {}
        if by_jury:
            return {} if challenge else {before.breeding.champion: 0.0}
        means = self.archive.task_means("selection")
        weights = self.context.weights
        return {model: selection_score(by_task, weights) for model, by_task in means.items()}


def _best(score: Mapping[int, float], living: Sequence[int]) -> int:
    """The best of the living that have a score; of equals the oldest."""
    return max(score.keys() & set(living), key=lambda model: (score[model], -model))
