"""`colony run`: a campaign, with the app in front on a terminal and with plain lines elsewhere.

On a terminal the campaign runs in a process of its own, the same command with `--headless`, so that
the app never waits for a model, and the campaign goes on when the app is closed.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from population.errors import CampaignError
from tui.cli import tables
from tui.cli.dry_run import dry_run_view
from tui.cli.engine_options import EngineOptions, engine_options
from tui.cli.progress import CampaignProgress
from tui.cli.progress_line import ProgressLine, cleared
from tui.shared.console import (
    DEFAULT_ARCHIVE,
    ArchiveOption,
    checked_minutes,
    clear_errors,
    err,
    help_text,
    open_archive,
    out,
    print_json,
)
from tui.shared.heartbeat import HeartbeatWriter
from tui.shared.interrupts import StopRequest
from tui.shared.pace import CampaignEnds

if TYPE_CHECKING:
    from lineage import Archive
    from population.campaign.context import Context, Progress
    from population.config import Budget, Config

app = typer.Typer()


@app.command(
    help=help_text(
        "Start a campaign, or continue the one in the archive; at the end, report.",
        "colony run",
        "colony run my.toml --archive my.duckdb --seed 3",
        "colony run --archive my.duckdb --budget 2000000   (continue, with more budget)",
        "colony run --headless > report.txt                (no app; a line per generation)",
        "colony run --study --archive study.duckdb         (without keys, and beyond the founders)",
        "colony run my.toml --dry-run                      (memory and time, before it starts)",
        "colony run my.toml --dry-run --json | jq .generations",
        "colony run my.toml --engine ray --workers 4       (a Ray cluster of this machine's own)",
        "colony run my.toml --address auto                 (the Ray cluster that this node is of)",
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
    tokens: Annotated[
        int | None,
        typer.Option(min=1, max=2**63 - 1, help="Tokens that models may read, learn or generate."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps, ... of a new campaign.")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="local, or ray: processes of a Ray cluster make and score the models.",
            show_default="local",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Workers on the Ray cluster.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="Of a Ray cluster: auto, ray://HOST:PORT; default: one of its own."),
    ] = None,
    study: Annotated[
        bool,
        typer.Option(
            "--study",
            help="Without CONFIG: the shipped founders breed without any key, and learn tasks that "
            "none of them was taught.",
        ),
    ] = False,
    headless: Annotated[
        bool, typer.Option("--headless", help="A line per generation instead of the screen.")
    ] = False,
    report_after: Annotated[
        bool,
        typer.Option("--report/--no-report", help="Report on the sealed test split at the end."),
    ] = True,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check all, tell time and memory; write and start nothing."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --dry-run: print JSON for scripts.")
    ] = False,
) -> None:
    with clear_errors():
        config = _studying(config) if study else config
        if _is_rehearsal(dry_run, as_json):
            _rehearse(
                archive, config, seed, device, (budget, generations, minutes, tokens),
                report_after, as_json,
            )  # fmt: skip
            return
        where = engine_options(engine, workers, address)
        from lineage.archive.unfinished import why_no_generation
        from lineage.storage.lock import campaign_lock

        if not headless and _on_terminal():
            with campaign_lock(archive):  # what is wrong must be said before the screen opens
                _configured(archive, config, seed, device, where)
            from tui.cli.screen_command import campaign_on_screen, exit_at_once

            exit_at_once(campaign_on_screen(archive, sys.argv[1:]))
        with (
            campaign_lock(archive),
            StopRequest(archive) as stop,
            HeartbeatWriter(archive) as heartbeat,
        ):
            begun = archive.exists()
            line = ProgressLine(err)
            step = _stoppable_progress(line, heartbeat, stop)
            asked, anew = _configured(archive, config, seed, device, where)
            limits = _limits(asked, budget, generations, minutes, tokens)
            line.say(_opening_line(archive, asked, continued=begun))
            with cleared(line):
                step(0, 1, "loading torch")
                from population.campaign.loop import Campaign
                from population.campaign.opening import continued, started

                stop.check()
                if begun and not anew:
                    ready = continued(_with_new_limits(archive, asked), step)
                else:
                    ready = started(
                        archive, asked, limits, step, line.say, report=report_after, anew=anew
                    )
                colony, context = ready.archive, ready.context
                stop.kept = "nothing is lost"
                stop.check()
                _tell(line, ready.notes)
                last = colony.latest()
                if begun and not anew:
                    after = f" after generation {last.generation}" if last else ""
                    line.say(f"continuing {archive}{after or f': {why_no_generation(colony)}'}")
                line.say(context.engine.words)
                shown = CampaignProgress(
                    line, _ends(limits), stop, heartbeat, last.generation if last else None
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
                shown.watch(campaign)
                reason = campaign.run()
                line.say(f"stopped: {reason}")
                if report_after:
                    _report(line, stop, colony, campaign.context, step)
            heartbeat.update(ended=reason)
            err.print(
                f"archive: {archive}. Next: colony lineage champion, colony export champion DIR",
                highlight=False,
                soft_wrap=True,
            )


def _report(
    line: ProgressLine, stop: StopRequest, colony: "Archive", context: "Context", step: "Progress"
) -> None:
    """Report on a campaign that is complete."""
    from population.analysis.report import make_report

    stop.kept = (
        "the campaign is complete and kept, its report is not made: "
        f"colony report --archive {colony.path}"
    )
    line.say("reporting on all splits; what the campaign found is kept already")
    finished = make_report(colony, context, step)
    line.clear()
    out.print(tables.report_view(finished))


def _studying(path: Path | None) -> Path:
    """The configuration of a colony that studies."""
    from population.config import shipped_data

    if path is not None:
        raise CampaignError(
            "--study is a campaign of the shipped founders; in a CONFIG of your own set [study] "
            'every, with [search] merit = "jury"'
        )
    return shipped_data() / "study.toml"


def _is_rehearsal(dry_run: bool, as_json: bool) -> bool:
    if as_json and not dry_run:
        raise CampaignError("--json goes with --dry-run; `colony report --json` has results")
    return dry_run


def _rehearse(
    archive: Path,
    path: Path | None,
    seed: int | None,
    device: str | None,
    ends: tuple[int | None, int | None, float | None, int | None],
    report: bool,
    as_json: bool,
) -> None:
    """Tell what a new campaign would take."""
    from population.config import load_config

    if archive.exists():
        raise CampaignError(
            f"{archive} is there already: a dry run is of a new campaign; name another --archive"
        )
    asked = EngineOptions("local").applied(_overridden(load_config(path), seed, device))
    line = ProgressLine(err)
    with cleared(line):
        line.step(0, 1, "loading torch")
        from population.campaign.rehearsal import rehearsed

        found = rehearsed(asked, _limits(asked, *ends), line.step, line.say, report=report)
    _tell(line, found.notes)
    if as_json:
        print_json(found.as_json())
    else:
        out.print(dry_run_view(found))


def _tell(line: ProgressLine, notes: Iterable[str]) -> None:
    for note in notes:
        line.say(f"note: {note}")


def _on_terminal() -> bool:
    """Whether all streams are terminals that can show the app."""
    everywhere = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    return everywhere and os.environ.get("TERM", "dumb") not in ("dumb", "")


def _limits(
    asked: "Config",
    budget: int | None,
    generations: int | None,
    minutes: float | None,
    tokens: int | None,
) -> "Budget":
    """The configured budget, with what the command line says instead."""
    given = {
        "item_evaluations": budget,
        "generations": generations,
        "minutes": None if minutes is None else checked_minutes(minutes),
        "tokens": tokens,
    }
    return asked.budget.model_copy(
        update={key: value for key, value in given.items() if value is not None}
    )


def _ends(limits: "Budget") -> CampaignEnds:
    """When a campaign with such a budget ends at the latest."""
    seconds = None if limits.minutes is None else 60.0 * limits.minutes
    return CampaignEnds(limits.item_evaluations, limits.generations, seconds, limits.tokens)


def _stoppable_progress(
    line: ProgressLine, heartbeat: HeartbeatWriter, stop: StopRequest
) -> "Progress":
    """Progress on the line and in the heartbeat; raises `Interrupted` once a stop was requested."""

    def step(done: int, total: int, what: str) -> None:
        stop.check()
        line.step(done, total, what)
        heartbeat.step(done, total, what, step_left_s=line.left)

    return step


def _opening_line(archive: Path, asked: "Config", *, continued: bool) -> str:
    """The first line of a run, printed before anything slow is loaded."""
    founders = f"{len(asked.founders.paths)} founders"
    if continued:
        return f"opening {archive}; first torch is loaded"
    tasks = f"{len(asked.tasks.paths) + len(asked.tasks.lm_eval)} tasks"
    return f"starting {archive}: {founders}, {tasks}; first torch is loaded"


def _configured(
    archive: Path,
    path: Path | None,
    seed: int | None,
    device: str | None,
    where: EngineOptions,
) -> tuple["Config", bool]:
    """The configuration to run with, and whether an archive that is there is started anew.

    A new archive's is that of the file, an old one's its own. What an archive was started with
    cannot be changed, except for its budget, its engine, and the limits of memory and weights: the
    same seed must give the same archive. Before the first candidate is kept, everything can still
    be changed.
    """
    from lineage.archive.unfinished import unfinished_generation
    from population.config import load_config, parse_config

    given = where.applied(_overridden(load_config(path), seed, device))
    if not archive.exists():
        return given, False
    colony = open_archive(archive)
    started_seed, content = colony.campaign()
    stored = parse_config(content, str(archive))
    begun = unfinished_generation(colony)
    kept, otherwise = "", "choose another --archive"
    if begun is not None:
        kept = f"; {begun.born} of {begun.candidates} candidates are kept"
        otherwise = "choose another --archive or delete it"
    elif not colony.generations():
        wanted = given if path is not None else _overridden(stored, seed, device)
        changes = path is not None or wanted != stored
        if changes and _settings_that_breed(wanted) != _settings_that_breed(stored):
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
        for section in ("founders", "tasks", "search", "study", "gate", "arena"):
            if getattr(given, section) != getattr(stored, section):
                raise CampaignError(
                    f"{archive} was started with another [{section}] than {path} has{kept}; "
                    f"continue without a config, or {otherwise} for a new campaign"
                )
        free = {key: getattr(given.run, key) for key in ("memory_gb", "engine", "ray")}
        run = stored.run.model_copy(update=free)
        given = stored.model_copy(
            update={"budget": given.budget, "weights": given.weights, "run": run}
        )
        return given, False
    return where.applied(stored), False


def _overridden(config: "Config", seed: int | None, device: str | None) -> "Config":
    overrides = {key: v for key, v in (("seed", seed), ("device", device)) if v is not None}
    return config.model_copy(update={"run": config.run.model_copy(update=overrides)})


def _settings_that_breed(config: "Config") -> tuple[object, ...]:
    """The settings that offspring depend on; all others say when to stop and how to compute."""
    parts = config.founders, config.tasks, config.search, config.study, config.gate, config.arena
    return (*parts, config.run.seed, config.run.device, config.run.dtype)


def _with_new_limits(archive: Path, asked: "Config") -> "Archive":
    """The archive, with another engine and new limits of memory and disk recorded."""
    from population.config import parse_config

    colony = open_archive(archive)
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
    if (asked.run.engine, asked.run.ray) != (stored.run.engine, stored.run.ray):
        content["run"] |= asked.run.model_dump(mode="json", include={"engine", "ray"})
        colony.intervene(content, f"engine {asked.run.engine}; it was {stored.run.engine}")
    if asked.weights.quota_gb != quota:
        content["weights"] = asked.weights.model_dump(mode="json")
        colony.intervene(
            content, f"weights may take {asked.weights.quota_gb:g} GB; it was {quota:g} GB"
        )
    return colony
