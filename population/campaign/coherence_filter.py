"""The gate: a newborn model shows that it has its language before it costs a whole panel.

First its weights are looked at, then it reads a few texts in one forward pass, and whoever is
about to live answers a few items freely. `population.evaluation.coherence` decides.

The texts are prompts with their keys, every token after the first. Prompts alone tell little of
models that were tuned on answers, as many are: the shipped founders find the letters of a prompt
less likely than blind guessing does, and so do good merges and bad ones. Keys alone tell who is
wrong rather than who is lost: one of eight that a good model is sure to get wrong decides the mean.
Over sixty draws of eight, at limits that never stop one of the better half, the three stop 0.36,
0.81 and 0.87 of the merges that can do nothing (prompts, keys, both).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, isnan

from lineage.records import Item
from population.campaign.context import Context, Progress, silent
from population.campaign.item_sampling import ItemSampler
from population.errors import PopulationError
from population.evaluation.coherence import Cause, CoherenceLimits, Health, cause_of_death
from population.evaluation.evaluator import Evaluator
from population.evaluation.prepared import Prepared
from population.evolution.spaces.parameter import ParameterSpace
from population.models.checkpoints import Checkpoint
from population.weights.materialise import State
from population.weights.norms import founder_norms, norm_ratio

GATE_ITEMS = 240
"""Search items that a campaign's few are picked from, so that every task is among them."""

FINE = Health(finite=True, norm_ratio=0.0)
"""The health of a model about which nothing bad is known."""


@dataclass(frozen=True)
class CoherenceFilter:
    """Examines models; made once, by `open_gate`.

    Attributes:
        texts: what is read, one item evaluation each.
        questions: what is answered, one item evaluation each.
        norms: the founders', by kind of tensor.
        founders: their health. They live, so nobody need be better than the worst of them.
        limits: what a model may do.
    """

    texts: Prepared
    questions: tuple[Item, ...]
    norms: dict[str, float]
    founders: tuple[Health, ...]
    limits: CoherenceLimits

    def examine(
        self, evaluator: Evaluator, state: State, parents: Sequence[Health] = ()
    ) -> tuple[Health, Cause | None]:
        """Look at a model's weights and let it read. Who is dead by its weights reads nothing.

        Args:
            evaluator: has become the model.
            state: its weights.
            parents: also set a standard where they are worse than all founders. With parents, a
                line may lose its language step by step.
        """
        health, cause = self.examine_weights(state, parents)
        return (health, cause) if cause else self.examine_reading(evaluator, health, parents)

    def examine_weights(
        self, state: State, parents: Sequence[Health] = ()
    ) -> tuple[Health, Cause | None]:
        """Look at a model's weights: no item evaluation."""
        ratio = norm_ratio(state, self.norms)
        health = Health(finite=not isnan(ratio), norm_ratio=ratio)
        return health, self._judged(health, parents)

    def examine_reading(
        self, evaluator: Evaluator, health: Health = FINE, parents: Sequence[Health] = ()
    ) -> tuple[Health, Cause | None]:
        """Let a model read: an item evaluation for each text."""
        surprise = evaluator.surprise(self.texts)
        health = replace(health, finite=isfinite(surprise), surprise=surprise)
        return health, self._judged(health, parents)

    def examine_answers(
        self, evaluator: Evaluator, health: Health = FINE, parents: Sequence[Health] = ()
    ) -> tuple[Health, Cause | None]:
        """Let a model answer.

        Args:
            evaluator: has become the model.
            health: what `examine` found; nothing bad, for one that was let through.
            parents: as there, with their answers.
        """
        health = replace(health, answers=tuple(evaluator.answer_freely(self.questions)))
        return health, self._judged(health, parents)

    def _judged(self, health: Health, parents: Sequence[Health]) -> Cause | None:
        keys = [item.key for item in self.questions]
        return cause_of_death(health, [*self.founders, *parents], self.limits, keys)


def coherence_filter_of(
    context: Context, sampler: ItemSampler, progress: Progress = silent
) -> CoherenceFilter | None:
    """The gate of a campaign, where the founders set the standard; None if it wants none."""
    settings = context.config.gate
    if not settings.enabled:
        return None
    scaled = not isinstance(context.space, ParameterSpace)
    return open_gate(
        context,
        sampler.few("gate", GATE_ITEMS),
        read=settings.texts,
        answer=settings.answers,
        limits=CoherenceLimits(
            # The scales of a route go into its weights, so their length says nothing.
            norm_ratio=inf if scaled else settings.norms,
            surprise=settings.surprise,
        ),
        progress=progress,
    )


def open_gate(
    context: Context,
    items: Sequence[Item],
    *,
    read: int = 8,
    answer: int = 4,
    limits: CoherenceLimits | None = None,
    progress: Progress = silent,
) -> CoherenceFilter:
    """Examine the founders, which set the standard: `read + answer` item evaluations for each.

    Args:
        context: with the founders.
        items: search items, task by task; those that are used are spread evenly over them.
        read: texts that a model reads.
        answer: items that a model answers.
        limits: what a model may do.
        progress: told while founders are examined; may raise to stop.

    Raises:
        PopulationError: there are no items.
    """
    if not items:
        raise PopulationError("a gate needs items to examine models with")
    gate = CoherenceFilter(
        texts=context.evaluator.prepare_texts(_spread(items, read)),
        questions=tuple(_spread(items, answer)),
        norms=founder_norms(
            context.founders,
            lambda done, total: progress(done, total, "measuring the founders"),
        ),
        founders=(),
        limits=limits or CoherenceLimits(),
    )

    def examined(number: int, evaluator: Evaluator, state: State) -> Health:
        health, _ = gate.examine(evaluator, state)
        return gate.examine_answers(evaluator, health)[0]

    states, count = _states_of(context.founders), len(context.founders)
    healths = context.pool.each(
        states, examined, lambda done: progress(done, count, "examining the founders")
    )
    return replace(gate, founders=tuple(healths))


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
