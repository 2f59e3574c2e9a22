"""Generation 0 before it is complete: written in parts, so that an interruption loses little.

The first population of large models takes long, so it is written in parts, each of which is one
transaction: births with their scores, and scores of the living on the panel. A row of `meta` says
what the parts took and how many models there are to be; it is removed when the generation is
committed. So the archive ends the same wherever it was interrupted, and readers meanwhile see
models, but no generation.
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
    """The cost of some work; efforts can be added.

    Attributes:
        evaluations: item evaluations.
        wall_s: wall time in seconds.
        forward_s: wall time with a forward pass running, in seconds.
        cpu_s: processor time of all cores together, in seconds.
        tokens: that models read, learned or generated.

    >>> Effort(evaluations=3, wall_s=1.5) + Effort(evaluations=4, tokens=90)
    Effort(evaluations=7, wall_s=1.5, forward_s=0.0, cpu_s=0.0, tokens=90)
    """

    evaluations: int = 0
    wall_s: float = 0.0
    forward_s: float = 0.0
    cpu_s: float = 0.0
    tokens: int = 0

    def __add__(self, other: "Effort") -> "Effort":
        return Effort(
            self.evaluations + other.evaluations,
            self.wall_s + other.wall_s,
            self.forward_s + other.forward_s,
            self.cpu_s + other.cpu_s,
            self.tokens + other.tokens,
        )


@dataclass(frozen=True)
class UnfinishedPart:
    """A part of generation 0.

    Attributes:
        candidates: number of models to be born in the whole generation.
        effort: that this part took.
        births: numbered on from the newest model.
        deaths: of births that did not survive.
        items: that the archive may not have yet.
        scores: on these items.
    """

    candidates: int
    effort: Effort
    births: tuple[Birth, ...] = ()
    deaths: tuple[Death, ...] = ()
    items: tuple[Item, ...] = ()
    scores: tuple[Scores, ...] = ()


@dataclass(frozen=True)
class UnfinishedGeneration:
    """Progress of generation 0.

    Attributes:
        born: number of candidates that were born.
        candidates: number of models to be born in the whole generation.
        effort: that it took so far.
    """

    born: int
    candidates: int
    effort: Effort

    @property
    def words(self) -> str:
        """The progress in words."""
        return (
            f"generation 0 is being made: {self.born} of {self.candidates} candidates are there; "
            "colony run goes on with it"
        )


def unfinished_generation(archive: Archive) -> UnfinishedGeneration | None:
    """Progress of generation 0; None if it was not begun, or is complete."""
    with archive.reading() as db:
        return _unfinished(db)


def write_part(archive: Archive, part: UnfinishedPart) -> None:
    """Write a part of generation 0 in one transaction.

    Args:
        archive: whose generation 0 is not complete.
        part: to add.

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
        before = _unfinished(db)
        insert_births(db, part.births, 0)
        write_deaths(db, part.deaths, 0)
        insert_items(db, part.items)
        for scores in part.scores:
            insert_scores(db, scores)
        effort = part.effort if before is None else before.effort + part.effort
        note = json.dumps({"candidates": part.candidates, **asdict(effort)})
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [FOUNDING, note])


def why_no_generation(archive: Archive) -> str:
    """The reason, in words, why an archive without a complete generation has none."""
    progress = unfinished_generation(archive)
    if progress:
        return progress.words
    return "no generation is complete, and none was begun; colony run begins the first"


def refuse_unfinished(archives: Iterable[Archive]) -> None:
    """Make sure that no archive is in the middle of generation 0.

    Raises:
        ArchiveError: generation 0 of one of them is being made.
    """
    for archive in archives:
        if progress := unfinished_generation(archive):
            raise ArchiveError(f"{archive.path}: {progress.words}")


def _unfinished(db: duckdb.DuckDBPyConnection) -> UnfinishedGeneration | None:
    row = db.execute("SELECT value FROM meta WHERE key = ?", [FOUNDING]).fetchone()
    if row is None:
        return None
    state = json.loads(row[0])
    ((born,),) = db.execute("SELECT count(*) FROM models WHERE kind = 'offspring'").fetchall()
    return UnfinishedGeneration(born, state.pop("candidates"), Effort(**state))
