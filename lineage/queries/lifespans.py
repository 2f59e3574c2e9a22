"""Lives: when everybody was born and died, and of what."""

from dataclasses import dataclass

import numpy as np

from lineage.ancestry.line_survival import NEVER, Lifespans
from lineage.archive.archive import Archive


@dataclass(frozen=True)
class Cause:
    """A cause of death.

    Attributes:
        cause: in the words of whoever let them die.
        deaths: how many died of it.
        first: the first generation in which somebody did.
        last: the last one.
        age: mean age at death, in generations.
    """

    cause: str
    deaths: int
    first: int
    last: int
    age: float


def lives_of(archive: Archive, newest: int) -> Lifespans:
    """When everybody up to the id `newest` was born and died."""
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
    """What models died of, the most frequent first."""
    with archive.reading() as db:
        rows = db.execute(
            "SELECT cause, count(*), min(died), max(died), avg(died - generation) FROM models "
            "WHERE died IS NOT NULL GROUP BY cause ORDER BY count(*) DESC, cause"
        ).fetchall()
    return [Cause(*row) for row in rows]
