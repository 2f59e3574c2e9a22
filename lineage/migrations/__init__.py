"""Migrations: archives of earlier schemas are brought forward when they are opened.

One module per step, each with the SQL written out, so that a later change of the tables cannot
change what an old step does. All steps run in one transaction: whenever the process is killed, an
archive has its old schema or the newest one. To add a step: write `to_N.py`, list it in `STEPS`,
and raise `SCHEMA_VERSION`.
"""

from collections.abc import Callable
from pathlib import Path

import duckdb

from lineage.errors import ArchiveError
from lineage.migrations.to_3 import to_3
from lineage.migrations.to_4 import to_4
from lineage.migrations.to_5 import to_5
from lineage.migrations.to_6 import to_6
from lineage.migrations.to_7 import to_7
from lineage.migrations.to_8 import to_8
from lineage.migrations.to_9 import to_9
from lineage.migrations.to_10 import to_10
from lineage.migrations.to_11 import to_11
from lineage.migrations.to_12 import to_12
from lineage.storage.lease import ArchiveConnection
from lineage.storage.lock import campaign_lock
from lineage.storage.schema import SCHEMA_VERSION

STEPS: dict[int, Callable[[duckdb.DuckDBPyConnection], None]] = {
    2: to_3,
    3: to_4,
    4: to_5,
    5: to_6,
    6: to_7,
    7: to_8,
    8: to_9,
    9: to_10,
    10: to_11,
    11: to_12,
}
"""By the schema that a step starts from."""


def schema_of(db: duckdb.DuckDBPyConnection, path: Path) -> int:
    """The number of an archive's schema.

    Args:
        db: a lease of the archive.
        path: of the archive, for the message.

    Raises:
        ArchiveError: it is no archive.
    """
    try:
        row = db.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    except duckdb.CatalogException:
        row = None
    if row is None:
        raise ArchiveError(f"{path} is a DuckDB file but not an archive of a colony")
    return int(row[0])


def migrate(store: ArchiveConnection, tell: Callable[[str], None] | None = None) -> None:
    """Bring an archive to the newest schema, if it is not there already.

    Args:
        store: the archive.
        tell: called with a sentence if there is something to do.

    Raises:
        ArchiveError: it is no archive, or of a schema that there is no way from; or a campaign of
            an earlier version is running in it.
    """
    with store.read() as db:
        found = schema_of(db, store.path)
    if found == SCHEMA_VERSION:
        return
    if found > SCHEMA_VERSION:
        raise ArchiveError(
            f"{store.path} has schema {found}, this colony reads up to {SCHEMA_VERSION}; "
            "upgrade model-colony to open it"
        )
    if found not in STEPS:
        raise ArchiveError(
            f"{store.path} has schema {found}, of an earlier colony whose recipes made other "
            f"bits; this one reads schema {SCHEMA_VERSION}. Start a new archive"
        )
    with campaign_lock(store.path), store.write() as db:
        found = schema_of(db, store.path)  # somebody else may have been faster
        if found < SCHEMA_VERSION and tell:
            tell(f"bringing {store.path} from schema {found} to {SCHEMA_VERSION}")
        try:
            for step in range(found, SCHEMA_VERSION):
                STEPS[step](db)
                db.execute(
                    "UPDATE meta SET value = ? WHERE key = 'schema_version'", [str(step + 1)]
                )
        except duckdb.ConstraintException as error:  # an archive that is whole breaks none
            first = str(error).strip().splitlines()[0]
            raise ArchiveError(
                f"cannot use archive {store.path}: it has schema {found}, and what is in it "
                f"contradicts itself: {first}; nothing was changed. Restore a copy, or start a new "
                "archive"
            ) from error
