"""Recording a study together with the founder that came of it, in one transaction."""

from lineage.archive.archive import Archive
from lineage.archive.newcomers import NewFounder, add_founder
from lineage.records import Study


def record_study(
    archive: Archive, study: Study, new_founder: NewFounder | None, words: str
) -> None:
    """Record a study. What it took is added to the last generation.

    Args:
        archive: of the campaign.
        study: who learned, and what it took.
        new_founder: what came of it; None where that is dropped.
        words: a sentence for the events of the campaign.

    Raises:
        ArchiveError: the archive cannot be written.
    """
    with archive.writing() as db:
        db.execute(
            "INSERT INTO studies VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                None if new_founder is None else study.model,
                study.pupil,
                study.generation,
                study.epoch,
                study.items,
                study.steps,
                study.evaluations,
            ],
        )
        db.execute(
            "UPDATE generations SET evaluations = evaluations + ?, wall_s = wall_s + ?, "
            "forward_s = forward_s + ?, cpu_s = cpu_s + ?, tokens = tokens + ? "
            "WHERE generation = ?",
            [
                study.evaluations,
                study.wall_s,
                study.forward_s,
                study.cpu_s,
                study.tokens,
                study.generation,
            ],
        )
        if new_founder is not None:
            add_founder(db, new_founder, study.generation, "study")
        db.execute(
            "INSERT INTO events VALUES (?, 'intervention', ?, ?)",
            [study.generation, None if new_founder is None else study.model, words],
        )
