"""Rounds of the arena played by a colony: it lends the models and keeps what they say.

`arena` decides everything; this file knows where models, items and memories are.
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
from lineage.queries.rounds import barred, heard, record, seats
from lineage.records import Floats, Item, Round
from population import config
from population.campaign.context import Context, Progress
from population.campaign.failure_handling import map_tolerantly
from population.evaluation.evaluator import Evaluator

T = TypeVar("T")


def remembered(archive: Archive, search: config.Search, generation: int) -> list[int]:
    """The judges of the round before a generation's, if that was played on the same panel.

    They go on though they may have died: what they have read would have to be read again.
    """
    if generation % search.rotate == 0:
        return []
    return seats(archive, generation - 1).get(generation - 1, [])


def not_forgotten(archive: Archive, search: config.Search) -> dict[int, list[int]]:
    """By generation, whose kinship is still asked for after it though they may have died.

    It is the judges of its own round and of the round before, as far as others on the same panel
    come after them.
    """
    kept: dict[int, list[int]] = {}
    for generation, judges in seats(archive).items():
        if (generation + 1) % search.rotate:
            for later in (generation, generation + 1):
                kept[later] = sorted({*kept.get(later, []), *judges})
    return kept


def most_evaluations(
    arena: config.ArenaSettings,
    modes: Modes,
    items: int,
    newcomers: int,
    contestants: int,
    judges: int,
) -> int:
    """Item evaluations that a round on so many items takes at most.

    A newcomer answers, and every answer, and what is planted, may be new to every judge. Who takes
    an empty seat reads everybody's. Comparisons ask for both orders and both letters.
    """
    vacant = arena.judges - judges
    read = newcomers * arena.judges + vacant * (contestants + PLANTED)
    each = newcomers + len(reading(modes)) * read
    return items * each + 4 * len(comparing(modes)) * arena.judges * arena.pairs


def memory_of(
    archive: Archive, panel: RoundItems, models: Sequence[int], epoch: int | None
) -> Memory:
    """What the archive knows that a round can build on.

    Args:
        archive: where it is kept.
        panel: of the round.
        models: the contestants, and the bench.
        epoch: the one that the panel belongs to, or None for a tournament.
    """
    said = heard(archive, [item.id for item in panel.items], models)
    return Memory(
        said.answers,
        said.readings,
        said.comparisons,
        said.canaries,
        record(archive, epoch),
        barred(archive),
    )


def rules_of(context: Context) -> Rules:
    """How rounds are played, as a configuration says."""
    arena = context.config.arena
    return Rules(arena.judges, arena.voters, arena.pairs, arena.verifier, context.judges)


def play(
    context: Context,
    genomes: Mapping[int, Floats],
    panel: RoundItems,
    fresh: Sequence[Item],
    who: Contestants,
    memory: Memory,
    rules: Rules,
    progress: Progress,
    hidden: frozenset[str] | None = None,
) -> Round:
    """Play a round.

    Args:
        context: makes the models.
        genomes: of the contestants and the bench, by id.
        panel: on what.
        fresh: items that the archive may not have; those of the panel become known by the round.
        who: the contestants.
        memory: what is known before.
        rules: how.
        progress: told while models work.
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
    return replace(arena.play(who, memory), items=tuple(new))
