"""Creating an archive: its tables, its founders and the axes of its genomes."""

from collections.abc import Iterable

import duckdb

from lineage.records import Block, Founder
from lineage.storage.schema import COMMANDS, RECIPES, SCHEMA_VERSION, TABLES, VIEWS


def create_tables(
    db: duckdb.DuckDBPyConnection, basis: Iterable[int], blocks: Iterable[Block]
) -> None:
    """Create the tables, and write the axes of genomes.

    Args:
        db: an empty database.
        basis: for each row of a genome, the id of the founder whose task vector it scales.
        blocks: the columns of a genome.
    """
    for script in (TABLES, VIEWS, COMMANDS, RECIPES):
        db.execute(script)
    db.execute("INSERT INTO meta VALUES ('schema_version', ?)", [str(SCHEMA_VERSION)])
    for position, founder in enumerate(basis):
        db.execute("INSERT INTO basis VALUES (?, ?)", [position, founder])
    for position, block in enumerate(blocks):
        db.execute("INSERT INTO blocks VALUES (?, ?, ?)", [position, block.name, block.parameters])


def insert_founder(
    db: duckdb.DuckDBPyConnection,
    model: int,
    founder: Founder,
    generation: int = 0,
    operator: str = "founding",
) -> None:
    """Write a founder.

    Args:
        db: a lease for writing.
        model: its id.
        founder: its checkpoint and hash.
        generation: the last one that was complete when it was added.
        operator: how it came to be.
    """
    db.execute(
        "INSERT INTO models VALUES (?, 'founder', ?, ?, ?, ?, ?, [], [], [], 'source', ?, "
        "NULL, NULL, NULL)",
        [
            model,
            founder.name,
            generation,
            operator,
            founder.fingerprint,
            founder.weights_sha256,
            founder.path,
        ],
    )
