"""The evaluations of one generation: offspring on a few fresh items, finalists on the panel."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lineage.merit import merit
from lineage.records import Floats
from population.campaign.coherence_filter import CoherenceFilter
from population.campaign.context import Context, Progress
from population.campaign.item_sampling import ItemBatch
from population.campaign.passing_over import (
    FAILED,
    passing,
    scored_or_nothing,
    stop_if_all_failed,
)
from population.campaign.state import PopulationState, task_weights
from population.errors import CampaignError
from population.evaluation.evaluator import Evaluator
from population.evaluation.results import Results, stacked
from population.evolution.finals import Race
from population.evolution.proposals import Offspring, Panel, Proposals
from population.weights.materialise import State, state_sha256

Row = tuple[str, str | None, Floats, Floats]
"""What came of a child: its hash, what it died of, exact match and probability, each (items,)."""


@dataclass(frozen=True)
class Evaluation:
    """Makes models and scores them.

    Attributes:
        context: what models are made of and scored with.
        coherence: ends models that have lost their language; None looks at nobody.
        progress: told while models work; may raise to stop.
    """

    context: Context
    coherence: CoherenceFilter | None
    progress: Progress

    def offspring(
        self,
        proposals: Proposals,
        batch: ItemBatch,
        what: str,
        known: Sequence[Row] = (),
        taken: Callable[[int, Row, int], None] = lambda number, row, evaluations: None,
    ) -> tuple[Offspring, Results]:
        """Make children and score them on a few items, unless they are incoherent.

        Args:
            proposals: the children.
            batch: the items.
            what: the children are, in the plural.
            known: what came of the first of them, which are not made again.
            taken: told what came of each other (number among those, row, item evaluations).

        Returns:
            The children, and their results on the items: 0 for who died at birth.

        Raises:
            CampaignError: all failed.
        """
        suspicious = self.context.config.gate.suspicious
        coherence, nothing = self.coherence, np.zeros(len(batch.items))

        def scored(
            number: int, evaluator: Evaluator, state: State
        ) -> tuple[str | None, Floats, Floats]:
            cause = coherence.examine_weights(state)[1] if coherence else None
            if cause:
                return cause, nothing, nothing
            exact, probability = evaluator.score(batch.prepared)
            # Reading costs as much as several items, and who can do anything at all can read.
            if coherence and merit(exact, probability).mean() < suspicious:
                cause = coherence.examine_reading(evaluator)[1]
            return cause, exact, probability

        def tried(number: int, evaluator: Evaluator, state: State) -> Row:
            # Who raises an error, whatever it is, dies of it.
            survived = passing(scored, lambda number, cause: (cause, nothing, nothing))
            return state_sha256(state), *survived(number, evaluator, state)

        genomes = [child.genome for child in proposals.children[len(known) :]]
        made = self.context.each(
            genomes, tried, self.progress, what, taken=taken, before=len(known)
        )
        rows = [*known, *made]
        causes = tuple(row[1] for row in rows)
        stop_if_all_failed(causes, what)
        for cause in sorted({cause for cause in causes if cause and cause.startswith(FAILED)}):
            many = causes.count(cause)
            self.context.failures.add(f"{many} of {len(causes)} {what} died at birth: {cause}")
        results = Results(
            np.array([exact for _, _, exact, _ in rows]),
            np.array([probability for *_, probability in rows]),
        )
        hashes = tuple(row[0] for row in rows)
        return Offspring(proposals, hashes, results.merit, causes), results

    def living(self, state: PopulationState, batch: ItemBatch, *, fresh: bool) -> Results:
        """The living on the panel of the next generation.

        Args:
            state: who lives.
            batch: the panel.
            fresh: whether it is another panel than the living were scored on.

        Raises:
            CampaignError: a recipe makes other weights than were born.
        """
        if not fresh:
            return Results(state.exact, state.probability)
        scored = scored_or_nothing(
            self.context,
            list(state.breeding.genomes),
            batch.marked.for_each(state.ids),
            self.progress,
            "the living, again",
            state.ids,
        )
        for model, sha in zip(state.members, scored.hashes, strict=True):
            if model.kind == "offspring" and sha != model.weights_sha256:
                raise CampaignError(
                    f"{model.label} was born with other weights than its recipe makes now; "
                    "`colony check` tells what has changed"
                )
        return Results(scored.exact, scored.probability)


@dataclass(frozen=True)
class Finals:
    """Finalists on the panel, round by round.

    Attributes:
        evaluation: makes and scores them.
        offspring: of whom they are.
        batch: the panel.
        results: by row of the offspring, its results so far.
        causes: by row of the offspring, what it died of when it was asked to answer.
    """

    evaluation: Evaluation
    offspring: Offspring
    batch: ItemBatch
    results: dict[int, list[Results]] = field(default_factory=dict)
    causes: dict[int, str] = field(default_factory=dict)

    def score(self, rows: Sequence[int], columns: Sequence[int]) -> Floats:
        """Merits of some rows on a round of the panel; NaN for who cannot answer coherently."""
        number = self.batch.rounds.index(tuple(columns))
        coherence = self.evaluation.coherence

        def scored(
            place: int, evaluator: Evaluator, state: State
        ) -> tuple[str | None, Floats, Floats]:
            cause = coherence.examine_answers(evaluator)[1] if coherence and not number else None
            return cause, *evaluator.score(self.batch.by_round[number])

        genomes = [self.offspring.children[row].genome for row in rows]
        found = self.evaluation.context.each(genomes, scored, self.evaluation.progress, "finalists")
        for row, (cause, exact, probability) in zip(rows, found, strict=True):
            if cause:
                self.causes[row] = cause
            self.results.setdefault(row, []).append(Results(exact[None], probability[None]))
        merits = np.array([merit(exact, probability) for _, exact, probability in found])
        merits[[cause is not None for cause, *_ in found]] = np.nan
        return merits

    def finished(self, race: Race, like: Results) -> Results:
        """The finishers' results, in the order of the panel."""
        order = np.argsort(np.concatenate(self.batch.rounds))
        return stacked([self.results[row] for row in race.finishers], order, like)


def panel_of(living: Results, batch: ItemBatch) -> Panel:
    """A panel as the evolver sees it."""
    return Panel(living.merit, task_weights(batch.items), batch.rounds)
