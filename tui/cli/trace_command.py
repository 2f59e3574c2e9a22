"""`colony trace`: which models a checkpoint was merged from. Reads weights, and loads no torch."""

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from tui.cli.lineage_tables import plain_table, safe
from tui.shared.console import (
    JsonOption,
    clear_errors,
    help_text,
    hint,
    out,
    print_json,
    progress_bar,
)
from tui.shared.interrupts import Interruptible

if TYPE_CHECKING:
    from population.tracing.results import Trace

app = typer.Typer()

KINDS = {
    "copy": "is a copy",
    "sum": "is a weighted sum",
    "sum by slices": "is a weighted sum whose coefficients differ within tensors",
    "sparse": "is a sum of which elements were dropped, as by TIES or DARE",
    "incomplete": "is not made of these candidates alone",
}


@app.command(
    help=help_text(
        "Find out which models a checkpoint was merged from, and with which coefficients. The exit "
        "code is 2 if something took part that is not among the candidates.",
        "colony trace merged --among models/a models/b models/base",
        "colony trace merged --among my.duckdb             (the founders of an archive)",
        "colony trace merged --among models --base base    (all checkpoints in a folder)",
        "colony trace merged --among models --json | jq '.parents[] | {name, coefficient}'",
    )
)
def trace(
    checkpoint: Annotated[
        str, typer.Argument(help="A folder, safetensors, GGUF, BASE+LORA, or a hub id.")
    ],
    among: Annotated[
        list[str],
        typer.Option(
            "--among", "-m", help="An archive, a model, or a folder of models; may be repeated."
        ),
    ],
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[MORE]...", help="More candidates.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="Name of the candidate that the others were fine-tuned from.",
            show_default="the most central one",
        ),
    ] = None,
    by_tensor: Annotated[
        bool, typer.Option("--tensors", help="Show the coefficients in every tensor.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Tensors at a time.", show_default="all cores")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    with clear_errors(), Interruptible() as stop:
        from population.errors import PopulationError
        from population.models.sources import open_source
        from population.tracing.candidates import open_candidates
        from population.tracing.trace import trace as find_parents

        merge = open_source(checkpoint, say=hint)
        candidates = open_candidates([*among, *(more or [])], merge, hint)
        names = [candidate.name for candidate in candidates]
        if base is not None and base not in names:
            raise PopulationError(f"no candidate is called {base!r}; there are {', '.join(names)}")
        with progress_bar(quiet=as_json) as progress:
            found = find_parents(
                merge,
                candidates,
                None if base is None else names.index(base),
                stop.checked(progress),
                threads or os.cpu_count() or 1,
            )
        if as_json:
            print_json(_as_json(found))
        else:
            out.print(_view(merge.name, found, by_tensor=by_tensor))
        if found.missing:
            raise typer.Exit(2)


def _as_json(found: "Trace") -> dict[str, Any]:
    return {**asdict(found), "missing": found.missing, "unknown": list(found.unknown)}


def _view(name: str, found: "Trace", *, by_tensor: bool) -> RenderableType:
    """What was found, as a table and sentences."""
    sentences = [_completeness(found)]
    sentences += [f"{one} has the weights of {other}" for one, other in found.equal.items()]
    if found.unknown:
        sentences.append(
            f"{len(found.unknown)} of {len(found.tensors)} tensors do not tell their coefficients, "
            f"as the candidates hardly differ there (such as {found.unknown[0]})"
        )
    if found.skipped:
        sentences.append(
            f"{len(found.skipped)} tensors were not compared, as they are no weights or not of one "
            f"shape (such as {found.skipped[0]})"
        )
    parts: list[RenderableType] = [Text(_headline(name, found)), _parents_table(found)]
    parts += [Text(sentence) for sentence in sentences]
    if by_tensor:
        parts.append(_tensor_table(found))
    return Group(*parts)


def _headline(name: str, found: "Trace") -> str:
    count = len(found.parents) + (found.base_coefficient != 0.0)
    models = f"{count} of {len(found.candidates)} candidates"
    return f"{safe(name)} {KINDS[found.kind]}: {models}"


def _completeness(found: "Trace") -> str:
    if found.missing:
        return (
            "something is missing among the candidates, or the model was trained afterwards: a "
            f"typical fine-tune would need a coefficient of {found.missing_coefficient:.2f} to "
            "leave as much unexplained; what it has in common with the candidates is in their "
            "coefficients"
        )
    if found.explained is not None:
        return f"{found.explained:.0%} of the elements that were looked at are explained"
    return f"nothing is missing: what is left is {found.excess:.2g} times what one rounding leaves"


def _parents_table(found: "Trace") -> RenderableType:
    sparse = found.kind == "sparse"
    heads = ["model", "role", "coefficient", "in tensors"]
    table = plain_table(*heads, *(["kept", "factor"] if sparse else []), text=("model", "role"))
    for parent in found.parents:
        table.add_row(
            safe(parent.name),
            "parent",
            f"{parent.coefficient:.4f} ±{1.96 * parent.error:.4f}",
            f"{parent.low:.3f} to {parent.high:.3f}",
            *([f"{parent.kept or 0:.0%}", f"{parent.factor or 0:.3f}"] if sparse else []),
        )
    if found.base_coefficient:
        table.add_row(safe(found.base), "base", f"{found.base_coefficient:.4f}", "")
    return table


def _tensor_table(found: "Trace") -> RenderableType:
    names = [*(parent.name for parent in found.parents), found.base]
    table = plain_table("tensor", *names, "left", text=("tensor",))
    for tensor in found.tensors:
        values = [tensor.coefficients.get(name) for name in names]
        table.add_row(
            safe(tensor.name),
            *("-" if value is None else f"{value:.3f}" for value in values),
            f"{tensor.excess:.2f}",
        )
    return table
