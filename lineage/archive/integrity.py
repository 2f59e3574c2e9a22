"""Integrity: rows that contradict each other, which constraints cannot refuse row by row."""

import duckdb

# Births and deaths of generation 0 are there before it is, while it is being made: see
# `lineage.archive.unfinished`, whose note is the fact 'founding'.
# Generations of other campaigns stay in the archives that models came from (see `origins`).
_CONTRADICTIONS = (
    (
        "#{0} is missing: ids go on to #{1} without it",
        "SELECT min(expected), max(newest) FROM (SELECT unnest(range(1, max(id) + 1)) AS expected, "
        "max(id) AS newest FROM models) ANTI JOIN models ON id = expected HAVING count(*) > 0",
    ),
    (
        "#{0} names #{1} as a parent, which was never born",
        "SELECT child, parent FROM parents ANTI JOIN models ON id = parent ORDER BY child",
    ),
    (
        "#{0} was born in generation {1}, which was never completed",
        "SELECT id, generation FROM models ANTI JOIN generations USING (generation) "
        "WHERE kind = 'offspring' AND id NOT IN (SELECT model FROM origins WHERE campaign <> 1) "
        "AND NOT (models.generation = 0 AND EXISTS (FROM meta WHERE key = 'founding')) ORDER BY id",
    ),
    (
        "#{0} died in generation {1}, which was never completed",
        "SELECT id, died FROM models ANTI JOIN generations ON generations.generation = died "
        "WHERE died IS NOT NULL AND id NOT IN (SELECT model FROM origins WHERE campaign <> 1) "
        "AND NOT (died = 0 AND EXISTS (FROM meta WHERE key = 'founding')) ORDER BY id",
    ),
    (
        "#{0} is younger than its parent #{1}, by generation",
        "SELECT child, parent FROM parents JOIN models AS c ON c.id = child "
        "JOIN models AS p ON p.id = parent WHERE p.generation > c.generation ORDER BY child",
    ),
    (
        "generation {0} is missing: there are {1} up to generation {2}",
        "SELECT min(expected), any_value(known), any_value(last) FROM (SELECT "
        "unnest(range(max(generation) + 1)) AS expected, count(*) AS known, "
        "max(generation) AS last FROM generations) ANTI JOIN generations ON generation = expected "
        "HAVING count(*) > 0",
    ),
    (
        "the champion of generation {0} is #{1}, which was never born",
        "SELECT generations.generation, champion FROM generations "
        "ANTI JOIN models ON id = champion ORDER BY ALL",
    ),
    (
        "command {0} names #{1}, which was never born",
        "SELECT number, model FROM (SELECT id AS number, unnest(models) AS model FROM orders) "
        "ANTI JOIN models ON id = model ORDER BY ALL",
    ),
    (
        "command {0} was settled in generation {1}, which was never completed",
        "SELECT id, settled FROM orders ANTI JOIN generations ON generation = settled "
        "WHERE settled IS NOT NULL ORDER BY id",
    ),
    (
        "scores name item {0}, which is not known",
        "SELECT DISTINCT item FROM scores ANTI JOIN items ON items.id = item ORDER BY item",
    ),
    (
        "labels name item {0}, which is not known",
        "SELECT DISTINCT item FROM labels ANTI JOIN items ON items.id = item ORDER BY item",
    ),
    (
        "round {0} of the arena asked item {1}, which is not known",
        "SELECT round, item FROM round_items ANTI JOIN items ON items.id = item ORDER BY ALL",
    ),
)

_MODEL_COLUMNS = (
    ("scores", "model"),
    ("answers", "model"),
    ("labels", "model"),
    ("readings", "judge"),
    ("comparisons", "judge"),
    ("votes", "judge"),
    ("audits", "judge"),
    ("ratings", "model"),
    ("events", "model"),
)
"""Tables and their columns that hold ids of models."""

MOST = 20
"""So many contradictions of a kind are listed, at most."""


def contradictions(db: duckdb.DuckDBPyConnection) -> list[str]:
    """Rows that contradict each other, in words; an empty list for an archive that is whole.

    Reads every row of every table, so that a damaged block is found even where no rule looks.

    Args:
        db: a lease of the archive.

    Raises:
        duckdb.Error: part of the file cannot be read.
    """
    problems = []
    named = [
        (
            f"{table} name #{{0}}, which was never born",
            f"SELECT DISTINCT {column} FROM {table} ANTI JOIN models ON id = {column} "  # noqa: S608
            f"WHERE {column} IS NOT NULL ORDER BY {column}",
        )
        for table, column in _MODEL_COLUMNS
    ]
    for words, query in (*_CONTRADICTIONS, *named):
        rows = db.execute(query).fetchmany(MOST + 1)
        problems += [words.format(*row) for row in rows[:MOST]]
        if len(rows) > MOST:
            problems.append("and more of the same")
            db.execute("SELECT 1").fetchall()  # what was not fetched would keep the file
    tables = db.execute("SELECT table_name FROM duckdb_tables() ORDER BY table_name").fetchall()
    for (table,) in tables:
        db.execute(f"SELECT bit_xor(hash(t)) FROM {table} t").fetchall()  # noqa: S608
    return problems
