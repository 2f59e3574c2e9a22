"""Archives that are damaged, foreign or no archives at all: every command says so in one line."""

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import duckdb

from tests.fuzz_yard import Yard, calls, copied_archive, grown, yard
from tests.fuzzing import Calls, cases, told, wrong_with
from tests.mutations import TEXTS, mutated_bytes

__all__ = ["calls", "grown", "yard"]

LOOKS: tuple[tuple[str, ...], ...] = (
    ("models", "--all", "--json"),
    ("show", "champion", "--json"),
    ("operators",),
    ("lineage",),
    ("lineage", "--json", "--all"),
    ("find", "fitness>0"),
    ("diff", "champion"),
    ("ancestry", "--json"),
    ("kin", "champion", "one"),
    ("leaderboard", "--json"),
    ("matches", "--json"),
    ("sources",),
    ("orders", "--json"),
    ("unpin", "champion"),
    ("mate", "one", "two"),
    ("budget", "500"),
    ("lineage", "--map"),
    ("lineage", "--all", "--export", "x.html"),
    ("check", "--json", "--sample", "1"),
    ("report",),
    ("export", "champion", "out"),
    ("fork", "branch.duckdb"),
    ("revive", "champion"),
    ("arena",),
    ("skills", "champion"),
    ("run", "--headless", "--no-report", "--generations", "2"),
    ("compare",),
    ("merge-archives",),
)


def arguments(look: tuple[str, ...]) -> list[str]:
    if look[0] in {"compare", "merge-archives"}:
        return [*look, "a.duckdb", "good.duckdb", *(["new.duckdb"] if look[0] != "compare" else [])]
    return [*look, "--archive", "a.duckdb"]


def flipped(rng: Random, path: Path, _: Path) -> None:
    """A few bytes of the file are others, a stretch is empty, or the end is missing."""
    data = bytearray(path.read_bytes())
    change = rng.randrange(4)
    if change == 0:
        for _number in range(rng.choice((1, 8, 200))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif change == 1:
        place = rng.randrange(len(data))
        data[place : place + 4096] = bytes(min(4096, len(data) - place))
    elif change == 2:
        del data[rng.randrange(len(data)) :]
    else:
        path.write_bytes(mutated_bytes(rng, bytes(data[:20_000])) + data[20_000:])
        return
    path.write_bytes(data)


STATEMENTS = (
    "DROP TABLE {table}",
    "DELETE FROM {table}",
    "ALTER TABLE {table} RENAME TO {table}_old",
    "CREATE TABLE more (x INT)",
    "UPDATE {table} SET {column} = NULL",
    "ALTER TABLE {table} DROP {column}",
    "UPDATE {table} SET {column} = {value}",
    "DELETE FROM {table} USING SAMPLE 1",
    "ALTER TABLE {table} ADD extra INT",
    "DELETE FROM {table} WHERE rowid % 2 = 0",
    "ALTER TABLE {table} RENAME {column} TO renamed",
)
VALUES = (
    "0",
    "-1",
    "1",
    "999999",
    "''",
    "'[bold]'",
    "'nan'::DOUBLE",
    "'inf'::DOUBLE",
    "'{}'",
    "'[]'",
    "'x'",
    "'\\x00'::BLOB",
)


def meddled(rng: Random, path: Path, _: Path) -> None:
    """Somebody has written to the database with a shell of their own."""
    with duckdb.connect(path) as opened:
        tables = [
            row[0] for row in opened.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        ]
        done = 0
        for _number in range(60):
            table = rng.choice(sorted(tables))
            columns = [row[0] for row in opened.execute(f"DESCRIBE {table}").fetchall()]
            statement = rng.choice(STATEMENTS).format(
                table=table, column=rng.choice(columns), value=rng.choice(VALUES)
            )
            try:
                opened.execute(statement)
            except duckdb.Error:
                continue
            done += 1
            if done == rng.choice((1, 1, 2)) or "RENAME" in statement or "DROP TABLE" in statement:
                break


def foreign(rng: Random, path: Path, folder: Path) -> None:
    """Something else lies there."""
    path.unlink()
    change = rng.randrange(7)
    if change == 0:
        path.write_bytes(rng.randbytes(5000))
    elif change == 1:
        path.write_text(rng.choice(TEXTS), encoding="utf-8", errors="surrogatepass")
    elif change == 2:
        with duckdb.connect(path) as opened:
            opened.execute("CREATE TABLE models (id VARCHAR); CREATE TABLE meta (x INT)")
    elif change == 3:
        path.mkdir()
    elif change == 4:
        duckdb.connect(path).close()
    elif change == 5:
        path.symlink_to(folder / "nowhere")
    else:
        path.write_bytes(b"SQLite format 3\0" + bytes(4096))


HURTS: tuple[Callable[[Random, Path, Path], None], ...] = (flipped, meddled, foreign)


def archive_case(rng: Random, calls: Calls, grown: Path, folder: Path) -> str | None:
    """Hurt an archive and ask a few commands of it."""
    folder.mkdir()
    path = copied_archive(grown, folder)
    shutil.copy(path, folder / "good.duckdb")
    hurt = rng.choice(HURTS)
    hurt(rng, path, folder)
    try:
        for look in rng.sample(LOOKS, 4):
            data = path.read_bytes() if path.is_file() else None
            ran = calls(*arguments(look), folder=folder)
            wrong = wrong_with(ran, answers=look[0] == "check")
            unheard = look[0] not in {"run", "arena", "report", "revive", "unpin", "mate", "budget"}
            if wrong is None and unheard and path.is_file() and path.read_bytes() != data:
                wrong = "the archive was changed"
            if wrong:
                return told(ran, wrong, hurt.__name__)
        return None
    finally:
        shutil.rmtree(folder)


def test_hurt_archives(calls: Calls, grown: Path, tmp_path: Path) -> None:
    for number, rng in enumerate(cases("archives", 4)):
        assert archive_case(rng, calls, grown, tmp_path / str(number)) is None


def test_an_unhurt_archive_answers_all(
    calls: Calls, grown: Path, yard: Yard, tmp_path: Path
) -> None:
    """So that what is refused above is refused for what was done to it."""
    folder = tmp_path / "here"
    folder.mkdir()
    shutil.copy(copied_archive(grown, folder), folder / "good.duckdb")
    for look in LOOKS:
        ran = calls(*arguments(look), folder=folder)
        assert (ran.code, wrong_with(ran)) == (0, None), told(ran, "refused")
