"""Merging archives: two campaigns on one base become one archive that holds all their models.

Founders with the same hash become one. Every other model keeps a row of its own under a new id
(`origins` has the old ones), first those of the first archive, then those of the second; offspring
of the second with the weights of a model of the first are recorded as events. Genomes are extended
to the founders of both, coefficient by coefficient, so that they make the same bits.

The first archive's history, arena and search stay, and its campaign can go on if the second brings
no new founders; the second one's models come as fossils.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import duckdb

from lineage.archive.archive import Archive
from lineage.archive.creation import create_tables, insert_founder
from lineage.archive.fork import copy_archive
from lineage.archive.id_map import ModelOrigin, origin_of
from lineage.archive.unfinished import refuse_unfinished
from lineage.errors import ArchiveError
from lineage.records import Founder
from lineage.storage.atomic_file import discard, drafted

CAUSE = "came from another archive"

_SAME_WEIGHTS = """
WITH earlier AS (FROM models WHERE id <= $new),
     later AS (FROM models WHERE id > $new AND kind = 'offspring')
SELECT copy, min(one) FROM (
    SELECT later.id AS copy, earlier.id AS one
    FROM later JOIN earlier USING (weights_sha256)
    UNION ALL
    SELECT later.id, earlier.id FROM later JOIN earlier USING (fingerprint)
    WHERE later.weights_sha256 IS NULL OR earlier.weights_sha256 IS NULL
) GROUP BY copy ORDER BY copy
"""
"""Offspring of the second archive, and the first model with their weights in the first archive: by
SHA-256 where both have one, else by fingerprint."""


@dataclass(frozen=True)
class MergedArchive:
    """The result of merging two archives.

    Attributes:
        archive: the merged one.
        models: number of models in it.
        founders: number of founders among them.
        shared: number of founders that both archives had.
        duplicates: number of offspring of the second with the weights of a model of the first.
        goes_on: whether the first one's campaign can be continued.
    """

    archive: Archive
    models: int
    founders: int
    shared: int
    duplicates: int
    goes_on: bool


def merge_archives(first: Archive, second: Archive, target: Path) -> MergedArchive:
    """Write an archive with the models of two. Both are only read.

    Args:
        first: its history, arena and search are kept.
        second: its models come as fossils.
        target: path of the merged archive; must not exist.

    Raises:
        ArchiveError: they do not fit together, or the target exists or cannot be written.
    """
    if target.exists():
        raise ArchiveError(f"{target} exists already; choose another name")
    refuse_unfinished([first, second])
    union = _union(first, second)
    copies = [target.with_name(f".{target.name}.{name}") for name in ("first", "second")]
    with drafted(target) as draft, ExitStack() as leaving:
        for copy in copies:
            discard(copy)
            leaving.callback(discard, copy)
        for archive, copy in zip((first, second), copies, strict=True):
            copy_archive(archive, copy)
        try:
            with duckdb.connect(str(draft), config={"threads": 1}) as db:
                for name, copy in zip(("a", "b"), copies, strict=True):
                    quoted = str(copy).replace("'", "''")
                    db.execute(f"ATTACH '{quoted}' AS {name} (READ_ONLY)")
                db.execute("BEGIN")
                duplicates = _write_merged(db, first, second, union)
                db.execute("COMMIT")
                for name in ("a", "b"):
                    db.execute(f"DETACH {name}")
        except duckdb.Error as error:
            reason = next(iter(str(error).splitlines()), "no reason given")
            raise ArchiveError(
                f"{first.path} and {second.path} cannot be put together: {reason}; nothing was "
                "written. `colony check` says whether each of them is whole"
            ) from error
    archive = Archive(target)
    founders = len(first.founder_paths())
    shared = founders + len(second.founder_paths()) - len(union)
    return MergedArchive(
        archive, archive.newest_id(), len(union), shared, duplicates, len(union) == founders
    )


def _union(first: Archive, second: Archive) -> list[str]:
    """Hashes of the founders of both, in an order that both agree with.

    Sums of weights differ in their last bit with the order of their terms, so recipes make the same
    bits only if founders keep their order.
    """
    if first.blocks() != second.blocks():
        raise ArchiveError(f"{first.path} and {second.path} were bred on different blocks")
    first_hashes, second_hashes = first.founder_hashes(), second.founder_hashes()
    bases = [
        {sha for model, sha in hashes.items() if model not in set(archive.basis())}
        for archive, hashes in ((first, first_hashes), (second, second_hashes))
    ]
    if bases[0] != bases[1]:
        raise ArchiveError(f"{first.path} and {second.path} have different bases")
    a, b = list(first_hashes.values()), list(second_hashes.values())
    several = [_breeds_several_methods(archive) for archive in (first, second)]
    if several[0] != several[1]:
        raise ArchiveError(
            f"{first.path} and {second.path} breed by different merge methods, and their genomes "
            "do not mean the same"
        )
    if a == b:
        return a
    if any(several):
        raise ArchiveError(
            f"{first.path} and {second.path} have different founders, and what their merge methods "
            "make of them is written down for their own alone"
        )
    if not bases[0] or _has_routes(first) or _has_routes(second):
        what = "paths through layers" if bases[0] else "no base"
        raise ArchiveError(
            f"{first.path} and {second.path} have different founders, and with {what} "
            "their recipes mean something only among their own"
        )
    union: list[str] = []
    while a or b:
        if a and a[0] not in b:
            union.append(a.pop(0))
        elif b and b[0] not in a:
            union.append(b.pop(0))
        elif a and b and a[0] == b[0]:
            union.append(a.pop(0))
            b.pop(0)
        else:
            raise ArchiveError(
                f"the founders that {first.path} and {second.path} share stand in another order; "
                "their recipes would make other bits"
            )
    return union


def _breeds_several_methods(archive: Archive) -> bool:
    """Whether genomes say by what methods models are merged; archives of before say nothing."""
    search = archive.campaign()[1].get("search", {})
    return bool(set(search.get("methods", ["linear"])) != {"linear"})


def _has_routes(archive: Archive) -> bool:
    with archive.reading() as db:
        return bool(db.execute("SELECT 1 FROM models WHERE method = 'route' LIMIT 1").fetchone())


def _write_merged(
    db: duckdb.DuckDBPyConnection, first: Archive, second: Archive, union: Sequence[str]
) -> int:
    """Write the merged archive; returns how many offspring of the second are duplicates."""
    blocks = first.blocks()
    first_founders = first.founder_hashes()
    born = first.newest_id() - len(first_founders)
    sides = (
        origin_of("a", first, union, len(union), len(blocks)),
        origin_of("b", second, union, len(union) + born, len(blocks)),
    )
    basis = sorted({sides[0].founders[founder] for founder in first.basis()}
                   | {sides[1].founders[founder] for founder in second.basis()})  # fmt: skip
    create_tables(db, basis, blocks)
    _insert_founders(db, first, second, union)
    # As late as everything that happened: no model may die before its last child was born.
    last = max((past.generation for side in (first, second) for past in side.generations()),
               default=0)  # fmt: skip
    for side in sides:
        fate = "died" if side.schema == "a" else f"coalesce(died, {last})"
        cause = "cause" if side.schema == "a" else f"coalesce(cause, '{CAUSE}')"
        # What is put together here are numbers that were counted above, and names of tables.
        db.execute(
            f"""
            INSERT INTO models BY NAME SELECT {side.new("id")} AS id, kind, generation, operator,
                fingerprint, weights_sha256,
                list_transform(parents, lambda p: {side.new("p")}) AS parents,
                shares, roles::VARCHAR[] AS roles, m.method AS method, {side.genome} AS genome,
                {fate} AS died, {cause} AS cause
            FROM {side.schema}.models m JOIN {side.schema}.recipes r ON r.model = m.id
            WHERE kind = 'offspring' ORDER BY id
            """  # noqa: S608
        )
    _insert_scores(db, sides, first, second)
    _insert_history(db, sides[0], goes_on=len(union) == len(first_founders))
    _insert_commands(db, sides[0])
    _insert_origins(db, sides, first, second)
    return _record_duplicates(db, second, sides[1], last)


def _insert_founders(
    db: duckdb.DuckDBPyConnection, first: Archive, second: Archive, union: Sequence[str]
) -> None:
    written: set[str] = set()
    taken: set[str] = set()
    for archive in (first, second):
        paths, hashes = archive.founder_paths(), archive.founder_hashes()
        for model in archive.models(ids=paths):
            sha = hashes[model.id]
            if sha not in written:
                name = model.label
                while name in taken:  # another model of the same name
                    name += "'"
                taken.add(name)
                written.add(sha)
                place = union.index(sha) + 1
                founder = Founder(name, paths[model.id], sha, model.fingerprint)
                insert_founder(db, place, founder)


def _insert_scores(
    db: duckdb.DuckDBPyConnection, sides: Sequence[ModelOrigin], first: Archive, second: Archive
) -> None:
    differing = db.execute(
        "SELECT a.task FROM a.items a JOIN b.items b ON a.id = b.id "
        "WHERE (a.task, a.split, a.prompt, a.key) <> (b.task, b.split, b.prompt, b.key) "
        "OR a.details IS DISTINCT FROM b.details LIMIT 1"
    ).fetchone()
    if differing:
        raise ArchiveError(
            f"task {differing[0]!r} has other items in {first.path} than in {second.path}"
        )
    for side in sides:
        db.execute(
            f"INSERT INTO items SELECT * FROM {side.schema}.items ON CONFLICT DO NOTHING"  # noqa: S608
        )
        # Scores of a founder that both share are the same, and are taken once.
        again = "" if side.schema == "a" else (
            f"WHERE NOT EXISTS (SELECT 1 FROM scores s WHERE s.model = {side.new('t.model')} "  # noqa: S608
            "AND s.item = t.item)"
        )  # fmt: skip
        db.execute(
            f"INSERT INTO scores SELECT {side.new('model')}, item, exact, probability "  # noqa: S608
            f"FROM {side.schema}.scores t {again}"
        )
        db.execute(
            f"INSERT INTO report_scores SELECT * FROM {side.schema}.report_scores "  # noqa: S608
            "ON CONFLICT DO NOTHING"
        )


def _insert_history(db: duckdb.DuckDBPyConnection, side: ModelOrigin, goes_on: bool) -> None:
    """The first archive's generations, arena and, if its genomes are as they were, its search."""
    for table, columns in (
        ("panels", ()),
        ("rounds", ()),
        ("round_items", ()),
        ("answers", ("model",)),
        ("canaries", ()),
        ("readings", ("judge",)),
        ("comparisons", ("judge",)),
        ("votes", ("judge",)),
        ("verdicts", ("model",)),
        ("outcomes", ("model_a", "model_b")),
        ("trust", ("judge",)),
        ("audits", ("judge",)),
        ("juries", ("judge",)),
        ("labels", ("model",)),
        ("studies", ("model", "pupil")),
        ("ratings", ("model",)),
        ("generations", ("champion",)),
        ("operators", ()),
        ("searches", ("origin",)),
    ):
        if table == "searches" and not goes_on:
            continue
        renamed = ", ".join(f"{side.new(column)} AS {column}" for column in columns)
        replaced = f"REPLACE ({renamed})" if renamed else ""
        db.execute(f"INSERT INTO {table} SELECT * {replaced} FROM a.{table} ORDER BY rowid")  # noqa: S608
    for generation, kind, model, detail in db.execute(
        f"SELECT generation, kind, {side.new('model')}, detail FROM a.events ORDER BY rowid"  # noqa: S608
    ).fetchall():
        db.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?)",
            [generation, kind, model, side.in_words(detail)],
        )


