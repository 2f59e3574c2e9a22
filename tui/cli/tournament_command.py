"""`colony arena`: plays rounds of the arena on an archive at rest."""

from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from tui.shared.console import (
    DEFAULT_ARCHIVE,
    ArchiveOption,
    JsonOption,
    clear_errors,
    help_text,
    open_archive,
    out,
    print_json,
    progress_bar,
)
from tui.shared.interrupts import StopRequest

if TYPE_CHECKING:
    from population.campaign.offline_arena import OfflineRound

app = typer.Typer()


@app.command(
    help=help_text(
        "Play arena rounds on an archive at rest, on items that no model has seen.",
        "colony arena",
        "colony arena --rounds 5 --items 120",
        "colony arena --archive my.duckdb --json | jq '.[].tokens'",
    )
)
def arena(
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    rounds: Annotated[int, typer.Option(min=1, help="How many rounds.")] = 1,
    items: Annotated[
        int | None,
        typer.Option(min=1, help="Items of a round.", show_default="as the campaign's rounds"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    from lineage.storage.lock import campaign_lock

    with clear_errors(), campaign_lock(archive), ExitStack() as cleanup:
        colony = open_archive(archive)
        played: list[OfflineRound] = []
        with progress_bar() as progress:
            progress(0, 1, "loading torch")
            from population.campaign.offline_arena import hold_offline_round
            from population.campaign.opening_context import reopen_context

            context = reopen_context(colony, progress)
            # Until here Ctrl-C ends the program at once, as there is nothing that it could spoil.
            stop = cleanup.enter_context(StopRequest(archive))

            def step(done: int, total: int, what: str) -> None:
                stop.check()
                progress(done, total, f"round {len(played) + 1}/{rounds}: {what}")

            while len(played) < rounds:
                played.append(hold_offline_round(colony, context, step, items))
        if as_json:
            print_json([asdict(one) for one in played])
            return
        for one in played:
            out.print(
                f"round {one.round}: {one.models} models on {one.items} items, "
                f"{one.tokens:,} tokens ({one.predicted:,} predicted)",
                highlight=False,
                soft_wrap=True,
            )
        out.print("next: colony leaderboard", highlight=False)
