"""The coherence filter: stops newborn models that have lost their language (`[gate]`).

A newborn shows that it has its language before it costs a whole panel. First its weights are
measured, then it reads a few texts in one forward pass, and finalists answer a few items freely.
`population.evaluation.coherence` decides.

The texts are prompts with their keys, every token after the first. Prompts alone tell little of
models that were tuned on answers, as many are: the shipped founders find the letters of a prompt
less likely than blind guessing does, and so do good merges and bad ones. Keys alone tell which
model is wrong rather than incoherent: one of eight that a good model is sure to get wrong decides
the mean. Over sixty draws of eight, at limits that never stop one of the better half, the three
stop 0.36, 0.81 and 0.87 of the merges that can do nothing (prompts, keys, both).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, isnan

from lineage.records import Item
from population.campaign.context import Context, Progress, silent
from population.campaign.item_sampling import ItemSampler
from population.errors import PopulationError
from population.evaluation.batching import PreparedItems
from population.evaluation.coherence import (
    Cause,
    CoherenceLimits,
    CoherenceMeasures,
    cause_of_death,
)
from population.evaluation.evaluator import Evaluator
from population.evolution.spaces.parameter import ParameterSpace
from population.models.checkpoints import Checkpoint
from population.weights.materialise import State
from population.weights.norms import founder_norms, norm_ratio

CANDIDATE_ITEMS = 240
"""Search items that a campaign's few are picked from, so that every task is among them."""

UNMEASURED = CoherenceMeasures(finite=True, norm_ratio=0.0)
"""The measures of a model about which nothing bad is known."""

Examination = tuple[CoherenceMeasures, Cause | None]
"""What was measured of a model, and the criterion by which it is incoherent, or None."""


@dataclass(frozen=True)
class CoherenceFilter:
    """Examines models; made once, by `open_coherence_filter`.

    Attributes:
        texts: that models read, one item evaluation each.
        questions: that models answer, one item evaluation each.
        norms: the founders' largest root mean square, by kind of tensor.
        founders: their measures. They live, so no model need be better than the worst of them.
        limits: of the criteria.
    """

    texts: PreparedItems
    questions: tuple[Item, ...]
    norms: dict[str, float]
    founders: tuple[CoherenceMeasures, ...]
    limits: CoherenceLimits

    def examine(
        self, evaluator: Evaluator, state: State, parents: Sequence[CoherenceMeasures] = ()
    ) -> Examination:
        """Examine a model's weights and, if these are coherent, its reading.

        Args:
            evaluator: has the model's weights.
            state: the weights.
            parents: also set a standard where they are worse than all founders. With parents, a
                line may lose its language step by step.
        """
        measures, cause = self.examine_weights(state, parents)
        return (measures, cause) if cause else self.examine_reading(evaluator, measures, parents)

    def examine_weights(
        self, state: State, parents: Sequence[CoherenceMeasures] = ()
    ) -> Examination:
        """Examine a model's weights: no item evaluation. See `examine`."""
        ratio = norm_ratio(state, self.norms)
        measures = CoherenceMeasures(finite=not isnan(ratio), norm_ratio=ratio)
        return measures, self._cause(measures, parents)

    def examine_reading(
        self,
        evaluator: Evaluator,
        measures: CoherenceMeasures = UNMEASURED,
        parents: Sequence[CoherenceMeasures] = (),
    ) -> Examination:
        """Let a model read: an item evaluation for each text. See `examine`.

        Args:
            evaluator: has the model's weights.
            measures: of the weights, by `examine_weights`.
            parents: as there, with their reading.
        """
        surprise = evaluator.surprise(self.texts)
        measures = replace(measures, finite=isfinite(surprise), surprise=surprise)
        return measures, self._cause(measures, parents)

    def examine_answers(
        self,
        evaluator: Evaluator,
        measures: CoherenceMeasures = UNMEASURED,
        parents: Sequence[CoherenceMeasures] = (),
    ) -> Examination:
        """Let a model answer: an item evaluation for each question. See `examine`.

        Args:
            evaluator: has the model's weights.
            measures: by `examine`; unmeasured, for a model that was let through.
            parents: as there, with their answers.
        """
        measures = replace(measures, answers=tuple(evaluator.answer_freely(self.questions)))
        return measures, self._cause(measures, parents)

    def _cause(
        self, measures: CoherenceMeasures, parents: Sequence[CoherenceMeasures]
    ) -> Cause | None:
        keys = [item.key for item in self.questions]
        return cause_of_death(measures, [*self.founders, *parents], self.limits, keys)


def coherence_filter_of(
    context: Context, sampler: ItemSampler, progress: Progress = silent
) -> CoherenceFilter | None:
    """The coherence filter of a campaign, as `[gate]` sets it; None if it is not enabled.

    Args:
        context: with the founders, which set the standard.
        sampler: of the campaign's items.
        progress: called while founders are examined; may raise to stop.
    """
    settings = context.config.gate
    if not settings.enabled:
        return None
    scaled = not isinstance(context.factory.space, ParameterSpace)
    return open_coherence_filter(
        context,
        sampler.sample_for("gate", CANDIDATE_ITEMS),
        texts=settings.texts,
        answers=settings.answers,
        limits=CoherenceLimits(
            # The scales of a route go into its weights, so their length says nothing.
            norm_ratio=inf if scaled else settings.norms,
            surprise=settings.surprise,
        ),
        progress=progress,
    )


def open_coherence_filter(
    context: Context,
    items: Sequence[Item],
    *,
    texts: int = 8,
    answers: int = 4,
    limits: CoherenceLimits | None = None,
    progress: Progress = silent,
) -> CoherenceFilter:
    """Examine the founders, which set the standard: `texts + answers` item evaluations for each.

    Args:
        context: with the founders.
        items: search items, task by task; those that are used are spread evenly over them.
        texts: that a model reads.
        answers: that a model gives.
        limits: of the criteria.
        progress: called while founders are examined; may raise to stop.

    Raises:
        PopulationError: there are no items.
    """
    if not items:
        raise PopulationError("the coherence filter needs items to examine models with")
    coherence = CoherenceFilter(
        texts=context.evaluator.prepare_texts(_spread(items, texts)),
        questions=tuple(_spread(items, answers)),
        norms=founder_norms(
            context.founders,
            lambda done, total: progress(done, total, "measuring the founders"),
        ),
        founders=(),
        limits=limits or CoherenceLimits(),
    )

    def examine(number: int, evaluator: Evaluator, state: State) -> CoherenceMeasures:
        measures, _ = coherence.examine(evaluator, state)
        return coherence.examine_answers(evaluator, measures)[0]

    count = len(context.founders)
    founders = context.pool.map(
        _states_of(context.founders),
        examine,
        lambda done: progress(done, count, "examining the founders"),
    )
    return replace(coherence, founders=tuple(founders))


def _spread(items: Sequence[Item], count: int) -> list[Item]:
    """`count` of the items, evenly spaced, so that as many tasks as possible are among them."""
    count = min(count, len(items))
    return [items[number * len(items) // count] for number in range(count)]


def _states_of(founders: Sequence[Checkpoint]) -> Iterator[State]:
    for founder in founders:
        state = {}
        for name in founder.tensors:
            state[name] = founder.tensor(name)
            founder.release(name)
        yield state
        del state
