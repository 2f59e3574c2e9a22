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
      │             what     fingerprint, weights_sha256    ── a file of the cache, if kept
      │             fate     died, cause                    ── view `chronicle`, with the events
      │
      ├── scores ────── items ── panels                     who solves what, of which epoch
      ├── labels ───── items                                what the colony holds for answers
      ├── studies                                           who learned them
      ├── answers ───┬─ readings, comparisons, canaries     what was said, and what judges heard
      │              └─ views `matches`, `judgements`       who met whom, and who judged it how
      └── rounds ────── round_items, verdicts, outcomes,    what a round of the arena came to
                        ratings, votes, trust, audits       and who of the judges is believed

    basis, blocks      what the columns of a genome mean
    report_scores      what reports measured, by weights
    origins            where models came from that were born in another archive
    orders             commands to the campaign, and their outcome

Everything that was ever born is one row of `models`, with its parents and its recipe in that row:
a birth cannot be recorded by half, and the row itself refuses what cannot be. Ids grow with birth
and have no gaps (`lineage.archive.generation_writer` sees to that, in the transaction of the
birth), so `parent < child` proves that the ancestry has no cycle and that every parent exists.

A birth is known by the fingerprint of its weights, which is cheap. Their SHA-256, which takes
longer than a forward pass where models are large, is there for founders and for whoever was
crowned, revived or exported. Archives of schema 6 and earlier have it for everybody, and no
fingerprints; campaigns that go on in them go on with SHA-256.

At a million models the row costs about 37 bytes for a SHA-256, half of that for a fingerprint, 7 to
8 bytes a gene and 20 for all else (`python -m tests.benchmarks.lineage`): hexadecimal text, which
any shell can show, takes no more on disk than a BLOB, as DuckDB packs it. The one index on `models`
is that of the primary key.

