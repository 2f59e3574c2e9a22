"""How an archive begins: its tables, its founders and the axes of its genomes."""

from collections.abc import Iterable

import duckdb

from lineage.records import Block, Founder
from lineage.storage.schema import ORDERS, RECIPES, SCHEMA_VERSION, TABLES


def lay_tables(
    db: duckdb.DuckDBPyConnection, basis: Iterable[int], blocks: Iterable[Block]
) -> None:
    """Write empty tables, and what rows (`basis`, ids of founders) and columns of genomes mean."""
    for script in (TABLES, ORDERS, RECIPES):
        db.execute(script)
    db.execute("INSERT INTO meta VALUES ('schema_version', ?)", [str(SCHEMA_VERSION)])
    for position, founder in enumerate(basis):
        db.execute("INSERT INTO basis VALUES (?, ?)", [position, founder])
    for position, block in enumerate(blocks):
        db.execute("INSERT INTO blocks VALUES (?, ?, ?)", [position, block.name, block.parameters])


def insert_founder(
    db: duckdb.DuckDBPyConnection, model: int, founder: Founder, generation: int = 0
) -> None:
    """Write a founder under an id; `generation` is the last one that was complete when it came."""
    db.execute(
        "INSERT INTO models VALUES (?, 'founder', ?, ?, 'founding', ?, [], [], [], 'source', ?, "
        "NULL, NULL, NULL)",
        [model, founder.name, generation, founder.weights_sha256, founder.path],
    )
