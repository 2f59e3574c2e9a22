"""From schema 4 to 5: the arena keeps rounds.

Answers and readings belong to items and weights rather than to epochs, items may have no key, and
judges are known by task and by whose kin they are. What judges had earned before was not counted
in that way; it is dropped, and earned again from the answers, which are kept.
"""

import duckdb

_ASIDE = """
DROP VIEW matches;
DROP TABLE trust;
ALTER TABLE items ALTER COLUMN key DROP NOT NULL;
ALTER TABLE items ADD COLUMN statement VARCHAR;
ALTER TABLE answers RENAME TO answers_4;
ALTER TABLE readings RENAME TO readings_4;
ALTER TABLE verdicts RENAME TO verdicts_4;
ALTER TABLE ratings RENAME TO ratings_4;
"""

_NEW = """
CREATE TABLE rounds (
    round      INTEGER PRIMARY KEY CHECK (round > 0),
    generation INTEGER NOT NULL,
    epoch      INTEGER,
    predicted  BIGINT NOT NULL,
    tokens     BIGINT NOT NULL
);
CREATE TABLE round_items (
    round INTEGER NOT NULL, item VARCHAR NOT NULL,
    checkable BOOLEAN NOT NULL,
    hidden    BOOLEAN NOT NULL,
    PRIMARY KEY (round, item)
);
CREATE TABLE answers (
    round INTEGER NOT NULL, item VARCHAR NOT NULL, model INTEGER NOT NULL,
    answer   VARCHAR NOT NULL,
    verified DOUBLE,
    PRIMARY KEY (item, model)
);
CREATE TABLE canaries (
    round INTEGER NOT NULL, item VARCHAR NOT NULL, kind VARCHAR NOT NULL, answer VARCHAR NOT NULL,
    PRIMARY KEY (item, answer)
);
CREATE TABLE readings (
    round INTEGER NOT NULL, item VARCHAR NOT NULL, judge INTEGER NOT NULL, answer VARCHAR NOT NULL,
    log_likelihood DOUBLE NOT NULL, PRIMARY KEY (item, judge, answer)
);
CREATE TABLE comparisons (
    round INTEGER NOT NULL, item VARCHAR NOT NULL, judge INTEGER NOT NULL,
    better VARCHAR NOT NULL, worse VARCHAR NOT NULL,
    first DOUBLE NOT NULL, second DOUBLE NOT NULL, PRIMARY KEY (item, judge, better, worse)
);
CREATE TABLE verdicts (
    round INTEGER NOT NULL, item VARCHAR NOT NULL, model INTEGER NOT NULL,
    support DOUBLE NOT NULL
);
CREATE TABLE trust (
    round INTEGER NOT NULL, judge INTEGER NOT NULL, mode VARCHAR NOT NULL, task VARCHAR NOT NULL,
    stratum VARCHAR NOT NULL, hits DOUBLE NOT NULL, misses DOUBLE NOT NULL
);
CREATE TABLE audits (
    round INTEGER NOT NULL, judge INTEGER NOT NULL, mode VARCHAR NOT NULL,
    trust DOUBLE NOT NULL, favour DOUBLE, admitted BOOLEAN NOT NULL,
    PRIMARY KEY (round, judge, mode)
);
CREATE TABLE juries (
    epoch INTEGER NOT NULL, judge INTEGER NOT NULL, task VARCHAR NOT NULL,
    belief DOUBLE NOT NULL, PRIMARY KEY (epoch, judge, task)
);
CREATE TABLE ratings (
    round INTEGER NOT NULL, model INTEGER NOT NULL,
    rating DOUBLE NOT NULL, deviation DOUBLE NOT NULL,
    prior DOUBLE NOT NULL,
    PRIMARY KEY (round, model)
);
CREATE VIEW matches AS
SELECT va.round, va.item, va.model AS model_a, aa.answer AS answer_a, va.support AS support_a,
       vb.model AS model_b, ab.answer AS answer_b, vb.support AS support_b,
       aa.verified AS verified_a, ab.verified AS verified_b
FROM verdicts va
JOIN verdicts vb ON va.round = vb.round AND va.item = vb.item AND va.model < vb.model
JOIN answers aa ON aa.item = va.item AND aa.model = va.model
JOIN answers ab ON ab.item = vb.item AND ab.model = vb.model
WHERE aa.answer <> ab.answer;
CREATE VIEW judgements AS
WITH said AS (
    SELECT item, judge, 'likelihood' AS mode, answer, log_likelihood AS vote FROM readings
), compared AS (
    SELECT item, judge, better AS one, worse AS other,
           CASE WHEN sign(first) = sign(second) THEN sign(first) ELSE 0 END AS vote FROM comparisons
    UNION ALL
    SELECT item, judge, worse, better,
           CASE WHEN sign(first) = sign(second) THEN -sign(first) ELSE 0 END FROM comparisons
), told AS (
    SELECT m.round, m.item, m.model_a, m.model_b, a.judge, a.mode, sign(a.vote - b.vote) AS vote
    FROM matches m JOIN said a ON a.item = m.item AND a.answer = m.answer_a
    JOIN said b ON b.item = m.item AND b.answer = m.answer_b AND b.judge = a.judge
    UNION ALL
    SELECT m.round, m.item, m.model_a, m.model_b, j.model, 'consensus',
           CASE WHEN j.answer = m.answer_a THEN 1 ELSE -1 END
    FROM matches m JOIN answers j ON j.item = m.item AND j.answer IN (m.answer_a, m.answer_b)
    UNION ALL
    SELECT m.round, m.item, m.model_a, m.model_b, c.judge, 'preference', c.vote
    FROM matches m JOIN compared c
    ON c.item = m.item AND c.one = m.answer_a AND c.other = m.answer_b
)
SELECT told.round, told.item, model_a, model_b, told.judge, told.mode,
       CASE WHEN vote > 0 THEN model_a WHEN vote < 0 THEN model_b END AS prefers,
       audits.trust, audits.admitted
FROM told JOIN audits ON audits.round = told.round AND audits.judge = told.judge
                     AND audits.mode = told.mode
WHERE told.judge NOT IN (model_a, model_b);
"""

_MOVED = """
INSERT INTO rounds
SELECT row_number() OVER (ORDER BY generation), generation, epoch, 0, 0
FROM generations SEMI JOIN ratings_4 USING (generation) ORDER BY generation;
INSERT INTO round_items
SELECT DISTINCT round, item, true, false FROM verdicts_4 JOIN rounds USING (generation)
ORDER BY ALL;
INSERT INTO answers
SELECT min(round), item, model, any_value(answer), NULL
FROM answers_4 JOIN rounds USING (epoch) GROUP BY item, model ORDER BY ALL;
INSERT INTO readings
SELECT min(round), item, judge, answer, any_value(log_likelihood)
FROM readings_4 JOIN rounds USING (epoch) GROUP BY item, judge, answer ORDER BY ALL;
INSERT INTO verdicts
SELECT round, item, model, support FROM verdicts_4 JOIN rounds USING (generation) ORDER BY ALL;
INSERT INTO ratings
SELECT round, model, rating, deviation, prior FROM ratings_4 JOIN rounds USING (generation)
ORDER BY ALL;
DROP TABLE answers_4;
DROP TABLE readings_4;
DROP TABLE verdicts_4;
DROP TABLE ratings_4;
"""


def to_5(db: duckdb.DuckDBPyConnection) -> None:
    """Migrate from schema 4 to 5, within the caller's transaction."""
    for script in (_ASIDE, _NEW, _MOVED):
        db.execute(script)