A linear recipe is a genome: one coefficient per (basis vector, block), row-major over `basis` and
`blocks`. The weights of block b are `origin_b + sum_v genome[v, b] * (founder_v - origin)_b`. Who
was born before a founder came has no coefficients for it: its row stays as it was, and the view
`recipes` says 0 there. The genome of a route is what the campaign's search space says: a path
through layers, with scales.
"""

SCHEMA_VERSION = 12

ROUND_TABLES = (
    "round_items",
    "answers",
    "canaries",
    "readings",
    "comparisons",
    "votes",
    "verdicts",
    "outcomes",
    "trust",
    "audits",
    "ratings",
)
"""What a round of the arena adds to, each with the number of the round."""

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
    fingerprint    VARCHAR CHECK (regexp_full_match(fingerprint, '[0-9a-f]{32}')),
    weights_sha256 VARCHAR CHECK (regexp_full_match(weights_sha256, '[0-9a-f]{64}')),
    parents        INTEGER[] NOT NULL,        -- each once, all older than their child
    shares         DOUBLE[] NOT NULL,         -- of each parent, in the same order; they sum to 1
    roles          parent_role[] NOT NULL,    -- of each parent, in the same order
    method         VARCHAR NOT NULL CHECK (method IN ('source', 'linear', 'route')),
    path           VARCHAR,                   -- where a founder's checkpoint lies
    genome         DOUBLE[],                  -- what an offspring is made by
    died           INTEGER,                   -- the generation it became a fossil in
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
    prompt VARCHAR NOT NULL,
    key VARCHAR,                              -- NULL where only judges can tell
    statement VARCHAR,                        -- what judges read answers in; holds one {}
    details VARCHAR                           -- JSON: messages, other keys, choices, images
);
-- Search items are dealt in panels; everyone of a generation is scored on the same panel.
CREATE TABLE panels (epoch INTEGER NOT NULL, position INTEGER NOT NULL, item VARCHAR NOT NULL,
                     PRIMARY KEY (epoch, position));
CREATE TABLE scores (
    model INTEGER NOT NULL, item VARCHAR NOT NULL,
    exact DOUBLE NOT NULL,                    -- 1 where greedy decoding gives the key, else 0
    probability DOUBLE NOT NULL               -- that the model, sampled, gives the key
);

-- The arena: what models answered, what judges made of it, how everybody is rated.
CREATE TABLE rounds (
    round      INTEGER PRIMARY KEY CHECK (round > 0),
    generation INTEGER NOT NULL,              -- after which it was played
    epoch      INTEGER,                       -- whose panel it was played on; NULL for a tournament
    predicted  BIGINT NOT NULL,               -- tokens that it was expected to take
    tokens     BIGINT NOT NULL,               -- and took
    verifier   BOOLEAN NOT NULL               -- whether keys decided where they were looked at
);
CREATE TABLE round_items (
    round INTEGER NOT NULL, item VARCHAR NOT NULL,
    checkable BOOLEAN NOT NULL,               -- whether its key was looked at
    hidden    BOOLEAN NOT NULL,               -- whether nothing else ever asks it
    PRIMARY KEY (round, item)
);
-- Given once and read once (`round` says when), however often models of these weights are asked.
CREATE TABLE answers (
    round INTEGER NOT NULL, item VARCHAR NOT NULL, model INTEGER NOT NULL,
    answer   VARCHAR NOT NULL,                -- canonical, decoded greedily
    verified DOUBLE,                          -- how right by the key; NULL where nobody looked
    PRIMARY KEY (item, model)
);
CREATE TABLE canaries (
    round INTEGER NOT NULL, item VARCHAR NOT NULL, kind VARCHAR NOT NULL, answer VARCHAR NOT NULL,
    PRIMARY KEY (item, answer)
);
CREATE TABLE readings (                       -- `mode` is how a judge judges; any text
    round INTEGER NOT NULL, item VARCHAR NOT NULL, judge INTEGER NOT NULL, mode VARCHAR NOT NULL,
    answer VARCHAR NOT NULL, log_likelihood DOUBLE NOT NULL,
    PRIMARY KEY (item, judge, mode, answer)
);
CREATE TABLE comparisons (                    -- "A or B?", as log-odds of `better` in both orders
    round INTEGER NOT NULL, item VARCHAR NOT NULL, judge INTEGER NOT NULL, mode VARCHAR NOT NULL,
    better VARCHAR NOT NULL, worse VARCHAR NOT NULL,
    first DOUBLE NOT NULL, second DOUBLE NOT NULL, PRIMARY KEY (item, judge, mode, better, worse)
);
-- Votes that nothing else tells; who cannot tell two answers apart has no row for them.
CREATE TABLE votes (
    round INTEGER NOT NULL, item VARCHAR NOT NULL, judge INTEGER NOT NULL, mode VARCHAR NOT NULL,
    better VARCHAR NOT NULL, worse VARCHAR NOT NULL
);
CREATE TABLE verdicts (
    round INTEGER NOT NULL, item VARCHAR NOT NULL, model INTEGER NOT NULL,
    support DOUBLE NOT NULL                   -- mean result of its matches on the item, in [0, 1]
);
-- Of the matches whose outcome does not follow from the key or from who has more support: the jury
-- said something else of that pair, or (NULL) nothing. About one in a hundred; the view `matches`
-- has all.
CREATE TABLE outcomes (
    round INTEGER NOT NULL, item VARCHAR NOT NULL,
    model_a INTEGER NOT NULL, model_b INTEGER NOT NULL,
    outcome TINYINT CHECK (outcome BETWEEN -1 AND 1), CHECK (model_a < model_b)
);
-- How often judges were right where a key could tell: of the items of each round alone. Without a
-- key of its own, whose index would take more room than all else that a campaign learns.
CREATE TABLE trust (
    round INTEGER NOT NULL, judge INTEGER NOT NULL, mode VARCHAR NOT NULL, task VARCHAR NOT NULL,
    stratum VARCHAR NOT NULL, hits DOUBLE NOT NULL, misses DOUBLE NOT NULL
);
-- What came of it: whether a judge's verdicts counted, and its trust over everything known.
CREATE TABLE audits (
    round INTEGER NOT NULL, judge INTEGER NOT NULL, mode VARCHAR NOT NULL,
    trust DOUBLE NOT NULL, favour DOUBLE, admitted BOOLEAN NOT NULL,
    evidence VARCHAR NOT NULL                 -- the table that its votes follow from
        CHECK (evidence IN ('answers', 'readings', 'comparisons', 'votes')),
    PRIMARY KEY (round, judge, mode)
);
-- Where there are no keys: whose answers stand for them in an epoch, by log-odds of being right.
CREATE TABLE juries (
    epoch INTEGER NOT NULL, judge INTEGER NOT NULL, task VARCHAR NOT NULL,
    belief DOUBLE NOT NULL, PRIMARY KEY (epoch, judge, task)
);
-- And what the colony itself holds for the answers of an epoch's items: its pseudo-labels.
CREATE TABLE labels (
    epoch INTEGER NOT NULL, item VARCHAR NOT NULL,
    answer     VARCHAR NOT NULL,              -- as a model wrote it, without its end
    model      INTEGER NOT NULL,              -- whose answer it is: the surest of those heard
    confidence DOUBLE NOT NULL,               -- mean log-probability of its tokens to that model
    kept       BOOLEAN NOT NULL,              -- whether it is sure enough to breed by
    PRIMARY KEY (epoch, item)
);
-- Who learned them. What came of it is a founder, one more task vector; NULL where it forgot.
CREATE TABLE studies (
    model       INTEGER UNIQUE,
    pupil       INTEGER NOT NULL,
    generation  INTEGER NOT NULL,             -- after which it studied
    epoch       INTEGER NOT NULL,             -- of the labels
    items       INTEGER NOT NULL,
    steps       INTEGER NOT NULL,
    evaluations BIGINT NOT NULL
);
CREATE TABLE ratings (
    round INTEGER NOT NULL, model INTEGER NOT NULL,
    rating DOUBLE NOT NULL, deviation DOUBLE NOT NULL, -- logits; Elo points = 1000 + 173.7 logits
    prior DOUBLE NOT NULL,                    -- where the fit started from: the parents' mean
    PRIMARY KEY (round, model)
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
    item_coverage   DOUBLE NOT NULL,          -- share of the panel that somebody living solves
    -- NULL in generations of schema 9 and earlier, and where no offspring lives.
    task_coverage      DOUBLE,                -- mean over tasks of the best living on each
    qd_score           DOUBLE,                -- mean over the panel of the best of the living
    founders_by_weight DOUBLE,                -- effective founders in the weights of the living
    tokens      BIGINT DEFAULT 0              -- read, learned and generated by models, all uses
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
"""

