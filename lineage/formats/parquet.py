"""A family as a Parquet file, for data frames and SQL: a row per model, parents as lists."""

from pathlib import Path

import duckdb

from lineage.drawing.family import Family
from lineage.formats.plain import nodes

_TYPES = {
    "id": "INTEGER",
    "label": "VARCHAR",
    "kind": "VARCHAR",
    "generation": "INTEGER",
    "operator": "VARCHAR",
    "living": "BOOLEAN",
    "died": "INTEGER",
    "cause": "VARCHAR",
    "champion": "BOOLEAN",
    "fitness": "DOUBLE",
    "children": "INTEGER",
    "weights_sha256": "VARCHAR",
    "fingerprint": "VARCHAR",
    "parents": "INTEGER[]",
    "shares": "DOUBLE[]",
}


def write_parquet(family: Family, path: Path) -> None:
    """Write a family; parents that are not in the family are listed as well.

    Raises:
        duckdb.Error: the file cannot be written.
    """
    rows = nodes(family)
    columns = {name: [row.get(name) for row in rows] for name in _TYPES}
    models = [family.models[row["id"]] for row in rows]
    columns["parents"] = [[parent.id for parent in model.parents] for model in models]
    columns["shares"] = [[parent.share for parent in model.parents] for model in models]
    chosen = ", ".join(f"unnest(${name}::{kind}[]) AS {name}" for name, kind in _TYPES.items())
    target = str(path).replace("'", "''")
    with duckdb.connect(":memory:", config={"threads": 1}) as db:
        db.execute(f"COPY (SELECT {chosen}) TO '{target}' (FORMAT parquet)", columns)
