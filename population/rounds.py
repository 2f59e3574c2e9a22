"""Rounds of the arena played by a colony: it lends the models and keeps what they say.

`arena` decides everything; this file knows where models, items and memories are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from arena.panel import ArenaPanel, arena_panel
from arena.round import Arena, Field, Memory, Rules
from lineage import Archive
from lineage.queries.rounds import barred, heard, record
from lineage.records import Floats, Item, Round
from population import config
from population.player import Player
from population.workshop import Progress, Workshop

T = TypeVar("T")


def memory_of(
    archive: Archive, panel: ArenaPanel, models: Sequence[int], epoch: int | None
) -> Memory:
    """What the archive knows that a round can build on.

    Args:
        archive: where it is kept.
        panel: of the round.
        models: the contestants.
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


def play(
    workshop: Workshop,
    genomes: Mapping[int, Floats],
    panel: tuple[Sequence[Item], Sequence[Item]],
    who: Field,
    remember: Callable[[ArenaPanel], Memory],
    progress: Progress,
) -> Round:
    """Play a round.

    Args:
        workshop: makes the models.
        genomes: of the contestants, by id.
        panel: items that they were scored on, and items that nobody ever saw.
        who: the contestants.
        remember: what is known of a panel.
        progress: told while models work.
    """
    rules: config.Arena = workshop.config.arena
    known, fresh = panel
    chosen = arena_panel(known, fresh, rules.items, rules.checkable)
    hidden = frozenset(item.id for item in fresh)

    def lend(models: Sequence[int], work: Callable[[int, Player], T]) -> list[T]:
        return workshop.each(
            [genomes[model] for model in models],
            lambda number, player, state: work(models[number], player),
            progress,
            "arena",
        )

    arena = Arena(
        lend,
        {task.name: task for task in workshop.tasks},
        workshop.player.tokens,
        Rules(rules.judges, rules.voters, rules.pairs, rules.verifier),
        chosen,
        hidden,
    )
    played = arena.play(who, remember(chosen))
    return replace(played, items=tuple(item for item in chosen.items if item.id in hidden))
