"""The commands on whole archives: `colony fork`, `compare`, `merge-archives`; none loads torch."""

from pathlib import Path
from typing import Annotated

import typer

from lineage import ArchiveError
from tui.shared.console import (
    DEFAULT_ARCHIVE,
    ArchiveOption,
    JsonOption,
    clear_errors,
    help_text,
    open_archive,
    out,
    print_json,
    quoted,
)

app = typer.Typer()

FirstArgument = Annotated[Path, typer.Argument(metavar="FIRST", help="An archive.")]
SecondArgument = Annotated[Path, typer.Argument(metavar="SECOND", help="Another archive.")]
TargetArgument = Annotated[
    Path, typer.Argument(metavar="TARGET", help="The new archive; must not exist.")
]


@app.command(
    help=help_text(
        "Copy an archive up to a generation, to continue from there. "
        "Continued as it is, it makes the same models; with another budget or commands, others.",
        "colony fork branch.duckdb --at 120",
        "colony fork backup.duckdb              (as it is now, also while it runs)",
        "colony run --archive branch.duckdb --budget 2000000",
    )
)
def fork(
    target: TargetArgument,
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    at: Annotated[
        int | None,
        typer.Option(min=0, help="The last generation that comes along.", show_default="the last"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        colony = open_archive(archive)
        from lineage.archive.fork import fork as fork_archive
        from lineage.archive.unfinished import why_no_generation

        last = colony.latest()
        if last is None:
            raise ArchiveError(f"{archive} has nothing to fork yet: {why_no_generation(colony)}")
        generation = last.generation if at is None else at
        made = fork_archive(colony, generation, target)
        models = made.newest_id()
        if as_json:
            print_json({"archive": str(target), "generation": generation, "models": models})
            return
        out.print(
            f"{target} has generation {generation} of {archive} and all before, "
            f"{models:,} models. Next: colony run --archive {quoted(target)}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


@app.command(
    help=help_text(
        "Compare two campaigns: their champions, item by item, with 95 % intervals. "
        "The sealed test split counts only where `colony report` has opened it in both.",
        "colony compare mine.duckdb theirs.duckdb",
        "colony compare a.duckdb b.duckdb --json | jq '.now.contests[].difference'",
    )
)
def compare(first: FirstArgument, second: SecondArgument, as_json: JsonOption = False) -> None:
    with clear_errors():
        one, other = open_archive(first), open_archive(second)
        from population.analysis.comparison import compare_campaigns
        from tui.cli.lineage_tables import comparison_json, comparison_view

        now, equal = compare_campaigns(one, other)
        if as_json:
            print_json({"now": comparison_json(now), "equal_budget": comparison_json(equal)})
            return
        names = (
            [first.stem, second.stem] if first.stem != second.stem else [str(first), str(second)]
        )
        out.print(comparison_view("as they are", names, now))
        if equal:
            out.print(comparison_view("at equal budgets", names, equal))
        splits = {compared.split for compared in now.splits}
        note = "" if "test" in splits else " Test scores: run `colony report` on both first."
        out.print(
            "Leads are paired by item, with intervals over items; ◂ ▸ point at who is ahead by "
            f"more than chance.{note}",
            highlight=False,
        )


@app.command(
    "merge-archives",
    help=help_text(
        "Merge the archives of two campaigns on the same base into a new one. Equal founders "
        "become one, all other models keep a row of their own; the first history stays.",
        "colony merge-archives mine.duckdb theirs.duckdb all.duckdb",
        'colony find "task:kanji>0.8" --archive all.duckdb',
    ),
)
def merge_archives(
    first: FirstArgument,
    second: SecondArgument,
    target: TargetArgument,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        one, other = open_archive(first), open_archive(second)
        from lineage.archive.merge import merge_archives

        made = merge_archives(one, other, target)
        if as_json:
            print_json({**vars(made), "archive": str(target)})
            return
        goes_on = (
            f"the campaign of {first.name} can go on in it"
            if made.goes_on
            else "it is for looking and exporting; no campaign can go on in it, as the second "
            "archive brought new founders"
        )
        out.print(
            f"{target} has {made.models:,} models: {made.founders} founders, {made.shared} of "
            f"them in both; {made.duplicates:,} offspring of the second have the weights of one "
            f"of the first. {goes_on[0].upper()}{goes_on[1:]}.",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
