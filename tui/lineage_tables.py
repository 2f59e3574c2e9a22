"""What the commands on lineages print: tables for people and plain values for scripts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from lineage.records import Model

if TYPE_CHECKING:
    from lineage.queries.find import Found


def plain_table(*heads: str, text: Sequence[str] = ()) -> Table:
    """A table with numbers on the right; `text` names the columns that are not numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for head in heads:
        if head in text:
            table.add_column(head, overflow="fold")
        else:
            table.add_column(head, justify="right", no_wrap=True)
    return table


def safe(text: object) -> Text:
    """A text of an archive, in which nothing is markup and nothing is obeyed."""
    from lineage.drawing.text import shown  # noqa: PLC0415

    return Text("" if text is None else shown(str(text), 60))


def number(value: Any) -> str:
    """A number as people read it; nothing where it is not known."""
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def found_rows(found: "Found", models: Sequence[Model]) -> list[dict[str, Any]]:
    """What `colony find --json` prints: the models, with every field that was asked about."""
    by_id = {model.id: model for model in models}
    return [
        {
            "id": model.id,
            "label": model.label,
            "kind": model.kind,
            "generation": model.generation,
            "operator": model.operator,
            "living": model.living,
            "died": model.died,
            "cause": model.cause,
            "weights_sha256": model.weights_sha256,
            "fields": {name: found.values[name][at] for name in found.fields},
        }
        for at, model in enumerate(by_id[identity] for identity in found.ids)
    ]


def found_view(found: "Found", rows: list[dict[str, Any]]) -> Table:
    """What was found as a table."""
    said = {"id", "gen", "born", "operator", "name", "died", "cause"}  # columns have them already
    asked = [name for name in found.fields if name not in said]
    table = plain_table("model", "born", "how", *asked, "fate", text=("model", "how", "fate"))
    for row in rows:
        values = [row["fields"][name] for name in asked]
        state = "living" if row["living"] else f"{row['cause']}, gen {row['died']}"
        table.add_row(
            safe(row["label"]),
            str(row["generation"]),
            safe(row["operator"]),
            *(safe(value) if isinstance(value, str) else number(value) for value in values),
            safe(state),
            style=None if row["living"] else "dim",
        )
    return table


def fields_view() -> Table:
    """The fields of the filter language."""
    from lineage.filters.fields import FIELDS  # noqa: PLC0415

    after = {"task": ":NAME", "founder": ":NAME", "model": ":MODEL"}
    table = Table(box=box.SIMPLE_HEAD)
    for head in ("field", "is", "meaning"):
        table.add_column(head, overflow="fold")
    for name, known in FIELDS.items():
        kind = "true or false" if known.kind == "flag" else f"a {known.kind}"
        table.add_row(name + after.get(known.argument, ""), kind, known.meaning)
    return table
