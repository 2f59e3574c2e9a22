"""A rehearsal: what a campaign will take, measured on one candidate before anything is written."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lineage.records import Item
from population.campaign.context import Context, Progress, silent
from population.campaign.generation_cost import GenerationSize, cost_of_generation
from population.campaign.item_sampling import item_pools
from population.campaign.opening import pinned
from population.campaign.opening_context import open_context
from population.campaign.readiness import check_ready, cost_of_founding
from population.config import Budget, Config
from population.errors import CampaignError
from population.evolution.extensions import Extensions
from population.randomness import generator


@dataclass(frozen=True)
class Affordable:
    """What one limit of a budget pays for.

    Attributes:
        limit: in words, such as `60,000 item evaluations`.
        evaluations: item evaluations that it comes to.
        generations: after generation 0, at least; 0 also where it does not pay for that.
        seconds: that these take.
    """

    limit: str
    evaluations: int
    generations: int
    seconds: float


@dataclass(frozen=True)
class Rehearsal:
    """What a campaign will take.

    Attributes:
        founders: how many models are merged.
        parameters: of each.
        model_bytes: of its weights.
        memory: the device, and what will be in memory at a time, in a line.
        items: that a candidate is scored on first.
        candidate_s: seconds that making and scoring it there takes, with all networks at work.
        candidate_tokens: that it reads or generates there.
        founding: item evaluations of generation 0, before the arena.
        generation: of each further one, at most.
        pays: for each limit of the budget what it pays for; the campaign ends at the first.
        notes: for the user, a line each.
    """

    founders: int
    parameters: int
    model_bytes: int
    memory: str
    items: int
    candidate_s: float
    candidate_tokens: int
    founding: int
    generation: int
    pays: tuple[Affordable, ...]
    notes: tuple[str, ...]

    @property
    def first_limit(self) -> Affordable:
        """The limit that is reached first."""
        return min(self.pays, key=lambda one: (one.generations, one.evaluations))

    @property
    def generations(self) -> int:
        """Generations after generation 0 that the budget pays for, at least."""
        return self.first_limit.generations

    @property
    def seconds(self) -> float:
        """Seconds that the campaign takes."""
        return self.first_limit.seconds

    def as_json(self) -> dict[str, Any]:
        """The dictionary that `run --dry-run --json` prints."""
        return {
            **asdict(self),
            "limit": self.first_limit.limit,
            "generations": self.generations,
            "seconds": self.seconds,
        }


def rehearsed(
    config: Config,
    limits: Budget,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda _: None,
    extensions: Extensions | None = None,
    *,
    report: bool = True,
) -> Rehearsal:
    """Check all that `started` checks, and measure one candidate. Nothing is written.

    Args:
        config: with paths resolved.
        limits: what the campaign may spend.
        progress: called while it is rehearsed; may raise to stop.
        say: called with notes about the founders.
        extensions: operators, survival rules and judges from outside the project.
        report: whether the sealed split will be asked for.

    Raises:
        CampaignError: the models do not fit into memory, or what `started` raises.
    """
    context = open_context(pinned(config), progress, say, extensions)
    context.progress = progress
    plan = context.factory.plan
    if not plan.enough:
        raise CampaignError(
            f"these founders do not fit: they take {plan.words}; raise [run] memory_gb, free "
            "memory, or take smaller founders"
        )
    notes = (*context.check_items(), *check_ready(context, limits, report=report))
    pools = item_pools(context.tasks, context.config.run.seed, context.config)
    few = pools.drawn(0, config.search.items)
    candidate = _measured(context, few, progress)
    founding, each = cost_of_founding(context, pools), _cost_of_a_generation(context)
    founder = context.founders[0]
    return Rehearsal(
        founders=len(context.founders),
        parameters=founder.parameters,
        model_bytes=plan.needs.model,
        memory=f"{context.evaluator.device}: {plan.words}",
        items=len(few),
        candidate_s=candidate.seconds,
        candidate_tokens=candidate.tokens,
        founding=founding,
        generation=each,
        pays=_affordable(limits, candidate, founding, each),
        notes=notes,
    )


@dataclass(frozen=True)
class _Candidate:
    """What making and scoring one model took: seconds, tokens and item evaluations."""

    seconds: float
    tokens: int
    evaluations: int


def _affordable(
    limits: Budget, candidate: _Candidate, founding: int, each: int
) -> tuple[Affordable, ...]:
    """What each limit pays for, at the pace of a candidate.

    Args:
        limits: of the campaign.
        candidate: that was measured.
        founding: item evaluations of generation 0.
        each: item evaluations of each further one.
    """
    seconds_each = candidate.seconds / candidate.evaluations
    tokens_each = candidate.tokens / candidate.evaluations
    evaluations = {f"{limits.item_evaluations:,} item evaluations": limits.item_evaluations}
    if limits.minutes is not None:
        evaluations[f"{limits.minutes:,g} minutes"] = int(60.0 * limits.minutes / seconds_each)
    if limits.tokens is not None:
        evaluations[f"{limits.tokens:,} tokens"] = int(limits.tokens / tokens_each)
    if limits.generations is not None:
        asked = founding + limits.generations * each
        evaluations[f"{limits.generations:,} generations"] = asked
    return tuple(
        Affordable(limit, count, max(0, count - founding) // each, count * seconds_each)
        for limit, count in evaluations.items()
    )


def _measured(context: Context, items: Sequence[Item], progress: Progress) -> _Candidate:
    """What a candidate takes, made and scored with as many others as work at a time."""
    prepared = (
        context.evaluator.prepare_keys(items)
        if context.config.search.merit == "keys"
        else context.evaluator.prepare_texts(items)
    )
    count = max(2, context.factory.plan.evaluators)
    first = context.factory.space.initial_genomes(generator(0, "rehearsal"), count + 1)
    genomes = [first[number % len(first)].genes.ravel() for number in range(count + 1)]

    def read(start: int, stop: int) -> float:
        began = time.perf_counter()
        context.map_models(
            genomes[start:stop],
            lambda number, evaluator, state: (
                context.identify(state),
                evaluator.score(prepared) if prepared.questions else evaluator.surprise(prepared),
            ),
            progress,
            "rehearsing",
        )
        return time.perf_counter() - began

    read(0, 1)  # what starts lazily
    before = context.evaluator.meter.tokens
    seconds = read(1, count + 1) / count
    tokens = max(1, (context.evaluator.meter.tokens - before) // count)
    return _Candidate(seconds, tokens, context.evaluations(items))


def _cost_of_a_generation(context: Context) -> int:
    """Item evaluations that a generation with a whole brood takes at most: an epoch's mean."""
    search, questions = context.config.search, context.max_evaluations

    panel, living = questions(search.panel), search.population + len(context.founders)
    size = GenerationSize(
        brood=search.brood,
        living=living,
        panel=panel,
        renewal=living * panel // search.rotate,
        selection=context.evaluations(context.split("selection")),
        newcomers=living // search.rotate,
        judges=context.config.arena.judges,
    )
    return cost_of_generation(context, size, questions)
