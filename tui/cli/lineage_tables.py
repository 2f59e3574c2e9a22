"""What the commands on lineages print: tables for people and plain values for scripts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tui.shared.console import PlainConsole

if TYPE_CHECKING:
    from lineage.queries.find import FoundModel
    from lineage.records import Model
    from population.analysis.comparison import CampaignComparison, ComparedCampaign
    from population.analysis.difference import Difference, ModelSide
    from population.evaluation.intervals import Interval


def plain_table(*heads: str, text: Sequence[str] = ()) -> Table:
    """A table whose columns hold numbers, aligned right, except for those named in `text`."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for head in heads:
        if head in text:
            table.add_column(safe(head), overflow="fold")
        else:
            table.add_column(safe(head), justify="right", no_wrap=True)
    return table


def natural_width(table: Table) -> int:
    """The width in cells of a table of which nothing is wrapped or cut off."""
    endless = PlainConsole(width=100_000)
    return Measurement.get(endless, endless.options, table).maximum


def safe(text: object, most: int = 60) -> Text:
    """A text of unknown origin, without markup and control signs, in `most` characters at most."""
    from lineage.drawing.text import shown

    return Text("" if text is None else shown(str(text), most))


def fate(died: int | None, cause: str | None) -> Text:
    """The text "living", or the cause of death and the generation.

    Args:
        died: the generation; None for the living.
        cause: of death.
    """
    return safe("living" if died is None else f"{cause}, gen {died}")


def number(value: Any) -> str:
    """A number with three decimals, or none from 100 on; an empty text for None."""
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"


def found_rows(result: "FoundModel", models: "Sequence[Model]") -> list[dict[str, Any]]:
    """The list that `colony find --json` prints: the models, with every field of the filter.

    Args:
        result: of the search.
        models: that were found, in any order.
    """
    from lineage.formats.plain import facts

    by_id = {model.id: model for model in models}
    return [
        {
            **facts(model),
            "weights_sha256": model.weights_sha256,
            "fingerprint": model.fingerprint,
            "fields": {name: result.values[name][at] for name in result.fields},
        }
        for at, model in enumerate(by_id[identity] for identity in result.ids)
    ]


def found_view(result: "FoundModel", rows: list[dict[str, Any]]) -> Table:
    """The models that were found, as a table with a column for each field of the filter."""
    fields_with_columns = {
        "id",
        "gen",
        "born",
        "operator",
        "name",
        "died",
        "cause",
    }
    asked = [name for name in result.fields if name not in fields_with_columns]
    table = plain_table("model", "born", "how", *asked, "fate", text=("model", "how", "fate"))
    for row in rows:
        values = [row["fields"][name] for name in asked]
        table.add_row(
            safe(row["label"]),
            str(row["generation"]),
            safe(row["operator"]),
            *(safe(value) if isinstance(value, str) else number(value) for value in values),
            fate(row["died"], row["cause"]),
            style=None if row["living"] else "dim",
        )
    return table


def fields_json() -> list[dict[str, str]]:
    """The list that `colony find --fields --json` prints: the fields of the filter language."""
    from lineage.filters.fields import FIELDS

    after = {"task": ":NAME", "founder": ":NAME", "model": ":MODEL"}
    return [
        {
            "field": name + after.get(field.argument, ""),
            "kind": field.kind,
            "meaning": field.meaning,
        }
        for name, field in FIELDS.items()
    ]


def fields_view() -> Table:
    """The fields of the filter language, as a table."""
    table = Table(box=box.SIMPLE_HEAD)
    for head in ("field", "is", "meaning"):
        table.add_column(head, overflow="fold")
    for field in fields_json():
        kind = "true or false" if field["kind"] == "flag" else f"a {field['kind']}"
        table.add_row(field["field"], kind, field["meaning"])
    return table


def comparison_json(comparison: "CampaignComparison | None") -> dict[str, Any] | None:
    """The dictionary that `colony compare --json` prints for one moment; None if there is none."""
    if comparison is None:
        return None
    return {
        "campaigns": [
            _compared_campaign_json(side) for side in (comparison.first, comparison.second)
        ],
        "contests": [
            {
                "split": compared.split,
                "items": compared.items,
                "means": [compared.first.mean, compared.second.mean],
                "difference": vars(compared.difference),
                "tasks": {
                    task: {"means": [first, second], "difference": vars(lead)}
                    for task, (first, second, lead) in compared.tasks.items()
                },
            }
            for compared in comparison.splits
        ],
    }


def _compared_campaign_json(side: "ComparedCampaign") -> dict[str, Any]:
    return {**vars(side), "champion": {"id": side.champion.id, "label": side.champion.label}}


