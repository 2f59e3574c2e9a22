"""`colony run`: a campaign; behind a screen on a terminal, with plain lines elsewhere.

On a terminal the campaign runs in a process of its own, the same command with `--headless`, so that
the screen never waits for a model, and the campaign goes on when the screen is closed.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from population.errors import CampaignError
from tui.cli import tables
from tui.cli.progress import CampaignProgress
from tui.cli.progress_line import ProgressLine, wiped
from tui.shared.console import (
    DEFAULT_ARCHIVE,
    ArchiveOption,
    checked_minutes,
    clear_errors,
    described,
    err,
    opened,
    out,
)
from tui.shared.heartbeat import HeartbeatWriter
from tui.shared.interrupts import StopRequest
from tui.shared.pace import CampaignEnds

if TYPE_CHECKING:
    from lineage import Archive
    from population.campaign.context import Progress
    from population.config import Budget, Config

app = typer.Typer()


@app.command(
    help=described(
        "Start a campaign, or continue the one in the archive; ends with a report.",
        "colony run",
        "colony run my.toml --archive my.duckdb --seed 3",
        "colony run --archive my.duckdb --budget 2000000   (continue, with more budget)",
        "colony run --headless > report.txt                (no screen; a line per generation)",
    )
)
def run(
    config: Annotated[
        Path | None, typer.Argument(help="A TOML file; without one, the shipped founders breed.")
    ] = None,
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    budget: Annotated[
        int | None,
        typer.Option(min=1, max=2**63 - 1, help="Item evaluations in all.", show_default="240000"),
    ] = None,
    generations: Annotated[
        int | None, typer.Option(min=1, max=10**9, help="Stop after this many generations.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="Seed of a new campaign.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Stop after so much work, over all runs; what is begun is finished."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps, ... of a new campaign.")
    ] = None,
    headless: Annotated[
        bool, typer.Option("--headless", help="A line per generation instead of the screen.")
    ] = False,
    report_after: Annotated[
        bool,
        typer.Option("--report/--no-report", help="Report on the sealed test split at the end."),
    ] = True,
) -> None:
    with clear_errors():
        from lineage.archive.unfinished import why_no_generation
        from lineage.storage.lock import campaign_lock

        if not headless and _on_terminal():
            with campaign_lock(archive):  # what is wrong must be said before the screen opens
                _asked_for(archive, config, seed, device)
            from tui.cli.screen_command import campaign_on_screen, leave

            leave(campaign_on_screen(archive, sys.argv[1:]))
        with (
            campaign_lock(archive),
            StopRequest(archive) as stop,
            HeartbeatWriter(archive) as heart,
        ):
            begun = archive.exists()
            teller = ProgressLine(err)
            step = _stepping(teller, heart, stop)
            asked, anew = _asked_for(archive, config, seed, device)
            limits = _limits(asked, budget, generations, minutes)
            teller.say(_opening(archive, asked, continued=begun))
            with wiped(teller):
                step(0, 1, "loading torch")
                from population.analysis.report import make_report
                from population.campaign.loop import Campaign
                from population.campaign.opening import continued, started

                stop.check()
                if begun and not anew:
                    ready = continued(_with_room(archive, asked), step)
                else:
                    ready = started(
                        archive, asked, limits, step, teller.say, report=report_after, anew=anew
                    )
                colony, context = ready.archive, ready.context
                stop.kept = "nothing is lost"
                stop.check()
                for note in ready.notes:
                    teller.say(f"note: {note}")
                last = colony.latest()
                if last:
                    teller.say(f"continuing {archive} after generation {last.generation}")
                elif begun and not anew:
                    teller.say(f"continuing {archive}: {why_no_generation(colony)}")
                teller.say(context.plan.words)
                seconds = None if limits.minutes is None else 60.0 * limits.minutes
                ends = CampaignEnds(limits.item_evaluations, limits.generations, seconds)
                shown = CampaignProgress(
                    teller, ends, stop, heart, last.generation if last else None
                )
                campaign = Campaign(
                    colony,
                    context,
                    limits,
                    shown.on_step,
                    shown.on_generation,
                    shown.on_command,
                    shown.on_trouble,
                )
                shown.spent = lambda: campaign.spent
                reason = campaign.run()
                teller.say(f"stopped: {reason}")
                if report_after:
                    stop.kept = (
                        f"the campaign is complete and kept, its report is not made: "
                        f"colony report --archive {archive}"
                    )
                    teller.say("reporting on all splits; what the campaign found is kept already")
                    finished = make_report(colony, context, step)
                    teller.wipe()
                    out.print(tables.report_view(finished))
            heart.tell(ended=reason)
            err.print(
                f"archive: {archive}. Next: colony lineage champion, colony export champion DIR",
                highlight=False,
                soft_wrap=True,
            )


def _on_terminal() -> bool:
    """Whether somebody looks, on something that can show a screen."""
    everywhere = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    return everywhere and os.environ.get("TERM", "dumb") not in ("dumb", "")


def _limits(
    asked: "Config", budget: int | None, generations: int | None, minutes: float | None
) -> "Budget":
    """When to stop: as is configured, but for what the command line says."""
    given = {
        "item_evaluations": budget,
        "generations": generations,
        "minutes": None if minutes is None else checked_minutes(minutes),
    }
    return asked.budget.model_copy(
        update={key: value for key, value in given.items() if value is not None}
    )


def _stepping(teller: ProgressLine, heart: HeartbeatWriter, stop: StopRequest) -> "Progress":
    """What is told of everything that takes its time; it stops where somebody asked for that."""

    def step(done: int, total: int, what: str) -> None:
        stop.check()
        teller.step(done, total, what)
        heart.step(done, total, what, step_left_s=teller.left)

    return step


def _opening(archive: Path, asked: "Config", *, continued: bool) -> str:
    """What is begun, in a line that nobody has to wait for."""
    founders = f"{len(asked.founders.paths)} founders"
    if continued:
        return f"opening {archive}; first torch is loaded"
    return f"starting {archive}: {founders}, {len(asked.tasks.paths)} tasks; first torch is loaded"


def _asked_for(
    archive: Path, path: Path | None, seed: int | None, device: str | None
) -> tuple["Config", bool]:
    """The configuration to run with, and whether an archive that is there is started anew.

    A new archive's is that of the file, an old one's its own. What an archive was started with
    cannot be changed, except for its budget and the room for weights: the same seed must give the
    same colony. But before the first candidate is kept there is nothing yet that could be another.
    """
    from lineage.archive.unfinished import unfinished_generation
    from population.config import load_config, parse_config

    given = _with(load_config(path), seed, device)
    if not archive.exists():
        return given, False
    colony = opened(archive)
    started_seed, content = colony.campaign()
    stored = parse_config(content, str(archive))
    begun = unfinished_generation(colony)
    kept, otherwise = "", "choose another --archive"
    if begun is not None:
        kept = f"; {begun.born} of {begun.candidates} candidates are kept"
        otherwise = "choose another --archive or delete it"
    elif not colony.generations():
        wanted = given if path is not None else _with(stored, seed, device)
        changes = path is not None or wanted != stored
        if changes and _bred_by(wanted) != _bred_by(stored):
            return wanted, True
    if seed is not None and seed != started_seed:
        raise CampaignError(
            f"{archive} was started with seed {started_seed}, not {seed}{kept}; "
            f"{otherwise} for a new campaign"
        )
    if device is not None and device != stored.run.device:
        raise CampaignError(
            f"{archive} was started on device {stored.run.device!r}, not {device!r}: other "
            f"arithmetic would make another colony{kept}; {otherwise}"
        )
    if path is not None:
        for section in ("founders", "tasks", "search", "gate", "arena"):
            if getattr(given, section) != getattr(stored, section):
                raise CampaignError(
                    f"{archive} was started with another [{section}] than {path} has{kept}; "
                    f"continue without a config, or {otherwise} for a new campaign"
                )
        run = stored.run.model_copy(update={"memory_gb": given.run.memory_gb})
        given = stored.model_copy(
            update={"budget": given.budget, "weights": given.weights, "run": run}
        )
        return given, False
    return stored, False


def _with(config: "Config", seed: int | None, device: str | None) -> "Config":
    overrides = {key: v for key, v in (("seed", seed), ("device", device)) if v is not None}
    return config.model_copy(update={"run": config.run.model_copy(update=overrides)})


def _bred_by(config: "Config") -> tuple[object, ...]:
    """All that a colony depends on: what else there is says when to stop and how to compute."""
    parts = config.founders, config.tasks, config.search, config.gate, config.arena
    return (*parts, config.run.seed, config.run.device, config.run.dtype)


def _with_room(archive: Path, asked: "Config") -> "Archive":
    """The archive, told of other room: disks fill up in the middle of campaigns."""
    from population.config import parse_config

    colony = opened(archive)
    content = colony.campaign()[1]
    stored = parse_config(content, str(colony.path))
    quota, memory = stored.weights.quota_gb, stored.run.memory_gb
    if asked.run.memory_gb != memory:
        content["run"]["memory_gb"] = asked.run.memory_gb
        now, before = (
            "the usual room" if size is None else f"{size:g} GB"
            for size in (asked.run.memory_gb, memory)
        )
        colony.intervene(content, f"memory may take {now}; it was {before}")
    if asked.weights.quota_gb != quota:
        content["weights"] = asked.weights.model_dump(mode="json")
        colony.intervene(
            content, f"weights may take {asked.weights.quota_gb:g} GB; it was {quota:g} GB"
        )
    return colony
