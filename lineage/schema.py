"""The tables of an archive.

Everything that was ever born is a row of `models`; how it is made is a row of `recipes`; who it
descends from are rows of `parents`. Ids grow with birth, so `parent < child` is a proof that the
ancestry has no cycle, and the database itself refuses a birth that breaks it.

A linear recipe is a genome: one coefficient per (basis vector, block), row-major over `basis` and
`blocks`. The weights of block b are `origin_b + sum_v genome[v, b] * (founder_v - origin)_b`. The
genome of a route is what the campaign's search space says: a path through layers, with scales.
"""

SCHEMA_VERSION = 2

TABLES = """
CREATE TABLE meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);

-- One row: what this campaign was started with.
CREATE TABLE campaigns (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    seed       BIGINT NOT NULL,
    config     VARCHAR NOT NULL,              -- JSON of the validated configuration
    started_at TIMESTAMP NOT NULL DEFAULT current_timestamp
);

CREATE TABLE models (
    id             INTEGER PRIMARY KEY CHECK (id > 0),
    kind           VARCHAR NOT NULL CHECK (kind IN ('founder', 'offspring')),
    name           VARCHAR UNIQUE,            -- founders have one, offspring need none
    generation     INTEGER NOT NULL CHECK (generation >= 0),
    operator       VARCHAR NOT NULL,
    weights_sha256 VARCHAR NOT NULL CHECK (length(weights_sha256) = 64),
    died           INTEGER,                   -- the generation it became a fossil in
    cause          VARCHAR,
    CHECK ((died IS NULL) = (cause IS NULL)),
    CHECK ((kind = 'founder') = (name IS NOT NULL))
);

CREATE TABLE parents (
    child  INTEGER NOT NULL,
    parent INTEGER NOT NULL CHECK (parent > 0),
    share  DOUBLE NOT NULL CHECK (share > 0 AND share <= 1),
    role   VARCHAR NOT NULL CHECK (role IN ('first', 'mate', 'ensemble')),
    CHECK (parent < child),
    PRIMARY KEY (child, parent)
);

-- The axes of a genome.
CREATE TABLE basis  (position INTEGER PRIMARY KEY, founder INTEGER NOT NULL);
CREATE TABLE blocks (position INTEGER PRIMARY KEY, name VARCHAR NOT NULL UNIQUE,
                     parameters BIGINT NOT NULL);
CREATE TABLE recipes (
    model  INTEGER PRIMARY KEY,
    method VARCHAR NOT NULL CHECK (method IN ('source', 'linear', 'route')),
    path   VARCHAR,                           -- where a founder's checkpoint lies
    genome DOUBLE[],
    CHECK ((method = 'source') = (path IS NOT NULL)),
    CHECK ((method <> 'source') = (genome IS NOT NULL))
);

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
CREATE TABLE events (
    generation INTEGER NOT NULL, kind VARCHAR NOT NULL, model INTEGER, detail VARCHAR NOT NULL
);

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
