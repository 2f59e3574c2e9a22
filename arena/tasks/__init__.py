"""Tasks: what models are asked, in three splits that are kept apart.

Models are bred on `search`, the champion is chosen on `selection`, and `test` is sealed: only the
report asks for it. A task is a folder, something in a Python file, or an entry point in the group
`colony.tasks` (`arena.tasks.loading`); `Task` says what it has to offer.
"""

from arena.tasks.loading import load_task, load_tasks
from arena.tasks.task import Questions, Task, deal_panel, each_of

__all__ = ["Questions", "Task", "deal_panel", "each_of", "load_task", "load_tasks"]
