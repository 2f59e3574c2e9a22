"""The commands that ask ancestry: `colony ancestry` and `kin`. None loads torch."""

from typing import Annotated

import typer

from tui.console import (
    DEFAULT_ARCHIVE,
    ArchiveOption,
    JsonOption,
    clear_errors,
    described,
    opened,
    out,
    print_json,
    progress_bar,
)

app = typer.Typer()


@app.command(
    help=described(
        "Whom the living descend from most, how diverse they are, which lines died and of what.",
        "colony ancestry",
        "colony ancestry --limit 30",
        "colony ancestry --json | jq '.founders[] | select(.state == \"died\")'",
    )
)
def ancestry(
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    limit: Annotated[int, typer.Option(min=1, help="Rows of each table at most.")] = 10,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        colony = opened(archive)
        from lineage.queries.legacies import legacies_of
        from tui.ancestry_tables import legacies_json, legacies_view
        from tui.drawings import style_for

        with progress_bar() as progress:
            found = legacies_of(
                colony, limit, lambda done, total: progress(done, total, "kinship of the living")
            )
        if as_json:
            print_json(legacies_json(found))
        else:
            out.print(legacies_view(found, style_for(out, ascii_only=False).glyphs))
