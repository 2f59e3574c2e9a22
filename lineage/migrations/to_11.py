"""From schema 10 to 11: generations say how many tokens they took.

Those of earlier ones are not known and count as none, so a budget in tokens counts from here on.
"""

import duckdb


def to_11(db: duckdb.DuckDBPyConnection) -> None:
    """Migrate from schema 10 to 11, within the caller's transaction."""
    db.execute("ALTER TABLE generations ADD COLUMN tokens BIGINT DEFAULT 0")