COMMANDS = """
-- Commands to the campaign. Each is carried out or refused between two generations.
CREATE TABLE orders (
    id       INTEGER PRIMARY KEY CHECK (id > 0),
    kind     VARCHAR NOT NULL CHECK (kind IN ('pause', 'resume', 'pin', 'unpin', 'cull', 'mate',
                                              'add-founder', 'budget', 'tournament')),
    models   INTEGER[] NOT NULL,              -- ids of the models that it names
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

BY_KEY = "verifier AND checkable AND aa.verified IS NOT NULL AND ab.verified IS NOT NULL"
OUTCOME = f"""
CASE WHEN o.round IS NOT NULL THEN o.outcome
     WHEN {BY_KEY} THEN sign(aa.verified - ab.verified)
     WHEN va.support = 0.5 AND vb.support = 0.5 THEN NULL
     ELSE sign(round(va.support - vb.support, 9)) END::TINYINT
"""
"""What came of a match, of rows `va` and `vb` of `verdicts`, `aa` and `ab` of `answers` and, if
there is one, `o` of `outcomes`."""

VIEWS = f"""
-- Every two models that answered an item differently in a round, and what came of it: 1 where a has
-- won, -1 where b has, 0 for a tie, NULL where no judge is believed, so that it counts for nobody.
CREATE VIEW matches AS
SELECT va.round, va.item, va.model AS model_a, aa.answer AS answer_a, va.support AS support_a,
       vb.model AS model_b, ab.answer AS answer_b, vb.support AS support_b,
       aa.verified AS verified_a, ab.verified AS verified_b,
       {BY_KEY} AS by_key, {OUTCOME} AS outcome
