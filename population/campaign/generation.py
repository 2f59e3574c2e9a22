"""Evaluates a generation: offspring on a few fresh items, finalists and the living on the panel."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lineage.merit import merit
from lineage.records import Floats
from lineage.task_weights import TaskWeights
from population.campaign.coherence_filter import CoherenceFilter
from population.campaign.context import Context, Progress
from population.campaign.failure_handling import score_tolerantly, stop_if_all_failed
from population.campaign.item_sampling import ItemBatch
from population.campaign.model_work import FAILURE_PREFIX, Failed, Identified, Tolerant, failure
from population.campaign.state import PopulationState
from population.errors import CampaignError
from population.evaluation.batching import PreparedItems
from population.evaluation.evaluator import Evaluator
from population.evaluation.results import Results, stacked
from population.evolution.finals import Race
from population.evolution.proposals import Offspring, Panel, Proposals
from population.weights.materialise import State


@dataclass(frozen=True)
class EvaluatedChild:
    """A child that was made and scored on a few items.

    Attributes:
        identity: of its weights, see `Context.identify`.
        cause: of its death at birth, or None.
        exact: shape (items,): verdicts on its answers; 0 if it died.
        probability: shape (items,): of the right answers; 0 if it died.
    """

    identity: str
    cause: str | None
    exact: Floats
    probability: Floats


_ChildScores = tuple[str | None, Floats, Floats]
"""Cause of death or None, verdicts and probabilities; see `EvaluatedChild`."""


@dataclass(frozen=True)
class _ChildScoring:
    """Scores a child on a few items, unless it is incoherent.

    Attributes:
        coherence: stops models that have lost their language.
        prepared: the items.
        items: how many they are.
        suspicious: who scores less has to show that it can read.
    """

    coherence: CoherenceFilter | None
    prepared: PreparedItems
    items: int
    suspicious: float

    def __call__(self, number: int, evaluator: Evaluator, state: State) -> _ChildScores:
        coherence, zeros = self.coherence, np.zeros(self.items)
        cause = coherence.examine_weights(state)[1] if coherence else None
        if cause:
            return cause, zeros, zeros
        exact, probability = evaluator.score(self.prepared)
        # Reading costs as much as several items, and a model that solves anything can read.
        if coherence and merit(exact, probability).mean() < self.suspicious:
            cause = coherence.examine_reading(evaluator)[1]
        return cause, exact, probability


@dataclass(frozen=True)
class _FinalistScoring:
    """Scores a finalist on a round of the panel; who enters it has to answer coherently.

    Attributes:
        coherence: examines its answers; None where it was examined before, or is not.
        prepared: the items of the round.
    """

    coherence: CoherenceFilter | None
    prepared: PreparedItems

    def __call__(self, number: int, evaluator: Evaluator, state: State) -> _ChildScores:
        cause = self.coherence.examine_answers(evaluator)[1] if self.coherence else None
        return cause, *evaluator.score(self.prepared)


@dataclass(frozen=True)
class GenerationEvaluator:
    """Makes the models of a generation and scores them.

    Attributes:
        context: what models are made of and scored with.
        coherence: stops models that have lost their language; None lets all pass.
        progress: told while models work; may raise to stop.
    """

    context: Context
    coherence: CoherenceFilter | None
    progress: Progress

    def evaluate(
        self,
        proposals: Proposals,
        batch: ItemBatch,
        label: str,
        evaluated: Sequence[EvaluatedChild] = (),
        on_evaluated: Callable[[int, EvaluatedChild, int], None] = lambda number, child, cost: None,
    ) -> tuple[Offspring, Results]:
        """Make children and score them on a few items, unless they are incoherent.

        Args:
            proposals: the children.
            batch: the items.
            label: what the children are called in messages, in the plural.
            evaluated: the first of the children, if they were evaluated before.
            on_evaluated: called for each other child, in order, with (its number among those, the
                child, the item evaluations that it took).

        Returns:
            The children, and their results on the items: 0 for those that died at birth.

        Raises:
            CampaignError: all failed.
        """
        score = _ChildScoring(
            self.coherence, batch.prepared, len(batch.items), self.context.config.gate.suspicious
        )
        zeros = np.zeros(len(batch.items))
        genomes = [child.genome for child in proposals.children[len(evaluated) :]]

        def child_of(result: tuple[str, _ChildScores | Failed]) -> EvaluatedChild:
            # A child whose work raises an error, whatever it is, dies of it.
            identity, found = result
            if isinstance(found, Failed):
                return EvaluatedChild(identity, found.cause, zeros, zeros)
            return EvaluatedChild(identity, *found)

        results = self.context.map_models(
            genomes,
            Identified(Tolerant(score), by_fingerprint=self.context.by_fingerprint),
            self.progress,
            label,
            on_result=lambda number, result, cost: on_evaluated(number, child_of(result), cost),
            done_before=len(evaluated),
            lost=lambda number, cause: (
                self.context.identity_made_by(genomes[number]),
                failure(number, cause),
            ),
        )
        children = [*evaluated, *map(child_of, results)]
        causes = tuple(child.cause for child in children)
        stop_if_all_failed(causes, label)
        self._report_failures(causes, label)
        scores = Results(
            np.array([child.exact for child in children]),
            np.array([child.probability for child in children]),
        )
        identities = tuple(child.identity for child in children)
        return Offspring(proposals, identities, scores.merit, causes), scores

    def _report_failures(self, causes: Sequence[str | None], label: str) -> None:
        failures = {cause for cause in causes if cause and cause.startswith(FAILURE_PREFIX)}
        for cause in sorted(failures):
            self.context.failures.add(
                f"{causes.count(cause)} of {len(causes)} {label} died at birth: {cause}"
            )

    def score_living(self, state: PopulationState, batch: ItemBatch, *, fresh: bool) -> Results:
        """The results of the living on the panel of the next generation.

        Args:
            state: who lives.
            batch: the panel.
            fresh: whether it is another panel than the living were scored on.

        Raises:
            CampaignError: a recipe makes other weights than were born.
        """
        if not fresh:
            return Results(state.exact, state.probability)
        scored = score_tolerantly(
            self.context,
            list(state.breeding.members.genomes),
            batch.answered.for_each(state.ids),
            self.progress,
            "the living, again",
            state.ids,
        )
        for model, identity in zip(state.members, scored.identities, strict=True):
            if model.kind == "offspring" and identity != model.identity:
                raise CampaignError(
                    f"{model.label} was born with other weights than its recipe makes now; "
                    "`colony check` tells what has changed"
                )
        return Results(scored.exact, scored.probability)


@dataclass(frozen=True)
class FinalistScorer:
    """Scores finalists on the panel, round by round, and collects their results.

    Attributes:
        evaluation: makes and scores them.
        offspring: all of the generation.
        batch: the panel.
        results: by row of the offspring, its results so far, a part for each round.
        causes: by row of the offspring, the cause of death of those that cannot answer coherently.
    """

    evaluation: GenerationEvaluator
    offspring: Offspring
    batch: ItemBatch
    results: dict[int, list[Results]] = field(default_factory=dict)
    causes: dict[int, str] = field(default_factory=dict)

    def score(self, rows: Sequence[int], columns: Sequence[int]) -> Floats:
        """The merits of some offspring on a round of the panel.

        Args:
            rows: of the offspring.
            columns: of the panel that make up the round.

        Returns:
            Shape (rows, columns); NaN for those that cannot answer coherently.
        """
        number = self.batch.rounds.index(tuple(columns))
        coherence = self.evaluation.coherence

        work = _FinalistScoring(None if number else coherence, self.batch.by_round[number])
        zeros = np.zeros(len(columns))
        scored = self.evaluation.context.map_models(
            [self.offspring.children[row].genome for row in rows],
            work,
            self.evaluation.progress,
            "finalists",
            lost=lambda place, cause: (failure(place, cause).cause, zeros, zeros),
        )
        for row, (cause, exact, probability) in zip(rows, scored, strict=True):
            if cause:
                self.causes[row] = cause
            self.results.setdefault(row, []).append(Results(exact[None], probability[None]))
        merits = np.array([merit(exact, probability) for _, exact, probability in scored])
        merits[[cause is not None for cause, *_ in scored]] = np.nan
        return merits

    def results_of_finishers(self, race: Race, living: Results) -> Results:
        """The finishers' results, in the order of the panel; `living` gives the shape."""
        order = np.argsort(np.concatenate(self.batch.rounds))
        return stacked([self.results[row] for row in race.finishers], order, living)


def panel_of(living: Results, batch: ItemBatch, weights: TaskWeights) -> Panel:
    """A panel as the evolver sees it."""
    each = weights.of_items([item.task for item in batch.items])
    return Panel(living.merit, each, batch.rounds)
