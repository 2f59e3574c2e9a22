"""From schema 2 to 3: a birth is one row.

Parents and recipes, which were tables of their own, become part of the row of the model; views of
the same names stand in their place. Archives know where models came from that were born elsewhere.
"""

import duckdb

_ASIDE = """
ALTER TABLE campaigns RENAME TO campaigns_2;
ALTER TABLE models RENAME TO models_2;
ALTER TABLE parents RENAME TO parents_2;
ALTER TABLE recipes RENAME TO recipes_2;
ALTER TABLE events RENAME TO events_2;
"""

_NEW = """
CREATE TABLE campaigns (
    id         INTEGER PRIMARY KEY CHECK (id > 0),
    seed       BIGINT NOT NULL,
    config     VARCHAR NOT NULL,
    started_at TIMESTAMP NOT NULL DEFAULT current_timestamp,
    archive    VARCHAR,
    generation INTEGER,
    CHECK ((archive IS NULL) = (generation IS NULL))
);

CREATE TYPE parent_role AS ENUM ('first', 'mate', 'ensemble');
CREATE TABLE models (
    id             INTEGER PRIMARY KEY CHECK (id > 0),
    kind           VARCHAR NOT NULL CHECK (kind IN ('founder', 'offspring')),
    name           VARCHAR UNIQUE,
    generation     INTEGER NOT NULL CHECK (generation >= 0),
    operator       VARCHAR NOT NULL,
    weights_sha256 VARCHAR NOT NULL CHECK (regexp_full_match(weights_sha256, '[0-9a-f]{64}')),
    parents        INTEGER[] NOT NULL,
    shares         DOUBLE[] NOT NULL,
    roles          parent_role[] NOT NULL,
    method         VARCHAR NOT NULL CHECK (method IN ('source', 'linear', 'route')),
    path           VARCHAR,
    genome         DOUBLE[],
    died           INTEGER,
    cause          VARCHAR,
    CHECK ((kind = 'founder') = (name IS NOT NULL)),
    CHECK ((kind = 'founder') = (method = 'source')),
    CHECK ((kind = 'founder') = (len(parents) = 0)),
    CHECK ((kind = 'founder') = (path IS NOT NULL)),
    CHECK ((kind = 'founder') = (genome IS NULL)),
    CHECK (list_count(genome) = len(genome) AND isfinite(list_sum(genome))),
    CHECK (list_min(parents) > 0 AND list_max(parents) < id),
    CHECK (len(list_distinct(parents)) = len(parents)),
    CHECK (list_count(shares) = len(parents) AND list_count(roles) = len(parents)),
    CHECK (len(shares) = len(parents) AND len(roles) = len(parents)),
    CHECK (list_min(shares) > 0 AND abs(list_sum(shares) - 1) < 1e-6),
    CHECK ((died IS NULL) = (cause IS NULL)),
    CHECK (died >= generation)
);
CREATE VIEW parents AS
SELECT id AS child, unnest(parents) AS parent, unnest(shares) AS share,
       unnest(roles::VARCHAR[]) AS role
FROM models;
CREATE VIEW recipes AS SELECT id AS model, method, path, genome FROM models;

CREATE TABLE origins (
    model    INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL,
    id_there INTEGER NOT NULL CHECK (id_there > 0),
    UNIQUE (campaign, id_there)
);

CREATE TABLE events (
    generation INTEGER NOT NULL,
    kind       VARCHAR NOT NULL CHECK (kind IN ('panel', 'champion', 'alarm', 'intervention')),
    model      INTEGER,
    detail     VARCHAR NOT NULL
);
CREATE VIEW chronicle AS
SELECT generation, 'birth' AS kind, id AS model, operator AS detail FROM models
UNION ALL SELECT died, 'death', id, cause FROM models WHERE died IS NOT NULL
UNION ALL SELECT generation, kind, model, detail FROM events;
"""

_MOVED = """
INSERT INTO campaigns SELECT id, seed, config, started_at, NULL, NULL FROM campaigns_2;
INSERT INTO models
SELECT id, kind, name, generation, operator, weights_sha256,
       coalesce(ids, []), coalesce(shares, []), coalesce(roles, []),
       method, path, genome, died, cause
FROM models_2
LEFT JOIN recipes_2 ON recipes_2.model = models_2.id
LEFT JOIN (
    SELECT child, list(parent ORDER BY rowid) AS ids, list(share ORDER BY rowid) AS shares,
           list(role ORDER BY rowid) AS roles
    FROM parents_2 GROUP BY child
) ON child = models_2.id
ORDER BY id;
INSERT INTO events SELECT generation, kind, model, detail FROM events_2 ORDER BY rowid;
DROP TABLE campaigns_2;
DROP TABLE models_2;
DROP TABLE parents_2;
DROP TABLE recipes_2;
DROP TABLE events_2;
"""


def to_3(db: duckdb.DuckDBPyConnection) -> None:
    """Migrate from schema 2 to 3, within the caller's transaction."""
    for script in (_ASIDE, _NEW, _MOVED):
        db.execute(script)
