"""The tasks of an archive."""

from lineage.archive.archive import Archive
from lineage.errors import ArchiveError
from lineage.filters.language import suggestion


def tasks_of(archive: Archive) -> list[str]:
    """Names of all tasks that models were ever asked items of, ascending."""
    with archive.reading() as db:
        rows = db.execute("SELECT DISTINCT task FROM items ORDER BY task").fetchall()
    return [name for (name,) in rows]


def check_task(archive: Archive, task: str) -> None:
    """Make sure that an archive has a task.

    Raises:
        ArchiveError: it has not; the message lists its tasks.
    """
    tasks = tasks_of(archive)
    if task not in tasks:
        near = suggestion(task, tasks) or f"; there are {', '.join(tasks)}"
        raise ArchiveError(f"no task is named {task!r}{near}")