FROM verdicts va
JOIN verdicts vb ON va.round = vb.round AND va.item = vb.item AND va.model < vb.model
JOIN answers aa ON aa.item = va.item AND aa.model = va.model
JOIN answers ab ON ab.item = vb.item AND ab.model = vb.model
JOIN rounds ON rounds.round = va.round
JOIN round_items i ON i.round = va.round AND i.item = va.item
LEFT JOIN outcomes o ON o.round = va.round AND o.item = va.item
                    AND o.model_a = va.model AND o.model_b = vb.model
WHERE aa.answer <> ab.answer;

-- What every judge makes of every match: whose answer it prefers (NULL: it cannot tell), and
-- whether that counted. Where a judge's votes follow from what it answered, read or compared,
-- nothing is stored for it.
CREATE VIEW judgements AS
WITH compared AS (
    SELECT item, judge, mode, better AS one, worse AS other,
           CASE WHEN sign(first) = sign(second) THEN sign(first) ELSE 0 END AS vote FROM comparisons
    UNION ALL
    SELECT item, judge, mode, worse, better,
           CASE WHEN sign(first) = sign(second) THEN -sign(first) ELSE 0 END FROM comparisons
), voted AS (
    SELECT round, item, judge, mode, better AS one, worse AS other, 1 AS vote FROM votes
    UNION ALL SELECT round, item, judge, mode, worse, better, -1 FROM votes
), told AS (
    SELECT m.round, m.item, m.model_a, m.model_b, a.judge, a.mode,
           sign(a.log_likelihood - b.log_likelihood) AS vote
    FROM matches m JOIN readings a ON a.item = m.item AND a.answer = m.answer_a
    JOIN readings b ON b.item = m.item AND b.answer = m.answer_b AND b.judge = a.judge
                   AND b.mode = a.mode
    UNION ALL
    SELECT m.round, m.item, m.model_a, m.model_b, j.model, d.mode,
           CASE WHEN j.answer = m.answer_a THEN 1 ELSE -1 END
    FROM matches m JOIN answers j ON j.item = m.item AND j.answer IN (m.answer_a, m.answer_b)
    JOIN audits d ON d.round = m.round AND d.judge = j.model AND d.evidence = 'answers'
    UNION ALL
    SELECT m.round, m.item, m.model_a, m.model_b, c.judge, c.mode, c.vote
    FROM matches m JOIN compared c
    ON c.item = m.item AND c.one = m.answer_a AND c.other = m.answer_b
    UNION ALL
    SELECT m.round, m.item, m.model_a, m.model_b, v.judge, v.mode, v.vote
    FROM matches m JOIN voted v ON v.round = m.round
    AND v.item = m.item AND v.one = m.answer_a AND v.other = m.answer_b
)
SELECT told.round, told.item, model_a, model_b, told.judge, told.mode,
       CASE WHEN vote > 0 THEN model_a WHEN vote < 0 THEN model_b END AS prefers,
       audits.trust, audits.admitted
FROM told JOIN audits ON audits.round = told.round AND audits.judge = told.judge
                     AND audits.mode = told.mode
WHERE told.judge NOT IN (model_a, model_b);
"""  # noqa: S608
