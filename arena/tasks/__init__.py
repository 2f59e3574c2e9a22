"""Tasks: items in three splits that are kept apart, and whether an answer is right.

Models are bred on `search`, the champion is chosen on `selection`, and `test` is sealed: only the
report reads it. A task is a folder, an object in a Python file, or an entry point in the group
`colony.tasks` (`arena.tasks.loading`); `Task` is the protocol.
"""

from arena.tasks.chats import transcript
from arena.tasks.loading import load_task, load_tasks
from arena.tasks.task import Questions, Task, items_per_task, sample_panel

__all__ = [
    "Questions",
    "Task",
    "items_per_task",
    "load_task",
    "load_tasks",
    "sample_panel",
    "transcript",
]
