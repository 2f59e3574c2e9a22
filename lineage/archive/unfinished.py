"""Generation 0 in the making: what is kept of it before it is complete.

The first population of large models takes its time, so it is written in parts, each of which is one
transaction: births with what they scored, and what the living scored on the panel. A note among the
facts of the archive tells what the parts took and how many there are to be; it goes when the
generation is committed. So the archive comes to the same whether and wherever it was interrupted,
and whoever looks meanwhile sees models, but no generation.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import duckdb

from lineage.archive.archive import Archive
from lineage.archive.generation_writer import (
    FOUNDING,
    insert_births,
    insert_items,
    insert_scores,
    last_generation,
    write_deaths,
)
from lineage.errors import ArchiveError
from lineage.records import Birth, Death, Item, Scores


@dataclass(frozen=True)
class Effort:
    """What work took.

    Attributes:
        evaluations: item evaluations.
        wall_s: seconds.
        forward_s: seconds with a forward pass running.
        cpu_s: processor time of all cores together, in seconds.
    """

    evaluations: int = 0
    wall_s: float = 0.0
    forward_s: float = 0.0
    cpu_s: float = 0.0

    def __add__(self, other: "Effort") -> "Effort":
        return Effort(
            self.evaluations + other.evaluations,
            self.wall_s + other.wall_s,
            self.forward_s + other.forward_s,
            self.cpu_s + other.cpu_s,
        )


@dataclass(frozen=True)
class UnfinishedPart:
    """A part of generation 0.

    Attributes:
        candidates: how many are to be born in all.
        effort: what this part took.
        births: numbered on from those that are there.
        deaths: those of them that did not live.
        items: those that the archive may not have yet.
        scores: on these items.
    """

    candidates: int
    effort: Effort
    births: tuple[Birth, ...] = ()
    deaths: tuple[Death, ...] = ()
    items: tuple[Item, ...] = ()
    scores: tuple[Scores, ...] = ()


@dataclass(frozen=True)
class Making:
    """How far generation 0 is.

    Attributes:
        born: how many candidates are there.
        candidates: how many there are to be.
        effort: what it took so far.
    """

    born: int
    candidates: int
    effort: Effort

    @property
    def words(self) -> str:
        """How far it is, in words."""
        return (
            f"generation 0 is being made: {self.born} of {self.candidates} candidates are there; "
            "colony run goes on with it"
        )


def making(archive: Archive) -> Making | None:
    """How far generation 0 is; None if no part of it is kept, or if it is complete."""
    with archive.reading() as db:
        return _making(db)


def keep(archive: Archive, part: UnfinishedPart) -> None:
    """Write a part of generation 0 in one transaction.

    Raises:
        ArchiveError: the generation is complete, or the file cannot be written; the archive is
            then as it was before.
    """
    with archive.writing() as db:
        if last_generation(db) >= 0:
            raise ArchiveError(
                f"{archive.path}: generation 0 is complete; is another campaign writing to this "
                "archive?"
            )
        before = _making(db)
        insert_births(db, part.births, 0)
        write_deaths(db, part.deaths, 0)
        insert_items(db, part.items)
        for scores in part.scores:
            insert_scores(db, scores)
        effort = part.effort if before is None else before.effort + part.effort
        note = json.dumps({"candidates": part.candidates, **asdict(effort)})
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [FOUNDING, note])


def unfinished(archive: Archive) -> str:
    """Why an archive without a generation has none, in words."""
    found = making(archive)
    if found:
        return found.words
    return "no generation is complete, and none was begun; colony run begins the first"


def refuse_unfinished(archives: Iterable[Archive]) -> None:
    """Raises ArchiveError if generation 0 of an archive is being made."""
    for archive in archives:
        if found := making(archive):
            raise ArchiveError(f"{archive.path}: {found.words}")


def _making(db: duckdb.DuckDBPyConnection) -> Making | None:
    note = db.execute("SELECT value FROM meta WHERE key = ?", [FOUNDING]).fetchone()
    if note is None:
        return None
    said = json.loads(note[0])
    ((born,),) = db.execute("SELECT count(*) FROM models WHERE kind = 'offspring'").fetchall()
    return Making(born, said.pop("candidates"), Effort(**said))
