"""The command line: `colony`. Each command parses, calls, prints; the work is done elsewhere.

torch takes seconds to load and the archive's libraries half a second, so commands import what they
need inside, and none waits for what it does not use.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lineage.escaping import escaped
from population.errors import PopulationError
from tui.cli import (
    ancestry_commands,
    archive_commands,
    arena_commands,
    ask_command,
    control_commands,
    harness_command,
    lineage_commands,
    merge_commands,
    run_command,
    screen_command,
    skills_command,
    tables,
    tournament_command,
    trace_command,
    weights_commands,
)
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
    print_failure,
    print_json,
    progress_bar,
    quoted,
    write_anywhere,
)
from tui.shared.guard import guarded
from tui.shared.interrupts import Interruptible
from tui.shared.quiet import quiet, silence_at_exit

if TYPE_CHECKING:
    from lineage import Archive
    from lineage.records import Model

ABOUT = "A population of merged language models that improves itself."

app = typer.Typer(
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(help=ABOUT, invoke_without_command=True)
def colony(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version, and those of what it stands on.")
    ] = False,
) -> None:
    silence_at_exit()
    quiet()
    write_anywhere(sys.stdout, sys.stderr)
    if version:
        from tui.shared.version import versions

        out.print(versions(), soft_wrap=True)
        raise typer.Exit
    if context.invoked_subcommand is None:
        if text := context.get_help():
            typer.echo(text)
        raise typer.Exit


@app.command(
    help=help_text(
        "Report on champion, founders, standard merges and the best offspring of every task.",
        "colony report",
        "colony report --archive my.duckdb --json | jq .champion.test.mean",
    )
)
def report(archive: ArchiveOption = DEFAULT_ARCHIVE, as_json: JsonOption = False) -> None:
    with clear_errors():
        colony = open_archive(archive)
        with progress_bar() as progress:
            progress(0, 1, "loading torch")
            from population.analysis.report import make_report
            from population.campaign.opening_context import reopen_context

            context = reopen_context(colony, progress)
            context.failures.on_failure = print_failure
            made = make_report(colony, context, progress)
        if as_json:
            print_json(made.as_json())
        else:
            out.print(tables.report_view(made))


@app.command(
    help=help_text(
        "List the models of the archive.",
        "colony models",
        "colony models --all --json",
    )
)
def models(
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    everyone: Annotated[bool, typer.Option("--all", help="Fossils as well.")] = False,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        colony = open_archive(archive)
        from lineage.queries.fitness import selection_scores

        last = colony.latest()
        if last is None:
            from lineage.archive.unfinished import why_no_generation

            hint(why_no_generation(colony))
        rows = tables.model_rows(
            colony.models(living=None if everyone else True),
            colony.task_means("selection"),
            selection_scores(colony),
            colony.ratings(last.generation) if last else {},
            last.champion if last else None,
        )
        if as_json:
            print_json(rows)
        else:
            out.print(tables.models_view(rows))


@app.command(
    help=help_text(
        "Show everything about one model: parents, scores, rating and recipe.",
        "colony show champion",
        "colony show 40 --json",
    )
)
def show(
    model: ModelArgument, archive: ArchiveOption = DEFAULT_ARCHIVE, as_json: JsonOption = False
) -> None:
    with clear_errors():
        colony = open_archive(archive)
        facts = _facts(colony, model)
        if as_json:
            print_json(facts)
        else:
            out.print(tables.model_view(facts))


def _facts(colony: "Archive", reference: str) -> dict[str, Any]:
    from lineage.queries.fitness import selection_scores

    row = colony.find(reference)
    last = colony.latest()
    rating = colony.ratings(last.generation).get(row.id) if last else None
    exact = {
        "search": colony.task_means("search", [row.id]).get(row.id, {}),
        "selection": colony.task_means("selection").get(row.id, {}),
    }
    return {
        "id": row.id,
        "name": row.name,
        "kind": row.kind,
        "operator": row.operator,
        "generation": row.generation,
        "state": "living" if row.living else f"fossil since generation {row.died}: {row.cause}",
        "weights_sha256": row.weights_sha256,
        "fingerprint": row.fingerprint,
        "parents": [{"id": p.id, "share": p.share, "role": p.role} for p in row.parents],
        "founders_by_weight": _founders_by_weight(colony, row),
        "study": _study(colony, row),
        "score": selection_scores(colony).get(row.id),
        "rating": tables.rating_json(rating),
        **{
            split: {task: values[0] for task, values in means.items()}
            for split, means in exact.items()
        },
        "recipe": _recipe(colony, row) if row.kind == "offspring" else None,
    }


def _study(colony: "Archive", model: "Model") -> dict[str, Any] | None:
    """The study that a founder came of."""
    from lineage.queries.studies import studies

    return next((one.as_json() for one in studies(colony) if one.model == model.id), None)


def _founders_by_weight(colony: "Archive", model: "Model") -> dict[str, Any] | None:
    """What an offspring's weights hold of each founder; paths through layers have no such parts."""
    if model.kind == "founder":
        return None
    from population.analysis.stored_shares import stored_shares

    shares = stored_shares(colony, model)
    return None if shares is None else shares.as_json()


