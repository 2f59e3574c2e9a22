"""The commands that merge: `colony merge`, `inspect`, `methods`. None needs torch but `--run`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tui.shared.console import (
    JsonOption,
    bytes_bar,
    clear_errors,
    expand_home,
    help_text,
    hint,
    out,
    print_json,
)
from tui.shared.interrupts import Interruptible

app = typer.Typer()


@app.command(
    help=help_text(
        "Merge models by a recipe: our JSON or a mergekit YAML.",
        "colony merge soup.json ./soup",
        "colony merge ties.yml ./merged --seed 7",
        "colony merge ties.yml ./merged --dry-run        (check everything, write nothing)",
        "colony merge raw.yml merged.safetensors         (only weights, as one file)",
    )
)
def merge(
    recipe: Annotated[Path, typer.Argument(help="A recipe.json or a mergekit YAML.")],
    folder: Annotated[
        Path, typer.Argument(help="Where to; must not exist. FILE.safetensors for weights alone.")
    ],
    device: Annotated[
        str, typer.Option(help="cpu, or a device of torch: cuda, cuda:1, mps, ...")
    ] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Tensors at a time.", show_default="all cores")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Seed of the methods that draw; replaces the recipe's."),
    ] = None,
    shard_size: Annotated[
        float, typer.Option(min=0.001, help="GB in one file of weights, at most.")
    ] = 5.0,
    mergekit_compat: Annotated[
        bool,
        typer.Option("--mergekit-compat", help="Repeat the faults of mergekit's formulas."),
    ] = False,
    pin: Annotated[
        bool, typer.Option("--pin", help="Hash the sources into the recipe beside the result.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all, write nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    with clear_errors(), Interruptible() as stop:
        from population.merging.engine import plan
        from population.merging.merge import merge as run_merge
        from population.merging.preflight import format_size, preflight
        from population.merging.recipe_files import read_recipe

        folder = expand_home(folder)
        chosen = read_recipe(expand_home(recipe), hint)
        if seed is not None:
            steps = [step.model_copy(update={"seed": seed}) for step in chosen.steps]
            chosen = chosen.model_copy(update={"steps": steps})
        if mergekit_compat:
            chosen = chosen.model_copy(update={"mergekit_compat": True})
        if seed is not None or mergekit_compat:  # the hash in the recipe holds without them
            output = chosen.output.model_copy(update={"weights_sha256": None})
            chosen = chosen.model_copy(update={"output": output})
        if dry_run:
            planned = plan(chosen, hint)
            needs = preflight(planned, folder)
            for warning in needs.warnings:
                hint(f"note: {warning}")
            if as_json:
                print_json({"tensors": len(planned.tensors), **asdict(needs)})
            else:
                out.print(
                    f"{len(planned.tensors)} tensors, {format_size(needs.disk)} on disk, at most "
                    f"about {format_size(needs.memory)} in memory; nothing was written",
                    highlight=False,
                )
            return
        stop.begin_writing()
        with bytes_bar(quiet=as_json) as progress:
            made = run_merge(
                chosen,
                folder,
                device=device,
                threads=threads,
                shard=int(shard_size * 1e9),
                pin=pin,
                progress=stop.checked(progress),
                say=hint,
            )
        if as_json:
            print_json(
                {
                    "folder": str(made.folder),
                    "weights_sha256": made.weights_sha256,
                    "tensors": made.tensors,
                    "bytes": made.needs.disk,
                    "warnings": list(made.needs.warnings),
                }
            )
        else:
            out.print(
                f"{made.folder}: {made.tensors} tensors, {format_size(made.needs.disk)}, weights "
                f"{made.weights_sha256[:12]}",
                highlight=False,
                soft_wrap=True,
                markup=False,
            )


@app.command(
    help=help_text(
        "Show checkpoints, and whether they can be merged with the first; exit code 1 if not.",
        "colony inspect models/a models/b",
        "colony inspect base base+adapter --json",
        "colony inspect vlm language-model               (does it fit the language part?)",
        "colony inspect models/a --run                   (also: can a campaign work with it?)",
    )
)
def inspect(
    references: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Folders, safetensors, GGUF, BASE+LORA, hub ids."),
    ],
    run: Annotated[
        bool,
        typer.Option("--run", help="Let each read, answer and take a gradient, as campaigns do."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        from population.merging.preflight import parts_of, profile
        from population.models.sources import open_source
        from tui.cli.inspect_tables import profiles_view

        checkpoints = [open_source(reference, say=hint) for reference in references]
        profiles = [profile(checkpoint, checkpoints[0]) for checkpoint in checkpoints]
        parts = [parts_of(checkpoint) for checkpoint in checkpoints]
        runs = ["" for _ in checkpoints]
        if run:
            from population.evaluation.trial import what_runs

            runs = [what_runs(checkpoint) for checkpoint in checkpoints]
        if as_json:
            more = [
                ({"parts": own} if own else {}) | ({"runs": said} if run else {})
                for own, said in zip(parts, runs, strict=True)
            ]
            print_json([asdict(each) | rest for each, rest in zip(profiles, more, strict=True)])
        else:
            out.print(profiles_view(profiles, parts, runs, out.width))
        if any(said.startswith("no") for said in (*runs, *(each.fits for each in profiles))):
            raise typer.Exit(1)


@app.command(
    help=help_text(
        "List all merge methods with their parameters and defaults.",
        "colony methods",
        "colony methods --json",
    )
)
def methods(as_json: JsonOption = False) -> None:
    from population.merging.methods import METHODS

    if as_json:
        print_json(
            [
                {
                    "name": method.name,
                    "source": method.source,
                    "base": method.base,
                    "random": method.random,
                    "parameters": [
                        {
                            "name": parameter.name,
                            "meaning": parameter.meaning,
                            "default": parameter.default,
                            "per_model": parameter.per_model,
                        }
                        for parameter in method.parameters
                    ],
                }
                for method in METHODS.values()
            ]
        )
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("method", "base", "parameters", "defined in"):
        table.add_column(head, overflow="fold")
    for method in METHODS.values():
        shown = [
            parameter.name + ("" if parameter.default is None else f"={parameter.default:g}")
            for parameter in method.parameters
            if "without effect" not in parameter.meaning
        ]
        table.add_row(method.name, method.base, ", ".join(shown), method.source)
    out.print(table)
