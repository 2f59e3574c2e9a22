"""The command that runs models to find out whom their skills came from: `colony skills`."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from tui.console import (
    DEFAULT_ARCHIVE,
    ArchiveOption,
    JsonOption,
    ModelArgument,
    clear_errors,
    described,
    opened,
    out,
    print_json,
    progress_bar,
)
from tui.lineage_tables import plain_table, safe

if TYPE_CHECKING:
    from population.skills import Skills

app = typer.Typer()


class Split(StrEnum):
    """Whose items to ask; the sealed split is for reports alone."""

    search = "search"
    selection = "selection"


class Grain(StrEnum):
    """How finely to knock out."""

    layer = "layer"
    block = "block"


@app.command(
    help=described(
        "Which founder a skill came from: what accuracy is lost when a founder is taken out. "
        "That tells what this model needs; losses do not add up, as founders may stand in for "
        "each other or only work together.",
        "colony skills champion",
        "colony skills 212 --task cipher --by layer      (and where in the network)",
        "colony skills champion --json | jq '.knockouts[] | {founder, share, loss}'",
    )
)
def skills(
    model: ModelArgument,
    archive: ArchiveOption = DEFAULT_ARCHIVE,
    task: Annotated[
        list[str] | None, typer.Option(help="Only this task; may be repeated.", show_default="all")
    ] = None,
    by: Annotated[
        Grain | None, typer.Option(help="Knock out each layer or each block as well.")
    ] = None,
    split: Annotated[Split, typer.Option(help="Whose items to ask.")] = Split.selection,
    as_json: JsonOption = False,
) -> None:
    with clear_errors():
        colony = opened(archive)
        row = colony.find(model)
        with progress_bar() as progress:
            progress(0, 1, "loading torch")
            from population.skills import check_linear
            from population.skills import skills as measure
            from population.workshop import reopen_workshop

            check_linear(colony, row)
            found = measure(
                colony,
                reopen_workshop(colony, progress),
                row,
                tasks=task or (),
                split=split.value,
                grain="model" if by is None else by.value,
                progress=progress,
            )
        if as_json:
            print_json(skills_json(found))
        else:
            out.print(skills_view(found))


def skills_json(found: "Skills") -> dict[str, Any]:
    """What `colony skills --json` prints."""
    return {
        "model": {"id": found.model.id, "label": found.model.label},
        "split": found.split,
        "items": found.items,
        "accuracy": found.accuracy,
        "sources": {task: found.source(task) for task in found.accuracy},
        "knockouts": [
            {
                "founder": knockout.founder,
                "where": knockout.where,
                "coefficient": knockout.coefficient,
                "share": knockout.share,
                "loss": vars(knockout.loss),
                "losses": {task: vars(loss) for task, loss in knockout.losses.items()},
                "probability_losses": knockout.doubts,
                "credit": {task: knockout.credit(task) for task in knockout.losses},
            }
            for knockout in found.knockouts
        ],
    }


def skills_view(found: "Skills") -> Group:
    """Tasks down, founders across; then, if there are any, groups of blocks down."""
    from population.skills import EVERYWHERE

    whole = [knockout for knockout in found.knockouts if knockout.where == EVERYWHERE]
    founders = [knockout.founder for knockout in whole]
    table = plain_table("task", "accuracy", *(f"without {name}" for name in founders), "came from",
                        text=("task", "came from"))  # fmt: skip
    for task, accuracy in found.accuracy.items():
        losses = [f"{0.0 - knockout.losses[task].mean:+.2f}" for knockout in whole]
        table.add_row(safe(task), f"{accuracy:.2f}", *losses, safe(_source(found, task)))
    table.add_section()
    table.add_row(
        "mean over tasks", f"{sum(found.accuracy.values()) / len(found.accuracy):.2f}",
        *(f"{0.0 - knockout.loss.mean:+.2f} ±{_half(knockout.loss):.2f}" for knockout in whole), "",
        style="bold",
    )  # fmt: skip
    table.add_row("share of coefficients", "", *(f"{one.share:.0%}" for one in whole), "")
    parts: list[Any] = [
        Text(f"{safe(found.model.label)} on {found.items} {found.split} items"), table
    ]  # fmt: skip
    rest = [knockout for knockout in found.knockouts if knockout.where != EVERYWHERE]
    if rest:
        table = plain_table("taken out of", *(f"without {name}" for name in founders),
                            text=("taken out of",))  # fmt: skip
        for where in dict.fromkeys(knockout.where for knockout in rest):
            losses = [
                f"{0.0 - one.loss.mean:+.3f} ±{_half(one.loss):.3f}"
                for one in rest
                if one.where == where
            ]
            table.add_row(safe(where), *losses)
        parts.append(table)
    return Group(*parts)


def _source(found: "Skills", task: str) -> str:
    """Who has the most credit; the base may hold a skill too, or several founders each."""
    if not found.accuracy[task]:
        return ""
    return found.source(task) or "no one alone"


def _half(interval: Any) -> float:
    return float(interval.high - interval.low) / 2.0
