"""Opens a campaign: its archive and its context, checked before anything is written."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lineage import Archive
from lineage.storage.atomic_file import discard
from lineage.storage.locations import check_free
from population.campaign.context import Context, Progress, silent
from population.campaign.engine_choice import equip
from population.campaign.opening_context import found_archive, open_context, reopen_context
from population.campaign.readiness import check_ready, check_run
from population.config import Budget, Config
from population.evolution.extensions import Extensions


@dataclass(frozen=True)
class OpenedCampaign:
    """A campaign that can run.

    Attributes:
        archive: where it is kept.
        context: what its models are made of and scored with.
        notes: for the user, a line each.
    """

    archive: Archive
    context: Context
    notes: tuple[str, ...]


def started(
    path: Path,
    config: Config,
    limits: Budget,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda _: None,
    extensions: Extensions | None = None,
    *,
    report: bool = True,
    anew: bool = False,
) -> OpenedCampaign:
    """Start a campaign in a new archive; raises before that exists if anything is impossible.

    Args:
        path: where the archive is to be.
        config: with paths resolved.
        limits: what the campaign may spend.
        progress: called while it is opened; may raise to stop.
        say: called with notes about the founders.
        extensions: operators, survival rules and judges from outside the project.
        report: whether the sealed split will be asked for.
        anew: an archive without any candidate is there, and this one takes its place.

    Raises:
        ArchiveError: no archive can be started at `path`.
        CheckpointError: a founder is missing, broken, or does not fit the others.
        ConfigError: a setting is impossible.
        TaskError: a task is missing or broken.
    """
    if not anew:
        check_free(path)  # before founders are read, which takes its time
    context = open_context(pinned(config), progress, say, extensions)
    context.progress = progress
    equip(context)
    notes = (*context.check_items(), *check_ready(context, limits, report=report))
    if anew:
        discard(path)
        notes = (f"{path} had no candidates yet, so it is started anew", *notes)
    return OpenedCampaign(found_archive(path, context), context, notes)


def continued(
    archive: Archive, progress: Progress = silent, extensions: Extensions | None = None
) -> OpenedCampaign:
    """Go on with the campaign of an archive.

    Args:
        archive: of the campaign.
        progress: as for `started`.
        extensions: as given when the campaign was started.
    """
    context = reopen_context(archive, progress, extensions)
    context.progress = progress
    equip(context)
    # Generation 0 tells what was left out, whether or not it was interrupted.
    notes = () if archive.generations() else tuple(context.check_items())
    check_run(context)
    return OpenedCampaign(archive, context, notes)


def pinned(config: Config) -> Config:
    """Fix what depends on the machine, so that a resumed campaign computes as it began."""
    threads = config.run.threads or _usable_cores()
    return config.model_copy(update={"run": config.run.model_copy(update={"threads": threads})})


def _usable_cores() -> int:
    """Of those of the machine, the ones that this process may use, where the system can tell."""
    if hasattr(os, "sched_getaffinity"):  # Linux alone has it
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