def _insert_commands(db: duckdb.DuckDBPyConnection, side: ModelOrigin) -> None:
    """The commands to the first archive's campaign, open ones included."""
    named = f"list_transform(models, lambda m: {side.new('m')})"
    db.execute(
        f"INSERT INTO orders SELECT * REPLACE ({named} AS models) FROM a.orders ORDER BY id"  # noqa: S608
    )
    for command, answer in db.execute(
        "SELECT id, answer FROM orders WHERE answer IS NOT NULL"
    ).fetchall():
        db.execute("UPDATE orders SET answer = ? WHERE id = ?", [side.in_words(answer), command])


def _insert_origins(
    db: duckdb.DuckDBPyConnection, sides: Sequence[ModelOrigin], first: Archive, second: Archive
) -> None:
    """The archive that each model came from, and its id there."""
    campaigns = 0
    for side, archive in zip(sides, (first, second), strict=True):
        last = max((past.generation for past in archive.generations()), default=0)
        db.execute(
            f"INSERT INTO campaigns SELECT id + {campaigns}, seed, config, started_at, "  # noqa: S608
            f"coalesce(archive, $path), coalesce(generation, {last}) FROM {side.schema}.campaigns",
            {"path": str(archive.path.resolve())},
        )
        db.execute(
            f"INSERT INTO origins SELECT {side.new('m.id')}, "  # noqa: S608
            f"coalesce(o.campaign, 1) + {campaigns}, coalesce(o.id_there, m.id) "
            f"FROM {side.schema}.models m LEFT JOIN {side.schema}.origins o ON o.model = m.id "
            "ON CONFLICT DO NOTHING"
        )
        campaigns += db.execute(
            f"SELECT count(*) FROM {side.schema}.campaigns"  # noqa: S608
        ).fetchall()[0][0]


def _record_duplicates(
    db: duckdb.DuckDBPyConnection, second: Archive, side: ModelOrigin, generation: int
) -> int:
    """Record as events which offspring of the second have the weights of a model of the first."""
    old = second.offspring()
    rows = db.execute(
        _SAME_WEIGHTS,
        {"new": side.before},
    ).fetchall()
    for copy, one in rows:
        there = f"#{old[copy - side.before - 1]} of {second.path.name}"
        detail = f"#{copy} ({there}) has the weights of #{one}"
        db.execute("INSERT INTO events VALUES (?, 'intervention', ?, ?)",
                   [generation, copy, detail])  # fmt: skip
    return len(rows)
