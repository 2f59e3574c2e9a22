"""Judgement: tasks, answers, judges, matches and ratings. Never imports torch.

A task is loaded by name, gives items, and says whether an answer is right:

>>> from arena import load_task
>>> task = load_task("data/tasks/sort")  # doctest: +SKIP
>>> item = task.items("selection", seed=1, limit=1)[0]  # doctest: +SKIP
>>> task.verify(item, task.extract(item, item.key))  # doctest: +SKIP
1.0

The names of `__all__` are imported on first use: numpy takes a tenth of a second to start, and a
program that only needs the errors should not wait for it.
"""

from typing import TYPE_CHECKING, Any

from arena.errors import TaskError

if TYPE_CHECKING:
    from arena.judges.judge import ComparingJudge, Judge, ReadingJudge
    from arena.matches.model_protocol import LoadedModel
    from arena.tasks import Task, load_task, load_tasks

__all__ = [
    "ComparingJudge",
    "Judge",
    "LoadedModel",
    "ReadingJudge",
    "Task",
    "TaskError",
    "load_task",
    "load_tasks",
]

_HOMES = {
    "ComparingJudge": "arena.judges.judge",
    "Judge": "arena.judges.judge",
    "LoadedModel": "arena.matches.model_protocol",
    "ReadingJudge": "arena.judges.judge",
}
"""Where names live that are not those of tasks."""


def __getattr__(name: str) -> Any:
    from importlib import import_module  # noqa: PLC0415 - see the module's docstring

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "arena.tasks")), name)
