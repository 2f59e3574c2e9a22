"""What `colony sources` prints: tables for people and plain values for scripts."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lineage.escaping import escaped
from population.merging.preflight import format_size
from tui.cli.lineage_tables import plain_table, safe

if TYPE_CHECKING:
    from population.analysis.recommendation import RecommendedSource
    from population.analysis.source_attribution import AvailableSource


def sources_json(
    available: "Sequence[AvailableSource]", chosen: "Sequence[RecommendedSource] | None"
) -> dict[str, Any]:
    """The dictionary that `colony sources --json` prints.

    Args:
        available: all sources.
        chosen: the recommended ones; None where no task was given.
    """
    return {
        "sources": [{"id": source.model, **asdict(source)} for source in available],
        "choices": None
        if chosen is None
        else [{"id": choice.model, **vars(choice), "reason": choice.reason} for choice in chosen],
    }


def sources_view(available: "Sequence[AvailableSource]") -> RenderableType:
    """All sources as a table."""
    table = plain_table("", "name", "fits", "licence", "size", "lies in",
                        text=("name", "fits", "licence", "lies in"))  # fmt: skip
    for source in available:
        about = source.profile
        table.add_row(
            f"#{source.model}",
            safe(source.name),
            safe(source.fits),
            safe((about and about.licence) or "not stated"),
            format_size(about.size) if about else "",
            safe(source.path or "made from its recipe", 500),
            style="red" if source.trouble else None,
        )
    return table


def choices_view(
    chosen: "Sequence[RecommendedSource]", available: "Sequence[AvailableSource]"
) -> RenderableType:
    """What to merge, with the reasons.

    Args:
        chosen: the recommended sources, best first.
        available: all sources, for their names.
    """
    if not chosen:
        return Text("nothing of that task was asked of all the living")
    names = {source.model: source.name for source in available}
    table = Table.grid(padding=(0, 2))
    for choice in chosen:
        table.add_row(
            safe(names.get(choice.model) or f"#{choice.model}"), Text(escaped(choice.reason))
        )
    return table
