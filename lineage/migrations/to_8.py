"""From schema 7 to 8: items may be more than texts, such as chats."""

import duckdb


def to_8(db: duckdb.DuckDBPyConnection) -> None:
    """Migrate from schema 7 to 8, within the caller's transaction."""
    db.execute("ALTER TABLE items ADD COLUMN details VARCHAR")