def _recipe(colony: "Archive", model: "Model") -> dict[str, Any]:
    """An offspring's coefficients, its path, or both."""
    from population.weights.stored_recipes import stored_recipe

    recipe = stored_recipe(colony, colony.models(ids=colony.founder_paths()), model)
    details: dict[str, Any] = {}
    if recipe.coefficients is not None:
        details = {
            "founders": [recipe.basis.founders[vector] for vector in recipe.basis.vectors],
            "blocks": [block.name for block in colony.blocks()],
            "coefficients": recipe.coefficients.tolist(),
        }
    if recipe.methods:
        details["methods"] = {name: method.as_json() for name, method in recipe.methods.items()}
    return details if recipe.steps is None else {**details, "steps": recipe.steps}


@app.command(
    help=help_text(
        "Show how often each operator is used, what it costs and how well it does.",
        "colony operators",
        "colony operators --archive my.duckdb --json | jq '.[] | select(.living > 0)'",
    )
)
def operators(archive: ArchiveOption = DEFAULT_ARCHIVE, as_json: JsonOption = False) -> None:
    with clear_errors():
        colony = open_archive(archive)
        last = colony.latest()
        rows = tables.operator_rows(
            colony.operators(last.generation) if last else [], colony.models()
        )
        if as_json:
            print_json(rows)
        else:
            out.print(tables.operators_view(rows))


class RecipeForm(StrEnum):
    """The file format of a recipe."""

    json = "json"
    yaml = "yaml"


class GgufForm(StrEnum):
    """How a GGUF file stores matrices."""

    f16 = "f16"
    q8_0 = "q8_0"


@app.command(
    help=help_text(
        "Write a model as a plain transformers checkpoint, a GGUF file, or only its recipe.",
        "colony export champion ./champion",
        "colony export champion champion.gguf --gguf q8_0     (for llama.cpp and Ollama)",
        "colony export champion champion.json --recipe json   (for colony merge)",
        "colony export champion champion.yml --recipe yaml    (for mergekit)",
    )
)
def export(
    model: ModelArgument,
    path: Annotated[Path, typer.Argument(help="Where to; must not exist yet.")],
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    recipe: Annotated[
        RecipeForm | None, typer.Option(help="Write the recipe instead of the weights.")
    ] = None,
    gguf: Annotated[
        GgufForm | None, typer.Option(help="Write a GGUF file (Llama-type models) instead.")
    ] = None,
) -> None:
    path = expand_home(path)
    with clear_errors(), Interruptible() as stop:
        if gguf is not None and recipe is not None:
            raise PopulationError("--gguf has the weights, --recipe none; have one")
        colony = open_archive(archive)
        row = colony.find(model)
        with progress_bar() as progress:
            progress(0, 1, "loading torch")
            from population.analysis.export import export as export_model
            from population.analysis.export import export_gguf, recipe_of_model
            from population.campaign.opening_context import reopen_context
            from population.merging.mergekit import to_yaml
            from population.weights.genomes import with_filters

            context = reopen_context(colony, progress)
        stop.begin_writing()
        if gguf is not None:
            with bytes_bar() as progress:
                export_gguf(colony, context, row, path, gguf.value, stop.checked(progress), hint)
            out.print(f"{escaped(row.label)} is in {path}", soft_wrap=True)
            return
        if recipe is None:
            with bytes_bar() as progress:
                export_model(colony, context, row, path, stop.checked(progress), hint)
            out.print(f"{escaped(row.label)} is in {path}", soft_wrap=True)
            return
        if path.exists():
            raise PopulationError(f"{path} exists already; choose another name or remove it")
        model_recipe = recipe_of_model(colony, context, row)
        text = (
            model_recipe.text()
            if recipe is RecipeForm.json
            else to_yaml(with_filters(model_recipe, context.factory.layout))
        )
        path.write_text(text, encoding="utf-8")
        out.print(f"the recipe of {escaped(row.label)} is in {path}", soft_wrap=True)


@app.command(
    help=help_text(
        "Write a configuration file with every setting, its default and its meaning.",
        "colony init",
        "colony init my.toml",
    )
)
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("colony.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
) -> None:
    with clear_errors():
        if path.exists() and not force:
            raise PopulationError(f"{path} exists already; --force replaces it")
        from population.config import template

        path.write_text(template(path.name), encoding="utf-8")
        out.print(f"wrote {path}; next: colony run {quoted(path)}", soft_wrap=True)


app.add_typer(run_command.app)
app.add_typer(screen_command.app)
app.add_typer(weights_commands.app)
app.add_typer(control_commands.app)
app.add_typer(arena_commands.app)
app.add_typer(lineage_commands.app)
app.add_typer(ancestry_commands.app)
app.add_typer(skills_command.app)
app.add_typer(harness_command.app)
app.add_typer(ask_command.app)
app.add_typer(archive_commands.app)
app.add_typer(tournament_command.app)
app.add_typer(merge_commands.app)
app.add_typer(trace_command.app)


def main() -> None:
    """The command line of this module, guarded as the console script is."""
    guarded(app)


if __name__ == "__main__":
    main()
