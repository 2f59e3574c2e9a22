"""Judgement: tasks, answers, judges, ratings, and who mates with whom. Knows nothing of torch."""

from arena.errors import TaskError
from arena.players import Player
from arena.tasks import Task, load_task, load_tasks

__all__ = ["Player", "Task", "TaskError", "load_task", "load_tasks"]
