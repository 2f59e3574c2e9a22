"""Weights of models: kept on disk or made again from recipes, both proven by hash.

Files are named by SHA-256, which births are recorded without: it is computed here for whoever needs
one, and kept in the archive.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lineage import Archive, ArchiveError
from lineage.records import Model
from population.campaign.context import Context, Progress, genome_of, silent
from population.campaign.opening_context import reopen_context
from population.config import parse_config
from population.errors import CheckpointError, PopulationError
from population.weights.cache import WeightsCache
from population.weights.identity import is_as_born
from population.weights.materialise import State, state_sha256


@dataclass(frozen=True)
class Revived:
    """A model whose weights are on disk.

    Attributes:
        file: where they lie.
        sha256: of the weights.
        found: whether they were kept, remade, or kept but damaged and therefore remade.
    """

    file: Path
    sha256: str
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
    if not is_as_born(model, state):
        raise CheckpointError(
            f"{model.label}: its recipe makes other weights than were born; "
            "`colony check` tells what has changed"
        )
    return state


def with_sha256(archive: Archive, context: Context, model: Model) -> Model:
    """A model with the SHA-256 of its weights, which is kept in the archive if that can be written.

    Args:
        archive: of the campaign.
        context: with the founders.
        model: founder or offspring, living or fossil.

    Raises:
        CheckpointError: it has no SHA-256 yet, and its recipe makes other weights than were born.
    """
    if model.weights_sha256 is not None:
        return model
    sha256 = state_sha256(remake(archive, context, model))
    _note(archive, model, sha256)
    return replace(model, weights_sha256=sha256)


def _note(archive: Archive, model: Model, sha256: str) -> None:
    """Keep a SHA-256 in the archive, if the model has none there and the file can be written."""
    if model.weights_sha256 is None:
        with suppress(ArchiveError):  # somebody else's archive: it is computed again next time
            archive.save_sha256(model.id, sha256)


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
    cache, known = cache_of(archive), model.weights_sha256
    damaged = False
    try:
        if known is not None and cache.load(known) is not None:
            return Revived(cache.file(known), known, "kept")
    except CheckpointError:
        damaged = True
    state = remake(archive, reopen_context(archive, progress), model)
    sha = known or state_sha256(state)
    _note(archive, model, sha)
    if not cache.put(sha, state, [*archive.keyframes(), sha]):
        raise PopulationError(
            f"{model.label} takes more than the quota of {cache.folder}, which is "
            f"{cache.quota / 1e9:g} GB; raise [weights] quota_gb, or name a folder to write it to"
        )
    return Revived(cache.file(sha), sha, "repaired" if damaged else "remade")


class ChampionKeeper:
    """Keeps the weights of whoever is champion, while a campaign runs."""

    def __init__(self, archive: Archive, context: Context) -> None:
        self._archive, self._context = archive, context
        self._cache = cache_of(archive)

    def put(self, sha256: str, state: State) -> None:
        """Keep the weights of a champion that is about to be crowned, if that is possible now.

        Args:
            sha256: of the weights.
            state: the weights.
        """
        with suppress(PopulationError):  # `keep` says so when it is champion
            if self._cache.quota:
                self._cache.put(sha256, state, [*self._archive.keyframes(), sha256])

    def keep(self, champion: Model) -> None:
        """Keep the champion's weights, if they are not kept yet; a founder has a checkpoint.

        Raises:
            CheckpointError: its recipe makes other weights than were born.
            PopulationError: the cache cannot be written.
        """
        sha = champion.weights_sha256  # the commit that crowned it wrote one
        if champion.kind == "founder" or sha is None or not self._cache.quota:
            return
        if not self._cache.file(sha).is_file():
            state = remake(self._archive, self._context, champion)
            self._cache.put(sha, state, self._archive.keyframes())
