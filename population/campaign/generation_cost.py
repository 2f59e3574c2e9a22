"""What a generation takes at most, in item evaluations."""

from collections.abc import Callable
from dataclasses import dataclass

from population.campaign.arena_rounds import max_evaluations
from population.campaign.champion import LAST_CHALLENGE
from population.campaign.context import Context
from population.campaign.local_search import cost_of_steps


@dataclass(frozen=True)
class GenerationSize:
    """How much a generation has to do.

    Attributes:
        brood: children that are born.
        living: founders and offspring before them.
        panel: questions that each finalist is asked.
        renewal: item evaluations of a fresh panel, where one is sampled.
        selection: items that a challenger is scored on.
        newcomers: who is in the arena for the first time, or on a fresh panel; finalists aside.
        judges: that the arena keeps.
    """

    brood: int
    living: int
    panel: int
    renewal: int
    selection: int
    newcomers: int
    judges: int


def cost_of_generation(
    context: Context, size: GenerationSize, questions: Callable[[int], int]
) -> int:
    """Item evaluations that a generation takes at most.

    Args:
        context: of the campaign.
        size: of the generation.
        questions: how many are asked at most where so many items are sampled.
    """
    config, search = context.config, context.config.search
    finalists = min(search.finalists, size.brood)
    cost = size.brood * (questions(search.items) + config.gate.texts)
    cost += finalists * (size.panel + config.gate.answers)
    cost += cost_of_steps(context, size.brood) + size.renewal
    cost += search.challengers * LAST_CHALLENGE * size.selection
    return cost + max_evaluations(
        config.arena,
        context.components.judges,
        questions(config.arena.items),
        finalists + size.newcomers,
        size.living + finalists,
        size.judges,
    )
