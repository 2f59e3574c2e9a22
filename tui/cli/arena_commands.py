"""The commands that show the arena and what to merge by it; none loads torch.

`colony leaderboard`, `matches`, `match`, and `sources`, which says what to merge for a task.
"""

from typing import Annotated

import typer

from tui.cli.drawings import style_for
from tui.shared.console import (
    DEFAULT_ARCHIVE,
    ArchiveOption,
    AsciiOption,
    JsonOption,
    clear_errors,
    help_text,
    open_archive,
    out,
    print_json,
)

app = typer.Typer()

TaskOption = Annotated[str | None, typer.Option(help="Only what happened on this task.")]


@app.command(
    help=help_text(
        "Show ratings, results of matches, and how far each model is trusted as a judge.",
        "colony leaderboard",
        "colony leaderboard --task kanji",
        "colony leaderboard --all --json | jq '.[:3] | .[].rating'",
    )
)
def leaderboard(
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    task: TaskOption = None,
    everyone: Annotated[
        bool, typer.Option("--all", help="Fossils as well, as they were rated last.")
    ] = False,
    ascii_only: AsciiOption = False,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        colony = open_archive(archive)
        from lineage.queries.leaderboard import leaderboard as leaderboard_of
        from lineage.queries.tasks import check_task
        from tui.cli.arena_tables import leaderboard_json, leaderboard_view

        if task is not None:
            check_task(colony, task)
        standings = leaderboard_of(colony, task=task, everyone=everyone)
        if as_json:
            print_json(leaderboard_json(standings))
        else:
            out.print(leaderboard_view(standings, task, style_for(out, ascii_only).glyphs))


@app.command(
    help=help_text(
        "List the matches of a round, those of the best rated first.",
        "colony matches",
        "colony matches --model champion --task kanji",
        "colony matches --round 3 --limit 99 --json | jq -r '.[] | select(.winner) | .match'",
    )
)
def matches(
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    model: Annotated[
        str | None, typer.Option(help="Only those of a model: as colony show takes it.")
    ] = None,
    task: TaskOption = None,
    number: Annotated[
        int | None, typer.Option("--round", min=1, help="Of this round.", show_default="the last")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="List so many at most.")] = 20,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        colony = open_archive(archive)
        from lineage.queries.matches import matches as matches_of
        from lineage.queries.tasks import check_task
        from tui.cli.arena_tables import match_json, matches_view

        if task is not None:
            check_task(colony, task)
        who = colony.find(model).id if model is not None else None
        listed = matches_of(colony, model=who, task=task, round=number, limit=limit)
        if as_json:
            print_json([match_json(match) for match in listed])
        else:
            out.print(matches_view(listed, out.width))


@app.command(
    help=help_text(
        "Show one match: the prompt, both answers, and the vote of every judge.",
        "colony match A-B@ITEM              (as colony matches names them)",
        "colony match \"$(colony matches --limit 1 --json | jq -r '.[0].match')\"",
    )
)
def match(
    name: Annotated[str, typer.Argument(help="Two ids and an item, A-B@ITEM.", metavar="A-B@ITEM")],
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        colony = open_archive(archive)
        from arena.reliability.partiality import closer_kin
        from lineage.queries.match_detail import match_detail
        from lineage.queries.matches import MatchName
        from tui.cli.arena_tables import match_detail_json, match_detail_view

        detail = match_detail(colony, MatchName.read(name))
        judges = sorted({judgement.judge for judgement in detail.judgements})
        pair = detail.match.name
        closer = closer_kin(colony.ancestry(), judges, pair.a, pair.b)
        if as_json:
            print_json(match_detail_json(detail, closer))
        else:
            out.print(match_detail_view(detail, closer))


@app.command(
    help=help_text(
        "List what can be merged and whether it fits; with --task, recommend three models.",
        "colony sources",
        "colony sources --task kanji",
        "colony sources --task kanji --json | jq '.choices[].model'",
    )
)
def sources(
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    task: Annotated[
        str | None, typer.Option(help="Say which three of the living to merge for it, and why.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        colony = open_archive(archive)
        from lineage.queries.tasks import check_task
        from population.analysis.source_attribution import (
            founder_sources,
            member_sources,
            sources_for,
        )
        from tui.cli.sources_tables import choices_view, sources_json, sources_view

        available = [*founder_sources(colony), *member_sources(colony)]
        chosen = None
        if task is not None:
            check_task(colony, task)
            chosen = sources_for(colony, task, colony.ancestry())
        if as_json:
            print_json(sources_json(available, chosen))
        else:
            out.print(
                sources_view(available) if chosen is None else choices_view(chosen, available)
            )
