"""The tables of an archive.

::

    campaigns ─┬─ generations ── searches, operators        what each round of breeding came to
               │       │
               │       └── events                           alarms, interventions, new champions
               │
    models ────┴─ a row per birth, whole or not at all:
      │             who      id, name or number, generation, operator
      │             whence   parents[], shares[], roles[]   ── view `parents`, a row per edge
      │             how      method, path or genome[]       ── view `recipes`, a row per model
      │             what     weights_sha256                 ── a file of the cache, if kept
      │             fate     died, cause                    ── view `chronicle`, with the events
      │
      ├── scores ────── items ── panels                     who solves what, of which epoch
      ├── answers ───┬─ readings ── trust                   what was said, and who judged it how
      │              └─ verdicts ── view `matches`
      └── ratings

    basis, blocks      what the columns of a genome mean
    report_scores      what reports measured, by weights
    origins            where models came from that were born in another archive
    orders             what was asked of the campaign, and what came of it

Everything that was ever born is one row of `models`, with its parents and its recipe in that row:
a birth cannot be recorded by half, and the row itself refuses what cannot be. Ids grow with birth
and have no gaps (`lineage.chapters` sees to that, in the transaction of the birth), so `parent <
child` proves that the ancestry has no cycle and that every parent exists.

At a million models the row costs about 37 bytes for the hash, 7 to 8 bytes a gene and 20 for all
else (`python -m tests.benchmarks.lineage`): hexadecimal text, which any shell can show, takes no
more on disk than a BLOB, as DuckDB packs it. The one index on `models` is that of the primary key.

A linear recipe is a genome: one coefficient per (basis vector, block), row-major over `basis` and
`blocks`. The weights of block b are `origin_b + sum_v genome[v, b] * (founder_v - origin)_b`. Who
was born before a founder came has no coefficients for it: its row stays as it was, and the view
`recipes` says 0 there. The genome of a route is what the campaign's search space says: a path
through layers, with scales.
"""

SCHEMA_VERSION = 4

