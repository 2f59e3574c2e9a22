"""Reasons to stop a campaign: the first limit that is reached, named in a sentence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from population.config import Budget


@dataclass(frozen=True)
class CampaignStanding:
    """How far a campaign has come.

    Attributes:
        generation: the last committed one.
        spent: item evaluations so far.
        elapsed_s: seconds of work so far, over all of its runs if it was resumed.
        selection_history: the champion's selection score by generation, oldest first.
        next_cost: item evaluations that the next generation takes at most; a budget that cannot pay
            for it is spent.
        tokens: that models read, learned or generated so far.
    """

    generation: int
    spent: int
    elapsed_s: float
    selection_history: Sequence[float]
    next_cost: int = 0
    tokens: int = 0

    @property
    def next_tokens(self) -> int:
        """Tokens that the next generation probably takes, at as many for each item evaluation."""
        return round(self.next_cost * self.tokens / self.spent) if self.spent else 0


@dataclass(frozen=True)
class StoppingLimits:
    """When to stop; None never stops.

    Attributes:
        item_evaluations: the budget.
        generations: how many are bred.
        seconds: how long it may work.
        tokens: that models may read, learn or generate.
        stagnation: generations without progress.
        improvement: a rise of the champion's selection score within these generations counts as
            progress if it is more than this.
        target: the selection score that is good enough.
    """

    item_evaluations: int | None = None
    generations: int | None = None
    seconds: float | None = None
    tokens: int | None = None
    stagnation: int | None = None
    improvement: float = 0.0
    target: float | None = None


def limits_of(budget: Budget) -> StoppingLimits:
    """The limits that a configuration sets."""
    return StoppingLimits(
        item_evaluations=budget.item_evaluations,
        generations=budget.generations,
        seconds=None if budget.minutes is None else 60.0 * budget.minutes,
        tokens=budget.tokens,
        stagnation=budget.stagnation,
        target=budget.target,
    )


def reason_to_stop(standing: CampaignStanding, limits: StoppingLimits) -> str | None:
    """One sentence that says why to stop, or None to go on. Success is named before exhaustion."""
    reasons = (rule(standing, limits) for rule in RULES)
    return next((reason for reason in reasons if reason is not None), None)


def _target(standing: CampaignStanding, limits: StoppingLimits) -> str | None:
    if limits.target is None or not standing.selection_history:
        return None
    score = standing.selection_history[-1]
    if score < limits.target:
        return None
    return f"the champion's selection score is {score:.3f}, the target was {limits.target:.3f}"


def _generations(standing: CampaignStanding, limits: StoppingLimits) -> str | None:
    if limits.generations is None or standing.generation < limits.generations:
        return None
    return f"all of the {limits.generations:,} generations asked for are bred"


def _budget(standing: CampaignStanding, limits: StoppingLimits) -> str | None:
    budget = limits.item_evaluations
    if budget is None or standing.spent + max(1, standing.next_cost) <= budget:
        return None
    spent = f"{standing.spent:,} of {budget:,} item evaluations are spent"
    if standing.spent >= budget:
        return spent
    return f"{spent}, and the next generation may take {standing.next_cost:,}"


def _tokens(standing: CampaignStanding, limits: StoppingLimits) -> str | None:
    budget, expected = limits.tokens, standing.next_tokens
    if budget is None or standing.tokens + max(1, expected) <= budget:
        return None
    spent = f"{standing.tokens:,} of {budget:,} tokens are spent"
    if standing.tokens >= budget:
        return spent
    return f"{spent}, and the next generation may take {expected:,}"


def _time(standing: CampaignStanding, limits: StoppingLimits) -> str | None:
    if limits.seconds is None or standing.elapsed_s < limits.seconds:
        return None
    return f"the campaign has worked for {standing.elapsed_s:,.0f} of {limits.seconds:,.0f} seconds"


def _stagnation(standing: CampaignStanding, limits: StoppingLimits) -> str | None:
    history = standing.selection_history
    if limits.stagnation is None or len(history) <= limits.stagnation:
        return None
    # The best before these generations, not the score just before them: a champion that dies is
    # followed by a worse one, and making up for that is no progress.
    progress = max(history[: -limits.stagnation]) + limits.improvement
    if max(history[-limits.stagnation :]) > progress:
        return None
    return (
        f"in {limits.stagnation:,} generations the champion's selection score has not risen above "
        f"{progress:.3f}"
    )


RULES: tuple[Callable[[CampaignStanding, StoppingLimits], str | None], ...] = (
    _target,
    _generations,
    _budget,
    _tokens,
    _time,
    _stagnation,
)
