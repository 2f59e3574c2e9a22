"""The commands to a campaign, whether it runs or rests: `colony pin`, `cull`, `mate`, ...

None loads torch.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.escaping import escaped
from population.errors import PopulationError
from tui.shared.console import (
    DEFAULT_ARCHIVE,
    ArchiveOption,
    JsonOption,
    ModelArgument,
    checked_minutes,
    clear_errors,
    help_text,
    open_archive,
    out,
    print_json,
    progress_bar,
    quoted,
)
from tui.shared.control_tables import commands_table

if TYPE_CHECKING:
    from lineage import Archive
    from lineage.records import Command, CommandKind

app = typer.Typer()

MOST_EVALUATIONS = (1 << 63) - 1
"""The largest number of item evaluations that can be counted."""


@app.command(
    help=help_text(
        "Pause the campaign after the current generation, until it is resumed.",
        "colony pause",
        "colony pause --archive my.duckdb --json | jq .running",
    )
)
def pause(archive: ArchiveOption = DEFAULT_ARCHIVE, as_json: JsonOption = False) -> None:
    _submit(archive, "pause", as_json=as_json)


@app.command(
    help=help_text(
        "Resume a paused campaign.",
        "colony resume",
    )
)
def resume(archive: ArchiveOption = DEFAULT_ARCHIVE, as_json: JsonOption = False) -> None:
    _submit(archive, "resume", as_json=as_json)


@app.command(
    help=help_text(
        "Keep a model among the living, whatever it scores, until it is unpinned.",
        "colony pin champion",
        "colony pin ID --archive my.duckdb   (an id that colony models lists)",
    )
)
def pin(
    model: ModelArgument, archive: ArchiveOption = DEFAULT_ARCHIVE, as_json: JsonOption = False
) -> None:
    _submit(archive, "pin", [model], as_json=as_json)


@app.command(
    help=help_text(
        "Let a pinned model compete for its place again.",
        "colony unpin ID",
    )
)
def unpin(
    model: ModelArgument, archive: ArchiveOption = DEFAULT_ARCHIVE, as_json: JsonOption = False
) -> None:
    _submit(archive, "unpin", [model], as_json=as_json)


@app.command(
    help=help_text(
        "Remove a model from the living; it stays as a fossil that colony revive brings back.",
        "colony cull ID                (an id that colony models lists)",
        "colony cull ID --json | jq .id   (the number that colony commands has it under)",
    )
)
def cull(
    model: ModelArgument, archive: ArchiveOption = DEFAULT_ARCHIVE, as_json: JsonOption = False
) -> None:
    _submit(archive, "cull", [model], as_json=as_json)


@app.command(
    help=help_text(
        "Let two models have a child in the next generation; its scores decide whether it lives.",
        "colony mate champion kanji",
        "colony mate kanji champion && colony commands",
    )
)
def mate(
    one: ModelArgument,
    other: ModelArgument,
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    as_json: JsonOption = False,
) -> None:
    _submit(archive, "mate", [one, other], as_json=as_json)


@app.command(
    "add-founder",
    help=help_text(
        "Add a founder. It has to fit the others, and they need a base; all recipes stay "
        "what they were.",
        "colony add-founder models/poet",
        "colony add-founder models/base+adapters/chat --archive my.duckdb",
    ),
)
def add_founder(
    path: Annotated[str, typer.Argument(help="A folder, a hub id, or BASE+ADAPTER.")],
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        colony = open_archive(archive)
        with progress_bar() as progress:
            from population.campaign.joining import open_newcomer

            progress(0, 1, f"checking {path}")
            newcomer, _ = open_newcomer(colony, path)
    _submit(archive, "add-founder", argument=newcomer.reference, as_json=as_json)


@app.command(
    help=help_text(
        "Change what the campaign may spend in all; less than is spent ends it.",
        "colony budget 500000",
        "colony budget --minutes 90   (of work, over all runs; the other limits stay)",
        "colony budget --tokens 3000000",
    )
)
def budget(
    evaluations: Annotated[
        int | None, typer.Argument(min=1, max=MOST_EVALUATIONS, help="Item evaluations in all.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Minutes of work in all, over all runs.")
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST_EVALUATIONS, help="Tokens that models read or generate, in all."
        ),
    ] = None,
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        from lineage.records import Allowance

        if evaluations is minutes is tokens is None:
            raise PopulationError(
                "how much? a number of item evaluations, --minutes N, --tokens N, or several"
            )
        checked = None if minutes is None else checked_minutes(minutes)
        allowed = Allowance(evaluations, checked, tokens)
    _submit(archive, "budget", argument=allowed.argument, as_json=as_json)


@app.command(
    help=help_text(
        "List the commands given to the campaign, with their outcomes.",
        "colony commands",
        "colony commands --json | jq '.[] | select(.outcome == null)'   (those still open)",
    )
)
def commands(archive: ArchiveOption = DEFAULT_ARCHIVE, as_json: JsonOption = False) -> None:
    with clear_errors():
        colony = open_archive(archive)
        from lineage.commands.definitions import all_commands

        rows = all_commands(colony)
        if as_json:
            print_json([_command_json(command) for command in rows])
        elif rows:
            out.print(commands_table(rows))
        else:
            out.print("nothing was asked of this campaign", highlight=False)


app.command("orders", hidden=True, help="The former name of `colony commands`.")(commands)


def _submit(
    archive: Path,
    kind: "CommandKind",
    references: Sequence[str] = (),
    *,
    argument: str | None = None,
    as_json: bool,
) -> None:
    """Give a command to the campaign, and print when it is carried out."""
    with clear_errors():
        colony: Archive = open_archive(archive)
        from lineage.commands.definitions import submit
        from lineage.storage.lock import campaign_holder

        command = submit(colony, kind, [colony.find(model).id for model in references], argument)
        holder = campaign_holder(archive)
        if as_json:
            print_json({**_command_json(command), "running": holder is not None})
            return
        when = (
            f"the campaign that is running (PID {holder}) hears of it between two generations; "
            "colony commands tells what came of it"
            if holder
            else "no campaign is running, so it waits. It is carried out by: "
            f"colony run --archive {quoted(archive)}"
        )
        out.print(
            f"command {command.id}: {escaped(command.words)}; {when}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _command_json(command: "Command") -> dict[str, Any]:
    return {**vars(command), "given_at": command.given_at.isoformat(timespec="seconds")}
