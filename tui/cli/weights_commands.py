"""The commands about weights: `colony check`, which verifies them, and `colony revive`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from lineage.escaping import escaped
from tui.shared.console import (
    DEFAULT_ARCHIVE,
    ArchiveOption,
    JsonOption,
    ModelArgument,
    bytes_bar,
    clear_errors,
    expand_home,
    help_text,
    hint,
    open_archive,
    out,
    print_json,
    progress_bar,
)
from tui.shared.interrupts import Interruptible

app = typer.Typer()


@app.command(
    help=help_text(
        "Check founders, recipes and kept weights by their hashes; exit code 1 if one is damaged.",
        "colony check",
        "colony check --sample 100 --json",
        "colony check --sample 1 --repair     (make damaged weights again)",
    )
)
def check(
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    sample: Annotated[
        int | None, typer.Option(min=1, help="Replay this many models instead of all.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make damaged weights again from their recipes.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        colony = open_archive(archive)
        with progress_bar() as progress:
            progress(0, 1, "loading torch")
            from population.analysis.verification import check as check_archive

            report = check_archive(colony, sample, progress, repair=repair)
        if as_json:
            print_json(
                {
                    "founders": report.founders,
                    "offspring": report.offspring,
                    "replayed": report.replayed,
                    "files": report.files,
                    "damages": [vars(damage) for damage in report.damages],
                }
            )
        else:
            for damage in report.damages:
                colour = "yellow" if damage.repaired else "bold red"
                what, detail = escaped(damage.what), escaped(damage.detail)
                out.print(Text.assemble((what, colour), f": {detail}"), soft_wrap=True)
            repaired = sum(damage.repaired for damage in report.damages)
            out.print(
                f"{report.founders} founders hashed, {report.replayed} of {report.offspring} "
                f"offspring replayed, {report.files} kept weights, "
                f"{len(report.damages) - repaired} damaged"
                + (f", {repaired} repaired" if repaired else ""),
                highlight=False,
            )
        if not report.intact:
            raise typer.Exit(1)


@app.command(
    help=help_text(
        "Make the weights of a model again, living or fossil, and verify their hash.",
        "colony revive 40               (its weights, to those kept beside the archive)",
        "colony revive 40  ./fossil     (a plain checkpoint, as colony export writes it)",
        "colony revive champion --json | jq -r .file",
    )
)
def revive(
    model: ModelArgument,
    folder: Annotated[
        Path | None, typer.Argument(help="Write a whole checkpoint there; must not exist yet.")
    ] = None,
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    as_json: JsonOption = False,
) -> None:
    with clear_errors(), Interruptible() as stop:
        colony = open_archive(archive)
        row = colony.find(model)
        with progress_bar() as progress:
            progress(0, 1, "loading torch")
            if folder is None:
                from population.campaign.kept_weights import revive as revive_weights

                stop.begin_writing()
                made = revive_weights(colony, row, stop.checked(progress))
                path, origin, sha256 = made.file, made.found, made.sha256
            else:
                from population.analysis.export import export
                from population.campaign.opening_context import reopen_context

                context = reopen_context(colony, progress)
        stop.check()
        stop.begin_writing()
        if folder is not None:
            folder = expand_home(folder)
            with bytes_bar() as progress:
                merged = export(colony, context, row, folder, stop.checked(progress), hint)
            path, origin, sha256 = folder, "remade", merged.weights_sha256
        if as_json:
            print_json(
                {
                    "id": row.id,
                    "model": row.id,
                    "file": str(path),
                    "found": origin,
                    "weights_sha256": sha256,
                    "fingerprint": row.fingerprint,
                }
            )
            return
        out.print(
            f"{escaped(row.label)} is {origin}, its hash {sha256[:12]}… proven: {path}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
