"""Which tasks were ever asked."""

from lineage.archive.archive import Archive
from lineage.errors import ArchiveError
from lineage.filters.language import suggestion


def tasks_of(archive: Archive) -> list[str]:
    """All tasks that were ever asked."""
    with archive.reading() as db:
        rows = db.execute("SELECT DISTINCT task FROM items ORDER BY task").fetchall()
    return [name for (name,) in rows]


def check_task(archive: Archive, task: str) -> None:
    """Make sure that a task was ever asked.

    Raises:
        ArchiveError: it was not; says which were.
    """
    tasks = tasks_of(archive)
    if task not in tasks:
        near = suggestion(task, tasks) or f"; there are {', '.join(tasks)}"
        raise ArchiveError(f"no task is named {task!r}{near}")
