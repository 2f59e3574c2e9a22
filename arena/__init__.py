"""Judgement: tasks, answers, judges, ratings, and who mates with whom. Knows nothing of torch.

What is named here is imported when it is first asked for: numpy takes a tenth of a second to start,
and who only needs the errors should not wait for it.
"""

from typing import TYPE_CHECKING, Any

from arena.errors import TaskError

if TYPE_CHECKING:
    from arena.matches.model_protocol import LoadedModel
    from arena.tasks import Task, load_task, load_tasks

__all__ = ["LoadedModel", "Task", "TaskError", "load_task", "load_tasks"]


def __getattr__(name: str) -> Any:
    from importlib import import_module  # noqa: PLC0415 - see the module's docstring

    home = {"LoadedModel": "arena.matches.model_protocol"}.get(name, "arena.tasks")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
