"""Fork: an archive as it was after one of its generations, to go on from there.

Everything later is gone and everything earlier is as it was, down to the state of the search, so
the same campaign run on from a fork makes what the original made. Another budget, or other commands
in between, make something else, which is what forks are for. Commands that were carried out after
the generation, before the next one, are part of the fork.
"""

from pathlib import Path
from shutil import copyfile

import duckdb

from lineage.archive.archive import Archive
from lineage.archive.unfinished import refuse_unfinished
from lineage.cleanup import afterwards
from lineage.errors import ArchiveError
from lineage.storage.atomic_file import drafted, log_of
from lineage.storage.lease import ArchiveConnection
from lineage.storage.locations import BESIDE, folder_beside
from lineage.storage.schema import ROUND_TABLES

_LATER = """
DELETE FROM report_scores WHERE weights_sha256 IN (
    SELECT hash FROM (SELECT id, unnest([weights_sha256, fingerprint]) AS hash FROM models)
    WHERE hash IS NOT NULL GROUP BY hash HAVING min(id) > $last);
-- A generation's scores begin with those of its births, and rows are where they were written.
DELETE FROM scores WHERE rowid >= (SELECT min(rowid) FROM scores WHERE model > $last);
DELETE FROM panels WHERE epoch > $epoch;
DELETE FROM juries WHERE epoch > $epoch;
DELETE FROM labels WHERE epoch > $epoch;
DELETE FROM studies WHERE generation > $generation;
DELETE FROM items WHERE id NOT IN (
    SELECT item FROM scores UNION SELECT item FROM panels UNION SELECT item FROM labels UNION
    SELECT item FROM round_items JOIN rounds USING (round) WHERE generation <= $generation);
DELETE FROM rounds WHERE generation > $generation;
DELETE FROM searches WHERE generation > $generation;
DELETE FROM operators WHERE generation > $generation;
DELETE FROM events WHERE generation > $generation;
DELETE FROM generations WHERE generation > $generation;
DELETE FROM basis WHERE founder > $last;
DELETE FROM models WHERE id > $last;
-- A pair that had a child in the next generation was waiting for it.
UPDATE orders SET settled = NULL, outcome = NULL, answer = NULL
    WHERE kind = 'mate' AND outcome = 'done' AND settled = $generation + 1;
DELETE FROM orders WHERE coalesce(settled, given) > $generation;
UPDATE models SET died = NULL, cause = NULL WHERE died > $generation;
-- What lies beside the archive stays there.
UPDATE models SET path = $beside || substr(path, $length) WHERE starts_with(path, $mark);
UPDATE campaigns SET archive = $archive, generation = $generation WHERE id = 1;
"""


def fork(archive: Archive, generation: int, target: Path) -> Archive:
    """Copy an archive as it was after a generation. The original is only read.

    Args:
        archive: to fork.
        generation: the last one of the fork.
        target: path of the new archive; must not exist.

    Returns:
        The new archive.

    Raises:
        ArchiveError: there is no such generation, the target exists or cannot be written, or the
            archive was merged from several.
    """
    if target.exists():
        raise ArchiveError(f"{target} exists already; choose another name")
    refuse_unfinished([archive])
    history = {past.generation: past for past in archive.generations()}
    if generation not in history:
        there = f"has generations 0 to {max(history)}" if history else "has none yet"
        raise ArchiveError(f"{archive.path} has no generation {generation} to fork at; it {there}")
    with drafted(target) as draft:
        copy_archive(archive, draft)
        store = ArchiveConnection(draft)
        with afterwards(store.close), store.write() as db:
            _cut(db, archive, generation, history[generation].epoch)
    return Archive(target)


def copy_archive(archive: Archive, target: Path) -> None:
    """Copy the file of an archive as it is after its last commit, under a lease.

    Args:
        archive: to copy.
        target: path of the copy.

    Raises:
        ArchiveError: the archive cannot be read.
        OSError: the copy cannot be written.
    """
    with archive.reading():
        copyfile(archive.path, target)
        # A campaign that was killed leaves a write-ahead log, which is part of the archive.
        if log_of(archive.path).exists():
            copyfile(log_of(archive.path), log_of(target))


_LATER_ROUNDS = "DELETE FROM {} WHERE round IN (SELECT round FROM rounds WHERE generation > ?)"


def _cut(db: duckdb.DuckDBPyConnection, archive: Archive, generation: int, epoch: int) -> None:
    if db.execute("SELECT 1 FROM origins LIMIT 1").fetchone():
        raise ArchiveError(
            f"{archive.path} was merged from several; fork one of those, before they were merged"
        )
    last = db.execute("SELECT max(id) FROM models WHERE generation <= ?", [generation]).fetchall()
    parameters = {
        "last": last[0][0],
        "epoch": epoch,
        "generation": generation,
        "archive": str(archive.path.resolve()),
        "beside": f"{folder_beside(archive.path.resolve())}/",
        "mark": BESIDE,
        "length": len(BESIDE) + 1,
    }
    for table in ROUND_TABLES:
        db.execute(_LATER_ROUNDS.format(table), [generation])
    for statement in _LATER.strip().split(";\n"):
        used = {name: value for name, value in parameters.items() if f"${name}" in statement}
        db.execute(statement, used)
