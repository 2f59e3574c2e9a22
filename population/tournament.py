"""Tournaments: rounds of the arena on an archive at rest, on items that nobody has seen.

A tournament belongs to no generation. It makes ratings surer and judges better known, and a
campaign that goes on afterwards picks its parents by what it found.
"""

from collections.abc import Sequence

import numpy as np

from arena.panel import arena_panel
from arena.round import Field
from arena.tasks import deal_panel
from lineage import Archive
from lineage.kinship import Kinship
from lineage.queries.rounds import last_round
from lineage.records import Item, Model
from population.errors import CampaignError
from population.randomness import generator
from population.report import genome_of
from population.rounds import memory_of, play, rules_of
from population.workshop import Progress, Workshop


def tournament(
    archive: Archive, workshop: Workshop, progress: Progress, items: int | None = None
) -> int:
    """Play a round among all living, and keep it; its number.

    Args:
        archive: at rest: nobody else may be writing to it.
        workshop: makes the models.
        progress: told while models work; may raise to stop, and then nothing is kept.
        items: how many are asked; by default as in a round of the campaign.

    Raises:
        CampaignError: no generation is complete yet.
    """
    last = archive.latest()
    if last is None:
        raise CampaignError(f"{archive.path}: nobody can play, no generation is complete")
    number = last_round(archive) + 1
    members = archive.models(living=True)
    ratings = archive.ratings(last.generation)
    fresh = unseen_items(archive, workshop, number, items or workshop.config.arena.items)
    panel = arena_panel(fresh, [], len(fresh), workshop.config.arena.checkable)
    ids = [member.id for member in members]
    played = play(
        workshop,
        {member.id: genome_of(archive, workshop, member) for member in members},
        panel,
        fresh,
        Field(
            models=tuple(ids),
            relationship=Kinship.replayed(archive.models()).relationship(ids),
            prior=np.array([ratings[m].rating if m in ratings else 0.0 for m in ids]),
            anchors=founders_among(members),
        ),
        memory_of(archive, panel, ids, None),
        rules_of(workshop.config.arena),
        progress,
    )
    return archive.commit_round(played)


def unseen_items(archive: Archive, workshop: Workshop, number: int, count: int) -> list[Item]:
    """Search items for a tournament: others for every number."""
    seed = int(generator(archive.campaign()[0], "tournament", number).integers(1 << 31))
    return deal_panel(workshop.tasks, seed, count)


def founders_among(members: Sequence[Model]) -> tuple[int, ...]:
    """The rows of founders, who anchor the scale of ratings."""
    return tuple(row for row, member in enumerate(members) if member.kind == "founder")
