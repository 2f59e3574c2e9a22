"""From schema 6 to 7: births are known by the fingerprint of their weights.

Offspring need no SHA-256 any more where they have a fingerprint. Who is there already keeps its
SHA-256 and has no fingerprint.
"""

import duckdb

_ASIDE = """
DROP VIEW parents;
DROP VIEW recipes;
DROP VIEW chronicle;
ALTER TABLE models RENAME TO models_6;
"""

_NEW = """
CREATE TABLE models (
    id             INTEGER PRIMARY KEY CHECK (id > 0),
    kind           VARCHAR NOT NULL CHECK (kind IN ('founder', 'offspring')),
    name           VARCHAR UNIQUE,
    generation     INTEGER NOT NULL CHECK (generation >= 0),
    operator       VARCHAR NOT NULL,
    fingerprint    VARCHAR CHECK (regexp_full_match(fingerprint, '[0-9a-f]{32}')),
    weights_sha256 VARCHAR CHECK (regexp_full_match(weights_sha256, '[0-9a-f]{64}')),
    parents        INTEGER[] NOT NULL,
    shares         DOUBLE[] NOT NULL,
    roles          parent_role[] NOT NULL,
    method         VARCHAR NOT NULL CHECK (method IN ('source', 'linear', 'route')),
    path           VARCHAR,
    genome         DOUBLE[],
    died           INTEGER,
    cause          VARCHAR,
    CHECK (weights_sha256 IS NOT NULL OR (kind = 'offspring' AND fingerprint IS NOT NULL)),
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
CREATE VIEW recipes AS
SELECT id AS model, method, path,
       CASE WHEN method = 'linear' THEN list_resize(genome, greatest(len(genome),
            (SELECT count(*) FROM basis) * (SELECT count(*) FROM blocks)), 0.0)
       ELSE genome END AS genome
FROM models;
CREATE VIEW chronicle AS
SELECT generation, 'birth' AS kind, id AS model, operator AS detail FROM models
UNION ALL SELECT died, 'death', id, cause FROM models WHERE died IS NOT NULL
UNION ALL SELECT generation, kind, model, detail FROM events;
"""

_MOVED = """
INSERT INTO models
SELECT id, kind, name, generation, operator, NULL, weights_sha256, parents, shares, roles, method,
       path, genome, died, cause
FROM models_6 ORDER BY id;
DROP TABLE models_6;
"""


def to_7(db: duckdb.DuckDBPyConnection) -> None:
    """Migrate from schema 6 to 7, within the caller's transaction."""
    for script in (_ASIDE, _NEW, _MOVED):
        db.execute(script)
