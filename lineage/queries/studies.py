"""Studies: who learned what from whom."""

from dataclasses import dataclass
from typing import Any

from lineage.archive.archive import Archive


@dataclass(frozen=True)
class Lesson:
    """What a study took from one teacher for one task.

    Attributes:
        task: name.
        teacher: id of the model whose answers were the labels; of answers in steps, of who took
            the last step.
        items: how many of its labels were learned.
    """

    task: str
    teacher: int
    items: int


@dataclass(frozen=True)
class StudyRow:
    """A study.

    Attributes:
        model: id of the founder that came of it; None where that forgot something and was dropped.
        pupil: id of the model that studied.
        generation: after which it did.
        items: labels that were learned.
        steps: of the optimiser.
        evaluations: item evaluations that it took.
        lessons: of its labels, as far as the archive has them.
    """

    model: int | None
    pupil: int
    generation: int
    items: int
    steps: int
    evaluations: int
    lessons: tuple[Lesson, ...]

    @property
    def by_teacher(self) -> dict[int, list[Lesson]]:
        """The lessons of each teacher, of whom most was learned first."""
        taught: dict[int, list[Lesson]] = {}
        for lesson in self.lessons:
            taught.setdefault(lesson.teacher, []).append(lesson)
        return dict(sorted(taught.items(), key=lambda own: -sum(one.items for one in own[1])))

    def as_json(self) -> dict[str, Any]:
        """The dictionary that `report --json` and `show --json` print."""
        return {**vars(self), "lessons": [vars(lesson) for lesson in self.lessons]}


def studied_after(archive: Archive, generation: int) -> bool:
    """Whether a study has followed a generation, whatever came of it."""
    with archive.reading() as db:
        found = db.execute("SELECT 1 FROM studies WHERE generation = ? LIMIT 1", [generation])
        return found.fetchone() is not None


def studies(archive: Archive) -> list[StudyRow]:
    """The studies of a colony, in their order.

    Args:
        archive: where to look.
    """
    with archive.reading() as db:
        rows = db.execute(
            "SELECT epoch, model, pupil, generation, items, steps, evaluations FROM studies "
            "ORDER BY generation"
        ).fetchall()
        lessons: dict[int, tuple[Lesson, ...]] = {}
        for epoch in {row[0] for row in rows}:
            lessons[epoch] = tuple(
                Lesson(*found)
                for found in db.execute(
                    "SELECT task, labels.model, count(*) FROM labels JOIN items ON id = item "
                    "WHERE epoch = ? AND kept AND split = 'search' "
                    "GROUP BY ALL ORDER BY task, count(*) DESC, labels.model",
                    [epoch],
                ).fetchall()
            )
    return [
        StudyRow(model, pupil, generation, items, steps, evaluations, lessons[epoch])
        for epoch, model, pupil, generation, items, steps, evaluations in rows
    ]
