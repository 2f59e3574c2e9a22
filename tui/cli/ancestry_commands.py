"""The commands that ask ancestry: `colony ancestry` and `kin`. None loads torch."""

from typing import Annotated

import typer

from tui.cli.drawings import coloured, style_for
from tui.shared.console import (
    DEFAULT_ARCHIVE,
    ArchiveOption,
    AsciiOption,
    JsonOption,
    ModelArgument,
    clear_errors,
    help_text,
    open_archive,
    out,
    print_json,
    progress_bar,
)

app = typer.Typer()


@app.command(
    help=help_text(
        "Show whom the living descend from, how diverse they are, and which lines died out.",
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
        colony = open_archive(archive)
        from lineage.queries.line_survival import line_survival_of
        from tui.cli.ancestry_tables import line_survival_json, line_survival_view

        with progress_bar() as progress:
            survival = line_survival_of(
                colony, limit, lambda done, total: progress(done, total, "kinship of the living")
            )
        if as_json:
            print_json(line_survival_json(survival))
        else:
            out.print(line_survival_view(survival, style_for(out, ascii_only=False).glyphs))


@app.command(
    help=help_text(
        "Show how two models are related: how closely, through whom, and the path between them.",
        "colony kin champion 40",
        "colony kin kanji champion --limit 3",
        "colony kin 40 60 --json | jq .relationship",
    )
)
def kin(
    model: ModelArgument,
    other: ModelArgument,
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    limit: Annotated[int, typer.Option(min=1, help="Common ancestors to list at most.")] = 10,
    ascii_only: AsciiOption = False,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        colony = open_archive(archive)
        from lineage.ancestry.relations import relation
        from lineage.drawing.path_between import path_between
        from lineage.queries.family import family_of
        from tui.cli.ancestry_tables import relation_json, relation_view

        one, two = colony.find(model), colony.find(other)
        ancestry_of_all = colony.ancestry()
        with progress_bar() as progress:
            kinship = relation(
                ancestry_of_all,
                one.id,
                two.id,
                lambda done, total: progress(done, total, "kinship"),
            )
        if as_json:
            rows = colony.models(ids={one.id, two.id, *(node.model for node in kinship.common)})
            print_json(relation_json(kinship, {row.id: row for row in rows}))
            return
        named = {one.id, two.id, *(kinship.path or ())}
        named |= {node.model for node in kinship.common[:limit]}
        family = family_of(colony, named, ancestry_of_all)
        out.print(relation_view(kinship, family, limit))
        if kinship.path is not None and len(kinship.path) > 1:
            drawing = path_between(family, kinship.path, style_for(out, ascii_only))
            out.print(coloured(drawing), soft_wrap=True, highlight=False)
