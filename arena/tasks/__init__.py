"""Tasks: what models are asked, in three splits that are kept apart."""

from arena.tasks.loading import load_task, load_tasks
from arena.tasks.task import Questions, Task, deal_panel, each_of

__all__ = ["Questions", "Task", "deal_panel", "each_of", "load_task", "load_tasks"]
