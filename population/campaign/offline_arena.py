"""Offline arena rounds: on an archive at rest, on items that no model has seen.

An offline round belongs to the generation that it follows. It makes ratings and the trust in judges
more certain, and a campaign that goes on afterwards picks its parents by them. The command is
`tournament`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from arena.matches.items import round_items
from arena.matches.round_inputs import Contestants
from lineage import Archive
from lineage.ancestry.kinship import Kinship
from lineage.archive.unfinished import why_no_generation
from lineage.queries.rounds import asked_items, last_round
from lineage.records import Item, Model, Round
from population.campaign.arena_rounds import arena_memory, arena_rules, play_round
from population.campaign.context import Context, Progress, genome_of
from population.campaign.item_sampling import item_pools
from population.errors import CampaignError
from population.randomness import generator


@dataclass(frozen=True)
class OfflineRound:
    """An offline round that was played and stored.

    Attributes:
        round: its number.
        models: how many played.
        items: how many were asked.
        predicted: tokens that it was expected to take.
        tokens: that it took.
    """

    round: int
    models: int
    items: int
    predicted: int
    tokens: int


def hold_offline_round(
    archive: Archive, context: Context, progress: Progress, items: int | None = None
) -> OfflineRound:
    """Play a round among all living, and store it. See `play_offline_round`."""
    played = play_offline_round(archive, context, progress, items)
    return OfflineRound(
        archive.commit_round(played),
        len(played.ratings),
        len(played.asked),
        played.predicted,
        played.tokens,
    )


def play_offline_round(
    archive: Archive, context: Context, progress: Progress, items: int | None = None
) -> Round:
    """Play a round among all living on items that no model has seen.

    Args:
        archive: at rest: nobody else may be writing to it.
        context: makes the models.
        progress: called while models work; may raise to stop, and then nothing is stored.
        items: how many are asked; by default as in a round of the campaign.

    Raises:
        CampaignError: no generation is complete yet.
    """
    last = archive.latest()
    if last is None:
        raise CampaignError(f"{archive.path}: nobody can play, {why_no_generation(archive)}")
    number = last_round(archive) + 1
    members = archive.models(living=True)
    ratings = archive.ratings(last.generation)
    fresh = unseen_items(archive, context, number, items or context.config.arena.items)
    panel = round_items(fresh, [], len(fresh), context.config.arena.checkable)
    hidden = nowhere_else(archive, context, fresh)
    ids = [member.id for member in members]
    return play_round(
        context,
        {member.id: genome_of(archive, context, member) for member in members},
        panel,
        fresh,
        Contestants(
            models=tuple(ids),
            relationship=Kinship.replayed(archive.models()).relationship(ids),
            prior=np.array([ratings[m].rating if m in ratings else 0.0 for m in ids]),
            anchors=founders_among(members),
        ),
        arena_memory(archive, panel, ids, None),
        arena_rules(context),
        progress,
        hidden,
    )


def unseen_items(archive: Archive, context: Context, number: int, count: int) -> list[Item]:
    """Search items for an offline round: others for every number, as far as there are others.

    Of a task that is a list, first those that were never asked.

    Args:
        archive: with what was asked.
        context: with the tasks.
        number: of the round.
        count: how many items.
    """
    campaign = archive.campaign()[0]
    seed = int(generator(campaign, "tournament", number).integers(1 << 31))
    pools = item_pools(context.tasks, campaign, context.config)
    return pools.unasked(seed, count, asked_items(archive))


def nowhere_else(archive: Archive, context: Context, items: Sequence[Item]) -> frozenset[str]:
    """Ids of those items that nothing else asks: made for this, or held back for the arena.

    Args:
        archive: of the campaign.
        context: with the tasks.
        items: of an offline round.
    """
    pools = item_pools(context.tasks, archive.campaign()[0], context.config)
    kept = pools.hidden()
    return frozenset(item.id for item in items if item.id in kept or pools.is_made(item.task))


def founders_among(members: Sequence[Model]) -> tuple[int, ...]:
    """The rows of founders, who anchor the scale of ratings."""
    return tuple(row for row, member in enumerate(members) if member.kind == "founder")
