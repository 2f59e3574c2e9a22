"""From schema 8 to 9: a colony without keys keeps its pseudo-labels."""

import duckdb

_NEW = """
CREATE TABLE labels (
    epoch INTEGER NOT NULL, item VARCHAR NOT NULL,
    answer     VARCHAR NOT NULL,
    model      INTEGER NOT NULL,
    confidence DOUBLE NOT NULL,
    kept       BOOLEAN NOT NULL,
    PRIMARY KEY (epoch, item)
);
"""


def to_9(db: duckdb.DuckDBPyConnection) -> None:
    """Migrate from schema 8 to 9, within the caller's transaction."""
    db.execute(_NEW)