def comparison_view(title: str, names: Sequence[str], comparison: "CampaignComparison") -> Group:
    """Two campaigns side by side, then their champions on every split.

    Args:
        title: of the first table.
        names: of the two campaigns.
        comparison: of them at one moment.
    """
    one, other = comparison.first, comparison.second
    heads = plain_table(title, *names, text=(title,))
    facts: tuple[tuple[str, object, object], ...] = (
        ("champion", one.champion.label, other.champion.label),
        ("generations", one.generation, other.generation),
        ("item evaluations", f"{one.evaluations:,}", f"{other.evaluations:,}"),
        ("births", f"{one.births:,}", f"{other.births:,}"),
        ("seconds of work", f"{one.wall_s:,.0f}", f"{other.wall_s:,.0f}"),
        ("founders alive, effective", f"{one.founder_entropy:.0%}", f"{other.founder_entropy:.0%}"),
    )
    for what, first, second in facts:
        heads.add_row(what, safe(first), safe(second))
    parts: list[Any] = [heads]
    for compared in comparison.splits:
        table = plain_table(
            f"{compared.split}, {compared.items} items", *names, "lead of the first",
            text=(f"{compared.split}, {compared.items} items",),
        )  # fmt: skip
        for task, (first, second, lead) in compared.tasks.items():
            table.add_row(safe(task), f"{first:.2f}", f"{second:.2f}", _lead(lead))
        table.add_section()
        table.add_row(
            "mean over tasks", str(compared.first), str(compared.second),
            _lead(compared.difference),
            style="bold",
        )  # fmt: skip
        parts.append(table)
    return Group(*parts)


def _lead(lead: "Interval") -> str:
    """A lead with its interval, and who is ahead where chance alone would not do it."""
    sign = "◂" if lead.low > 0 else "▸" if lead.high < 0 else " "
    return f"{lead.mean:+.3f} [{lead.low:+.3f}, {lead.high:+.3f}] {sign}"


def difference_json(difference: "Difference") -> dict[str, Any]:
    """The dictionary that `colony diff --json` prints; distances are to the first of `models`."""
    return {
        "founders": list(difference.founders),
        "blocks": list(difference.blocks),
        "models": [
            {
                "id": side.model.id,
                "label": side.model.label,
                "operator": side.model.operator,
                "generation": side.model.generation,
                "shares": side.shares,
                "weights": None if side.weights is None else side.weights.tolist(),
                "steps": side.steps,
                "scores": side.scores,
                "distance": None if (far := difference.distance(0, at)) is None else far.tolist(),
            }
            for at, side in enumerate(difference.sides)
        ],
    }


def difference_view(difference: "Difference", child: int | None, width: int) -> Group:
    """Models side by side: how they were made, of what, where they differ, what they can do.

    Args:
        difference: of two or three models.
        child: the index of the child among them; None if none is.
        width: of the terminal, in cells.
    """
    sides = difference.sides
    labels = [safe(side.model.label, 24).plain for side in sides]
    roles = [
        "" if child is None else "child" if at == child else "parent" for at in range(len(sides))
    ]
    heads = [f"{label} {role}".strip() for label, role in zip(labels, roles, strict=True)]
    made = plain_table("recipe", *heads, text=("recipe",))
    made.add_row("made by", *(safe(side.model.operator) for side in sides))
    made.add_row("born in", *(str(side.model.generation) for side in sides))
    for founder in difference.founders:
        parts = [side.shares.get(founder) for side in sides]
        if any(parts):
            made.add_row(safe(f"weight of {founder}"), *(number(part) for part in parts))
    groups: list[Any] = [made, *_paths(sides, heads)]
    middle = child if child is not None else 0
    others = [at for at in range(len(sides)) if at != middle]
    apart = {at: difference.distance(middle, at) for at in others}
    distances = {at: far for at, far in apart.items() if far is not None}
    if distances:
        most = max(float(far.max()) for far in distances.values()) or 1.0
        pairs = [f"{labels[middle]} to {labels[at]}" for at in distances]
        table = plain_table("block", *pairs, text=("block", *pairs))
        bar = max(4, min(16, (width - 24) // len(distances) - 10))
        for row, block in enumerate(difference.blocks):
            cells = [
                f"{far[row]:.3f} {'▓' * round(bar * float(far[row]) / most)}"
                for far in distances.values()
            ]
            table.add_row(safe(block), *cells)
        groups.append(table)
    groups += [
        _scores(difference, split, heads, middle, others)
        for split in ("selection", "search")
        if sum(bool(side.scores[split]) for side in sides) > 1
    ]
    return Group(*groups)


def _paths(sides: Sequence["ModelSide"], heads: Sequence[str]) -> list[Table]:
    if not any(side.steps for side in sides):
        return []
    table = plain_table("step", *heads, text=heads)
    for step in range(max(len(side.steps or ()) for side in sides)):
        cells = []
        for side in sides:
            if side.steps and step < len(side.steps):
                source, layer, scale = side.steps[step]
                cells.append(safe(f"{source} {layer} x{scale:.2f}"))
            else:
                cells.append(safe(""))
        table.add_row(str(step), *cells)
    return [table]


def _scores(
    difference: "Difference", split: str, heads: Sequence[str], middle: int, others: Sequence[int]
) -> Table:
    """Exact match by task; what beats all others, or loses to all, is said in words."""
    # Search items change from generation to generation, so these are no fair comparison.
    title = split if split == "selection" else "search, own items"
    table = plain_table(title, *heads, "", text=(title, ""))
    tasks = sorted({task for side in difference.sides for task in side.scores[split]})
    for task in tasks:
        values = [side.scores[split].get(task) for side in difference.sides]
        rest = [value for at in others if (value := values[at]) is not None]
        own, remark = values[middle], ""
        if own is not None and len(rest) == len(others):
            above = "above both" if len(rest) > 1 else "above"
            below = "below both" if len(rest) > 1 else "below"
            remark = above if own > max(rest) else below if own < min(rest) else ""
        table.add_row(safe(task), *(number(value) for value in values), remark)
    return table
