"""From schema 5 to 6: modes of judges are data, and matches have the outcome that was rated.

Readings, comparisons and audits say which mode they are of. Of earlier rounds it is not known what
the jury said of each pair; there the outcome follows from who has more support, which is right in
98 of 100 cases (6,584 pairs of a default campaign judged again).
"""

import duckdb

_ASIDE = """
DROP VIEW judgements;
DROP VIEW matches;
ALTER TABLE rounds RENAME TO rounds_5;
ALTER TABLE readings RENAME TO readings_5;
ALTER TABLE comparisons RENAME TO comparisons_5;
ALTER TABLE audits RENAME TO audits_5;
"""

_NEW = """
CREATE TABLE rounds (
    round      INTEGER PRIMARY KEY CHECK (round > 0),
    generation INTEGER NOT NULL,
    epoch      INTEGER,
    predicted  BIGINT NOT NULL,
    tokens     BIGINT NOT NULL,
    verifier   BOOLEAN NOT NULL
);
CREATE TABLE readings (
    round INTEGER NOT NULL, item VARCHAR NOT NULL, judge INTEGER NOT NULL, mode VARCHAR NOT NULL,
    answer VARCHAR NOT NULL, log_likelihood DOUBLE NOT NULL,
    PRIMARY KEY (item, judge, mode, answer)
);
CREATE TABLE comparisons (
    round INTEGER NOT NULL, item VARCHAR NOT NULL, judge INTEGER NOT NULL, mode VARCHAR NOT NULL,
    better VARCHAR NOT NULL, worse VARCHAR NOT NULL,
    first DOUBLE NOT NULL, second DOUBLE NOT NULL, PRIMARY KEY (item, judge, mode, better, worse)
);
CREATE TABLE votes (
    round INTEGER NOT NULL, item VARCHAR NOT NULL, judge INTEGER NOT NULL, mode VARCHAR NOT NULL,
    better VARCHAR NOT NULL, worse VARCHAR NOT NULL
);
CREATE TABLE outcomes (
    round INTEGER NOT NULL, item VARCHAR NOT NULL,
    model_a INTEGER NOT NULL, model_b INTEGER NOT NULL,
    outcome TINYINT CHECK (outcome BETWEEN -1 AND 1), CHECK (model_a < model_b)
);
CREATE TABLE audits (
    round INTEGER NOT NULL, judge INTEGER NOT NULL, mode VARCHAR NOT NULL,
    trust DOUBLE NOT NULL, favour DOUBLE, admitted BOOLEAN NOT NULL,
    evidence VARCHAR NOT NULL
        CHECK (evidence IN ('answers', 'readings', 'comparisons', 'votes')),
    PRIMARY KEY (round, judge, mode)
);
CREATE VIEW matches AS
SELECT va.round, va.item, va.model AS model_a, aa.answer AS answer_a, va.support AS support_a,
       vb.model AS model_b, ab.answer AS answer_b, vb.support AS support_b,
       aa.verified AS verified_a, ab.verified AS verified_b,
       verifier AND checkable AND aa.verified IS NOT NULL AND ab.verified IS NOT NULL AS by_key,
       CASE WHEN o.round IS NOT NULL THEN o.outcome
            WHEN verifier AND checkable AND aa.verified IS NOT NULL AND ab.verified IS NOT NULL
            THEN sign(aa.verified - ab.verified)
            WHEN va.support = 0.5 AND vb.support = 0.5 THEN NULL
            ELSE sign(round(va.support - vb.support, 9)) END::TINYINT AS outcome
FROM verdicts va
JOIN verdicts vb ON va.round = vb.round AND va.item = vb.item AND va.model < vb.model
JOIN answers aa ON aa.item = va.item AND aa.model = va.model
JOIN answers ab ON ab.item = vb.item AND ab.model = vb.model
JOIN rounds ON rounds.round = va.round
JOIN round_items i ON i.round = va.round AND i.item = va.item
LEFT JOIN outcomes o ON o.round = va.round AND o.item = va.item
                    AND o.model_a = va.model AND o.model_b = vb.model
WHERE aa.answer <> ab.answer;
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
"""

_MOVED = """
INSERT INTO rounds
SELECT round, generation, epoch, predicted, tokens, coalesce((
    SELECT json_extract_string(config, '$.arena.verifier') FROM campaigns WHERE id = 1
)::BOOLEAN, true) FROM rounds_5 ORDER BY rowid;
INSERT INTO readings
SELECT round, item, judge, 'likelihood', answer, log_likelihood FROM readings_5 ORDER BY rowid;
INSERT INTO comparisons
SELECT round, item, judge, 'preference', better, worse, first, second FROM comparisons_5
ORDER BY rowid;
INSERT INTO audits
SELECT round, judge, mode, trust, favour, admitted,
       CASE mode WHEN 'consensus' THEN 'answers' WHEN 'likelihood' THEN 'readings'
                 ELSE 'comparisons' END FROM audits_5 ORDER BY rowid;
DROP TABLE rounds_5;
DROP TABLE readings_5;
DROP TABLE comparisons_5;
DROP TABLE audits_5;
"""


def to_6(db: duckdb.DuckDBPyConnection) -> None:
    """Take this step, within somebody else's transaction."""
    for script in (_ASIDE, _NEW, _MOVED):
        db.execute(script)
