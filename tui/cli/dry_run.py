"""What `colony run --dry-run` prints: what a campaign would take."""

from typing import TYPE_CHECKING

from rich.table import Table

from tui.shared.pace import clock

if TYPE_CHECKING:
    from population.campaign.rehearsal import Rehearsal


def dry_run_view(found: "Rehearsal") -> Table:
    """A line for each thing that a campaign takes."""
    table = Table(show_header=False, box=None, pad_edge=False)
    candidate = (
        f"{found.candidate_s:.3g} s and {found.candidate_tokens:,} tokens, "
        f"made and scored on {found.items:,} items"
    )
    limits = [
        (
            one.limit,
            f"generation 0 ({found.founding:,}) and {one.generations:,} more or somewhat more "
            f"(up to {found.generation:,} each), in about {clock(one.seconds)}",
        )
        for one in found.pays
    ]
    if len(limits) > 1:
        limits.append(("the first of these", f"{found.first_limit.limit}"))
    for name, value in (
        ("models", f"{found.founders} founders of {found.parameters:,} parameters, "
                   f"{found.model_bytes / 1e6:,.0f} MB each"),
        ("memory", found.memory),
        ("a candidate", candidate),
        *limits,
    ):  # fmt: skip
        table.add_row(name, value)
    return table
