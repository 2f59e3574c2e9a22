"""From schema 9 to 10: generations record what the living do together and of whom they are made."""

import duckdb


def to_10(db: duckdb.DuckDBPyConnection) -> None:
    """Migrate from schema 9 to 10, within the caller's transaction."""
    for column in ("task_coverage", "qd_score", "founders_by_weight"):
        db.execute(f"ALTER TABLE generations ADD COLUMN {column} DOUBLE")
