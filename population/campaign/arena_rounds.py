"""Plays arena rounds with the models of a campaign.

`arena` decides everything; this file supplies models, items and what the archive remembers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from arena.judges import Modes, comparing, reading
from arena.matches.cost import PLANTED
from arena.matches.items import RoundItems
from arena.matches.round import Arena
from arena.matches.round_inputs import Contestants, Memory, Rules
from lineage import Archive
from lineage.queries.rounds import (
    excluded_judges,
    known_answers,
    readers_by_generation,
    trust_record,
)
from lineage.records import Floats, Item, Round
from population import config
from population.campaign.context import Context, Progress
from population.campaign.failure_handling import map_tolerantly
from population.evaluation.evaluator import Evaluator

T = TypeVar("T")


def judges_to_keep(archive: Archive, search: config.Search, generation: int) -> list[int]:
    """Ids of the judges of the round before a generation's, if it was played on the same panel.

    They go on though they may have died: a new judge would have to read all answers again.

    Args:
        archive: of the campaign.
        search: with the length of an epoch.
        generation: whose round is to be played.
    """
    if generation % search.rotate == 0:
        return []
    return readers_by_generation(archive, generation - 1).get(generation - 1, [])


def judges_by_generation(archive: Archive, search: config.Search) -> dict[int, list[int]]:
    """By generation, ids whose kinship is needed after it though they may have died.

    These are the judges of its own round and of the round before, as far as others on the same
    panel come after them.
    """
    kept: dict[int, list[int]] = {}
    for generation, judges in readers_by_generation(archive).items():
        if (generation + 1) % search.rotate:
            for later in (generation, generation + 1):
                kept[later] = sorted({*kept.get(later, []), *judges})
    return kept


def max_evaluations(
    arena: config.ArenaSettings,
    modes: Modes,
    items: int,
    newcomers: int,
    contestants: int,
    judges: int,
) -> int:
    """Item evaluations that a round takes at most.

    A newcomer answers, and every answer and canary may be new to every judge. A new judge reads all
    answers. Comparisons ask for both orders and both letters.

    Args:
        arena: how rounds are played.
        modes: kinds of judges, by mode.
        items: of the round.
        newcomers: models that have not answered them.
        contestants: models in the round.
        judges: that are kept from the round before.
    """
    vacant = arena.judges - judges
    read = newcomers * arena.judges + vacant * (contestants + PLANTED)
    each = newcomers + len(reading(modes)) * read
    return items * each + 4 * len(comparing(modes)) * arena.judges * arena.pairs


def arena_memory(
    archive: Archive, panel: RoundItems, models: Sequence[int], epoch: int | None
) -> Memory:
    """The answers, readings and records in an archive that a round can build on.

    Args:
        archive: of the campaign.
        panel: of the round.
        models: the contestants, and the bench.
        epoch: that the panel belongs to, or None for an offline round.
    """
    stored = known_answers(archive, [item.id for item in panel.items], models)
    return Memory(
        stored.answers,
        stored.readings,
        stored.comparisons,
        stored.canaries,
        trust_record(archive, epoch),
        excluded_judges(archive),
    )


def arena_rules(context: Context) -> Rules:
    """The rules of rounds, as a configuration sets them.

    Where a colony breeds by its own labels, keys that there are examine its judges and decide no
    match.
    """
    arena = context.config.arena
    verifier = arena.verifier and not context.config.by_labels
    return Rules(arena.judges, arena.voters, arena.pairs, verifier, context.components.judges)


def play_round(
    context: Context,
    genomes: Mapping[int, Floats],
    panel: RoundItems,
    fresh: Sequence[Item],
    contestants: Contestants,
    memory: Memory,
    rules: Rules,
    progress: Progress,
    hidden: frozenset[str] | None = None,
) -> Round:
    """Play a round.

    Args:
        context: makes the models.
        genomes: of the contestants and the bench, by id, shape (genes,) each.
        panel: the items of the round.
        fresh: items that the archive may not have; those of the panel are stored with the round.
        contestants: who plays.
        memory: of earlier rounds, see `arena_memory`.
        rules: see `arena_rules`.
        progress: called while models work; may raise to stop.
        hidden: ids of items that nothing else asks; by default all that are fresh.
    """
    unseen = {item.id for item in fresh}
    new = [item for item in panel.items if item.id in unseen]

    def lend(models: Sequence[int], work: Callable[[int, Evaluator], T]) -> list[T | None]:
        own = [genomes[model] for model in models]
        return map_tolerantly(context, own, models, work, progress, "arena")

    arena = Arena(
        lend,
        {task.name: task for task in context.tasks},
        context.evaluator.count_tokens,
        rules,
        panel,
        frozenset(item.id for item in new) if hidden is None else hidden,
    )
    return replace(arena.play(contestants, memory), items=tuple(new))
