"""From schema 11 to 12: models study what the colony holds for right."""

import duckdb

_NEW = """
CREATE TABLE studies (
    model       INTEGER UNIQUE,
    pupil       INTEGER NOT NULL,
    generation  INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,
    items       INTEGER NOT NULL,
    steps       INTEGER NOT NULL,
    evaluations BIGINT NOT NULL
);
"""


def to_12(db: duckdb.DuckDBPyConnection) -> None:
    """Migrate from schema 11 to 12, within the caller's transaction."""
    db.execute(_NEW)
