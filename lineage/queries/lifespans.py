"""Lifespans: generations of birth and death of all models, and the causes of death."""

from dataclasses import dataclass

import numpy as np

from lineage.ancestry.line_survival import NEVER, Lifespans
from lineage.archive.archive import Archive


@dataclass(frozen=True)
class Cause:
    """A cause of death.

    Attributes:
        cause: as the survival rule or the command wrote it.
        deaths: number of models that died of it.
        first: the first generation in which one did.
        last: the last generation in which one did.
        age: mean age at death, in generations.
    """

    cause: str
    deaths: int
    first: int
    last: int
    age: float


def lifespans_of(archive: Archive, newest: int) -> Lifespans:
    """Generations of birth and death of all models up to the id `newest`."""
    with archive.reading() as db:
        columns = db.execute(
            "SELECT id, generation, coalesce(died, $never) AS died FROM models WHERE id <= $newest",
            {"never": NEVER, "newest": newest},
        ).fetchnumpy()
    born, died = np.full((2, newest + 1), NEVER, dtype=np.int32)
    born[columns["id"]] = columns["generation"]
    died[columns["id"]] = columns["died"]
    return Lifespans(born, died)


def causes_of_death(archive: Archive) -> list[Cause]:
    """All causes of death, the most frequent first."""
    with archive.reading() as db:
        rows = db.execute(
            "SELECT cause, count(*), min(died), max(died), avg(died - generation) FROM models "
            "WHERE died IS NOT NULL GROUP BY cause ORDER BY count(*) DESC, cause"
        ).fetchall()
    return [Cause(*row) for row in rows]
