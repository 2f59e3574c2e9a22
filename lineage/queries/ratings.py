"""The ratings of a model over all rounds of the arena."""

from lineage.archive.archive import Archive
from lineage.records import Rating


def ratings_of(archive: Archive, model: int) -> list[tuple[int, Rating]]:
    """(generation, rating in logits) for every round in which a model was rated, oldest first."""
    with archive.reading() as db:
        rows = db.execute(
            "SELECT generation, model, rating, deviation, prior FROM ratings "
            "JOIN rounds USING (round) WHERE model = ? ORDER BY round",
            [model],
        ).fetchall()
    return [(row[0], Rating(*row[1:])) for row in rows]
