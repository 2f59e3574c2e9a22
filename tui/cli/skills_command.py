"""`colony skills`: which founders the skills of a model came from, measured by running it."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from tui.cli.lineage_tables import natural_width, plain_table, safe
from tui.shared.console import (
    DEFAULT_ARCHIVE,
    ArchiveOption,
    JsonOption,
    ModelArgument,
    clear_errors,
    help_text,
    open_archive,
    out,
    print_json,
    progress_bar,
)

if TYPE_CHECKING:
    from population.analysis.founder_ablation import Ablation, FounderAblation

app = typer.Typer()


class Split(StrEnum):
    """The splits whose items may be asked; the sealed split is for reports alone."""

    search = "search"
    selection = "selection"


class Grain(StrEnum):
    """What a founder is removed from, one at a time."""

    layer = "layer"
    block = "block"


@app.command(
    help=help_text(
        "Measure which founder each skill came from, as the accuracy lost without that founder. "
        "Losses do not add up, as founders may stand in for each other or only work together.",
        "colony skills champion",
        "colony skills 40 --task cipher --by layer      (and where in the network)",
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
        colony = open_archive(archive)
        row = colony.find(model)
        with progress_bar() as progress:
            progress(0, 1, "loading torch")
            from population.analysis.founder_ablation import ablate_founders, check_linear
            from population.campaign.opening_context import reopen_context

            check_linear(colony, row)
            ablation = ablate_founders(
                colony,
                reopen_context(colony, progress),
                row,
                tasks=task or (),
                split=split.value,
                grain="model" if by is None else by.value,
                progress=progress,
            )
        if as_json:
            print_json(skills_json(ablation))
        else:
            out.print(skills_view(ablation, out.width))


def skills_json(ablation: "FounderAblation") -> dict[str, Any]:
    """The dictionary that `colony skills --json` prints; losses and credit are in exact match."""
    return {
        "model": {"id": ablation.model.id, "label": ablation.model.label},
        "split": ablation.split,
        "items": ablation.items,
        "accuracy": ablation.accuracy,
        "sources": {task: ablation.source(task) for task in ablation.accuracy},
        "knockouts": [
            {
                "founder": knockout.founder,
                "where": knockout.where,
                "coefficient": knockout.coefficient,
                "share": knockout.share,
                "loss": vars(knockout.loss),
                "losses": {task: vars(loss) for task, loss in knockout.losses.items()},
                "probability_losses": knockout.probability_losses,
                "credit": {task: knockout.credit(task) for task in knockout.losses},
            }
            for knockout in ablation.knockouts
        ],
    }


def skills_view(ablation: "FounderAblation", width: int) -> Group:
    """The loss of exact match by task, founder and, if it was measured, group of blocks.

    Founders stand side by side where there is room, else in words, the greatest loss first.

    Args:
        ablation: what was measured.
        width: of the terminal, in cells.
    """
    from population.analysis.founder_ablation import EVERYWHERE

    places = dict.fromkeys(knockout.where for knockout in ablation.knockouts)
    whole = [knockout for knockout in ablation.knockouts if knockout.where == EVERYWHERE]
    parts: list[Any] = [
        Text(
            f"{safe(ablation.model.label)} on {ablation.items} {ablation.split} items: accuracy, "
            "and what becomes of it without a founder"
        )
    ]
    table = _by_task(ablation, whole)
    parts += (
        [table]
        if natural_width(table) <= width
        else [_by_task_in_words(ablation, whole), _means(whole)]
    )
    rest = [place for place in places if place != EVERYWHERE]
    if rest:
        table = _by_place(ablation, rest, [knockout.founder for knockout in whole])
        parts.append(table if natural_width(table) <= width else _by_place_in_words(ablation, rest))
    return Group(*parts)


def _by_task(ablation: "FounderAblation", whole: "Sequence[Ablation]") -> Table:
    """Tasks down, founders across."""
    names = [f"- {safe(knockout.founder, 16)}" for knockout in whole]
    table = plain_table("task", "accuracy", *names, "came from", text=("task", "came from"))
    for task, accuracy in ablation.accuracy.items():
        losses = [f"{0.0 - knockout.losses[task].mean:+.2f}" for knockout in whole]
        table.add_row(safe(task), f"{accuracy:.2f}", *losses, safe(_source(ablation, task)))
    table.add_section()
    table.add_row(
        "mean over tasks", f"{_mean(ablation):.2f}",
        *(f"{0.0 - one.loss.mean:+.2f} ±{_half_width(one.loss):.2f}" for one in whole), "",
        style="bold",
    )  # fmt: skip
    table.add_row("share of coefficients", "", *(f"{one.share:.0%}" for one in whole), "")
    return table


def _by_task_in_words(ablation: "FounderAblation", whole: "Sequence[Ablation]") -> Table:
    table = plain_table("task", "accuracy", "came from", "without",
                        text=("task", "came from", "without"))  # fmt: skip
    for task, accuracy in ablation.accuracy.items():
        changes = {knockout.founder: 0.0 - knockout.losses[task].mean for knockout in whole}
        change = _in_words(changes, 0.045, 2)
        table.add_row(safe(task), f"{accuracy:.2f}", safe(_source(ablation, task)), change)
    table.add_section()
    table.add_row("mean over tasks", f"{_mean(ablation):.2f}", "", "", style="bold")
    return table


def _means(whole: "Sequence[Ablation]") -> Table:
    """Founders down."""
    table = plain_table("without", "mean over tasks", "share of coefficients", text=("without",))
    for knockout in sorted(whole, key=lambda knockout: -knockout.loss.mean):
        change = f"{0.0 - knockout.loss.mean:+.2f} ±{_half_width(knockout.loss):.2f}"
        table.add_row(safe(knockout.founder), change, f"{knockout.share:.0%}")
    return table


def _by_place(ablation: "FounderAblation", places: Sequence[str], founders: Sequence[str]) -> Table:
    """Groups of blocks down, founders across."""
    names = [f"- {safe(name, 16)}" for name in founders]
    table = plain_table("taken out of", *names, text=("taken out of",))
    for where in places:
        losses = [
            f"{0.0 - one.loss.mean:+.3f} ±{_half_width(one.loss):.3f}"
            for one in ablation.knockouts
            if one.where == where
        ]
        table.add_row(safe(where), *losses)
    return table


def _by_place_in_words(ablation: "FounderAblation", places: Sequence[str]) -> Table:
    table = plain_table("taken out of", "without", text=("taken out of", "without"))
    for where in places:
        changes = {
            one.founder: 0.0 - one.loss.mean for one in ablation.knockouts if one.where == where
        }
        table.add_row(safe(where), _in_words(changes, 0.0045, 3))
    return table


def _in_words(changes: Mapping[str, float], least: float, digits: int) -> Text:
    """Changes by founder, the greatest loss first; small ones are left out."""
    ranked = sorted(changes.items(), key=lambda change: change[1])
    parts = [
        f"{safe(name, 24)} {change:+.{digits}f}" for name, change in ranked if abs(change) >= least
    ]
    return Text(", ".join(parts) or "little changes")


def _mean(ablation: "FounderAblation") -> float:
    return sum(ablation.accuracy.values()) / len(ablation.accuracy)


def _source(ablation: "FounderAblation", task: str) -> str:
    """The founder with the most credit; the base, or several founders, may hold a skill too."""
    if not ablation.accuracy[task]:
        return ""
    return ablation.source(task) or "no one alone"


def _half_width(interval: Any) -> float:
    return float(interval.high - interval.low) / 2.0