TABLES = """
CREATE TABLE meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);

-- What this archive was started with is number 1; others came in with models from elsewhere.
CREATE TABLE campaigns (
    id         INTEGER PRIMARY KEY CHECK (id > 0),
    seed       BIGINT NOT NULL,
    config     VARCHAR NOT NULL,              -- JSON of the validated configuration
    started_at TIMESTAMP NOT NULL DEFAULT current_timestamp,
    archive    VARCHAR,                       -- the archive that it was forked or taken from,
    generation INTEGER,                       -- and the last generation that came along
    CHECK ((archive IS NULL) = (generation IS NULL))
);

CREATE TYPE parent_role AS ENUM ('first', 'mate', 'ensemble');
CREATE TABLE models (
    id             INTEGER PRIMARY KEY CHECK (id > 0),
    kind           VARCHAR NOT NULL CHECK (kind IN ('founder', 'offspring')),
    name           VARCHAR UNIQUE,            -- founders have one, offspring need none
    generation     INTEGER NOT NULL CHECK (generation >= 0),
    operator       VARCHAR NOT NULL,
    weights_sha256 VARCHAR NOT NULL CHECK (regexp_full_match(weights_sha256, '[0-9a-f]{64}')),
    parents        INTEGER[] NOT NULL,        -- each once, all older than their child
    shares         DOUBLE[] NOT NULL,         -- of each parent, in the same order; they sum to 1
    roles          parent_role[] NOT NULL,    -- of each parent, in the same order
    method         VARCHAR NOT NULL CHECK (method IN ('source', 'linear', 'route')),
    path           VARCHAR,                   -- where a founder's checkpoint lies
    genome         DOUBLE[],                  -- what an offspring is made by
    died           INTEGER,                   -- the generation it became a fossil in
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

-- Models that were born elsewhere, and their ids there.
CREATE TABLE origins (
    model    INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL,
    id_there INTEGER NOT NULL CHECK (id_there > 0),
    UNIQUE (campaign, id_there)
);

-- The axes of a genome.
CREATE TABLE basis  (position INTEGER PRIMARY KEY, founder INTEGER NOT NULL);
CREATE TABLE blocks (position INTEGER PRIMARY KEY, name VARCHAR NOT NULL UNIQUE,
                     parameters BIGINT NOT NULL);

CREATE TABLE items (
    id VARCHAR PRIMARY KEY, task VARCHAR NOT NULL, split VARCHAR NOT NULL
        CHECK (split IN ('search', 'selection')),
    prompt VARCHAR NOT NULL, key VARCHAR NOT NULL
);
-- Search items are dealt in panels; everyone of a generation is scored on the same panel.
CREATE TABLE panels (epoch INTEGER NOT NULL, position INTEGER NOT NULL, item VARCHAR NOT NULL,
                     PRIMARY KEY (epoch, position));
CREATE TABLE scores (
    model INTEGER NOT NULL, item VARCHAR NOT NULL,
    exact DOUBLE NOT NULL,                    -- 1 where greedy decoding gives the key, else 0
    probability DOUBLE NOT NULL               -- that the model, sampled, gives the key
);

-- The arena: what the models answered, what judges made of it, how they are rated.
CREATE TABLE answers (
    epoch INTEGER NOT NULL, item VARCHAR NOT NULL, model INTEGER NOT NULL,
    answer VARCHAR NOT NULL, PRIMARY KEY (epoch, item, model)
);
CREATE TABLE readings (
    epoch INTEGER NOT NULL, item VARCHAR NOT NULL, judge INTEGER NOT NULL,
    answer VARCHAR NOT NULL, log_likelihood DOUBLE NOT NULL,
    PRIMARY KEY (epoch, item, judge, answer)
);
CREATE TABLE verdicts (
    generation INTEGER NOT NULL, item VARCHAR NOT NULL, model INTEGER NOT NULL,
    support DOUBLE NOT NULL                   -- share of the jury's trust behind its answer
);
CREATE TABLE trust (
    generation INTEGER NOT NULL, judge INTEGER NOT NULL, mode VARCHAR NOT NULL,
    hits DOUBLE NOT NULL, misses DOUBLE NOT NULL, PRIMARY KEY (generation, judge, mode)
);
CREATE TABLE ratings (
    generation INTEGER NOT NULL, model INTEGER NOT NULL,
    rating DOUBLE NOT NULL, deviation DOUBLE NOT NULL, -- logits; Elo points = 1000 + 173.7 logits
    prior DOUBLE NOT NULL,                    -- where the fit started from: the parents' mean
    PRIMARY KEY (generation, model)
);

CREATE TABLE generations (
    generation  INTEGER PRIMARY KEY,
    epoch       INTEGER NOT NULL,
    evaluations BIGINT NOT NULL,              -- item evaluations of this generation, all uses
    best        DOUBLE NOT NULL,              -- search score of the best living
    median      DOUBLE NOT NULL,
    champion    INTEGER NOT NULL,
    wall_s      DOUBLE NOT NULL,
    forward_s   DOUBLE NOT NULL,              -- wall time with a forward pass running
    cpu_s       DOUBLE NOT NULL,              -- processor time, of all cores together
    founder_entropy DOUBLE NOT NULL,          -- effective founders of the living / founders
    mean_kinship    DOUBLE NOT NULL,          -- of two of the living
    item_coverage   DOUBLE NOT NULL           -- share of the panel that somebody living solves
);
-- What the search had learned when a generation was committed; it goes on from there.
CREATE TABLE searches (
    generation INTEGER PRIMARY KEY,
    origin     INTEGER NOT NULL,              -- the model that the emitter's children descend from
    steps      INTEGER NOT NULL, level INTEGER NOT NULL, stalled INTEGER NOT NULL,
    stride     DOUBLE NOT NULL,               -- factor on the length of its steps
    centre     DOUBLE[] NOT NULL, average DOUBLE[] NOT NULL,
    gradient   DOUBLE[] NOT NULL, square  DOUBLE[] NOT NULL
);
CREATE TABLE operators (
    generation INTEGER NOT NULL, operator VARCHAR NOT NULL,
    often      DOUBLE NOT NULL,               -- how often it was expected to be taken
    tries      DOUBLE NOT NULL, successes DOUBLE NOT NULL, cost DOUBLE NOT NULL, -- these fade
    PRIMARY KEY (generation, operator)
);
-- What no other table tells. Births and deaths are rows of `models`; `chronicle` has it all.
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

-- What `report` measured, by weights, so that a report is paid for once. Campaigns never read it.
CREATE TABLE report_scores (
    weights_sha256 VARCHAR NOT NULL, split VARCHAR NOT NULL, task VARCHAR NOT NULL,
    item VARCHAR NOT NULL, exact DOUBLE NOT NULL, probability DOUBLE NOT NULL,
    PRIMARY KEY (weights_sha256, item)
);

-- Every pair of different answers to one item, with the jury's support for each: the matches.
CREATE VIEW matches AS
SELECT va.generation, va.item, va.model AS model_a, aa.answer AS answer_a, va.support AS support_a,
       vb.model AS model_b, ab.answer AS answer_b, vb.support AS support_b
FROM verdicts va
JOIN verdicts vb ON va.generation = vb.generation AND va.item = vb.item AND va.model < vb.model
JOIN generations g ON g.generation = va.generation
JOIN answers aa ON aa.epoch = g.epoch AND aa.item = va.item AND aa.model = va.model
JOIN answers ab ON ab.epoch = g.epoch AND ab.item = vb.item AND ab.model = vb.model
WHERE aa.answer <> ab.answer;
"""

ORDERS = """
-- What whoever watches asked of the campaign. It is carried out or refused between two generations.
CREATE TABLE orders (
    id       INTEGER PRIMARY KEY CHECK (id > 0),
    kind     VARCHAR NOT NULL CHECK (kind IN ('pause', 'resume', 'pin', 'unpin', 'cull', 'mate',
                                              'add-founder', 'budget', 'tournament')),
    models   INTEGER[] NOT NULL,              -- whom it names
    argument VARCHAR,                         -- where a founder lies, or a number
    given_at TIMESTAMP NOT NULL DEFAULT current_timestamp,
    given    INTEGER NOT NULL,                -- the last complete generation then; -1 before all
    settled  INTEGER,                         -- the generation that it was carried out after, or in
    outcome  VARCHAR CHECK (outcome IN ('done', 'refused')),
    answer   VARCHAR,                         -- what was done, or why not
    CHECK (len(models) = CASE WHEN kind = 'mate' THEN 2
                              WHEN kind IN ('pin', 'unpin', 'cull') THEN 1 ELSE 0 END),
    CHECK ((kind IN ('add-founder', 'budget')) = (argument IS NOT NULL)),
    CHECK ((outcome IS NULL) = (settled IS NULL) AND (outcome IS NULL) = (answer IS NULL)),
    CHECK (settled >= given)
);
"""

RECIPES = """
CREATE VIEW recipes AS
SELECT id AS model, method, path,
       CASE WHEN method = 'linear' THEN list_resize(genome, greatest(len(genome),
            (SELECT count(*) FROM basis) * (SELECT count(*) FROM blocks)), 0.0)
       ELSE genome END AS genome
FROM models;
"""
