"""Ratings: how the arena has thought of a model since it came."""

from lineage.archive import Archive
from lineage.records import Rating


def ratings_of(archive: Archive, model: int) -> list[tuple[int, Rating]]:
    """(generation, rating) for every generation in which a model was rated, oldest first."""
    with archive.reading() as db:
        rows = db.execute(
            "SELECT generation, model, rating, deviation, prior FROM ratings WHERE model = ? "
            "ORDER BY generation",
            [model],
        ).fetchall()
    return [(row[0], Rating(*row[1:])) for row in rows]
