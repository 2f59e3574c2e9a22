"""From schema 3 to 4: commands to a campaign.

Commands have a table, `orders`. A founder may be added later, so recipes that were made before are
read with zeros in its place.
"""

import duckdb

_ORDERS = """
CREATE TABLE orders (
    id       INTEGER PRIMARY KEY CHECK (id > 0),
    kind     VARCHAR NOT NULL CHECK (kind IN ('pause', 'resume', 'pin', 'unpin', 'cull', 'mate',
                                              'add-founder', 'budget', 'tournament')),
    models   INTEGER[] NOT NULL,
    argument VARCHAR,
    given_at TIMESTAMP NOT NULL DEFAULT current_timestamp,
    given    INTEGER NOT NULL,
    settled  INTEGER,
    outcome  VARCHAR CHECK (outcome IN ('done', 'refused')),
    answer   VARCHAR,
    CHECK (len(models) = CASE WHEN kind = 'mate' THEN 2
                              WHEN kind IN ('pin', 'unpin', 'cull') THEN 1 ELSE 0 END),
    CHECK ((kind IN ('add-founder', 'budget')) = (argument IS NOT NULL)),
    CHECK ((outcome IS NULL) = (settled IS NULL) AND (outcome IS NULL) = (answer IS NULL)),
    CHECK (settled >= given)
);
"""

_RECIPES = """
DROP VIEW recipes;
CREATE VIEW recipes AS
SELECT id AS model, method, path,
       CASE WHEN method = 'linear' THEN list_resize(genome, greatest(len(genome),
            (SELECT count(*) FROM basis) * (SELECT count(*) FROM blocks)), 0.0)
       ELSE genome END AS genome
FROM models;
"""


def to_4(db: duckdb.DuckDBPyConnection) -> None:
    """Migrate from schema 3 to 4, within the caller's transaction."""
    for script in (_ORDERS, _RECIPES):
        db.execute(script)
