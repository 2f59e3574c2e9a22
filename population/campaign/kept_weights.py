"""Weights of models: kept on disk or made again from recipes, both proven by hash."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lineage import Archive
from lineage.records import Model
from population.campaign.context import Context, Progress, genome_of, silent
from population.campaign.opening_context import reopen_context
from population.config import parse_config
from population.errors import CheckpointError, PopulationError
from population.weights.cache import WeightsCache
from population.weights.materialise import State, state_sha256


@dataclass(frozen=True)
class Revived:
    """A model whose weights are on disk.

    Attributes:
        file: where they lie.
        found: whether they were kept, remade, or kept but damaged and therefore remade.
    """

    file: Path
    found: Literal["kept", "remade", "repaired"]


def cache_of(archive: Archive) -> WeightsCache:
    """The weights cache beside an archive, with the quota of its configuration."""
    config = parse_config(archive.campaign()[1], str(archive.path))
    return WeightsCache(archive.path, int(config.weights.quota_gb * 1e9))


def remake(archive: Archive, context: Context, model: Model) -> State:
    """The weights of a model, made from its recipe.

    Args:
        archive: of the campaign.
        context: with the founders.
        model: founder or offspring.

    Raises:
        CheckpointError: the recipe makes other weights than were born.
    """
    (state,) = context.factory.maker.siblings([genome_of(archive, context, model)])
    if state_sha256(state) != model.weights_sha256:
        raise CheckpointError(
            f"{model.label}: its recipe makes other weights than were born; "
            "`colony check` tells what has changed"
        )
    return state


def revive(archive: Archive, model: Model, progress: Progress = silent) -> Revived:
    """Bring a model's weights into the cache. The founders are opened only if it is not there.

    Args:
        archive: where the model is.
        model: founder or offspring, living or fossil.
        progress: called while founders are opened.

    Raises:
        CheckpointError: it is not kept and cannot be remade with the hash that it was born with.
        PopulationError: the cache has no room for it or cannot be written.
    """
    cache, sha = cache_of(archive), model.weights_sha256
    damaged = False
    try:
        if cache.load(sha) is not None:
            return Revived(cache.file(sha), "kept")
    except CheckpointError:
        damaged = True
    state = remake(archive, reopen_context(archive, progress), model)
    if not cache.put(sha, state, [*archive.keyframes(), sha]):
        raise PopulationError(
            f"{model.label} takes more than the quota of {cache.folder}, which is "
            f"{cache.quota / 1e9:g} GB; raise [weights] quota_gb, or name a folder to write it to"
        )
    return Revived(cache.file(sha), "repaired" if damaged else "remade")


class ChampionKeeper:
    """Keeps the weights of whoever is champion, while a campaign runs."""

    def __init__(self, archive: Archive, context: Context) -> None:
        self._archive, self._context = archive, context
        self._cache = cache_of(archive)

    def keep(self, champion: Model) -> None:
        """Keep the champion's weights, if they are not kept yet; a founder has a checkpoint.

        Raises:
            CheckpointError: its recipe makes other weights than were born.
            PopulationError: the cache cannot be written.
        """
        sha = champion.weights_sha256
        if champion.kind == "founder":
            return
        if self._cache.quota and not self._cache.file(sha).is_file():
            state = remake(self._archive, self._context, champion)
            self._cache.put(sha, state, self._archive.keyframes())
