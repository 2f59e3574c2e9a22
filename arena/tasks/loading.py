"""Loading tasks: from folders, Python files, and installed plug-ins.

A task that is not a folder is code and runs as such: only what its user names is ever loaded.
"""

import importlib.util
import sys
from collections.abc import Iterable
from importlib.metadata import entry_points
from itertools import pairwise
from pathlib import Path
from typing import Any

from arena.errors import TaskError
from arena.tasks.checked import Checked, error_text
from arena.tasks.folder import folder_task
from arena.tasks.gym_reference import GYM, gym_task
from arena.tasks.task import Task

ENTRY_POINTS = "colony.tasks"
"""The entry-point group of tasks: `riddles = "my_package.tasks:riddles"`."""

PLUGIN = "plugin:"
"""The prefix of references to installed tasks."""

RESERVED = "@/"
"""Characters that the name of a task cannot hold, since ids and match names use them."""

LONGEST_NAME = 80
"""Characters of a task's name, at most."""

_DEMANDED = ("items", "extract", "verify")


def load_task(reference: str | Path) -> Task:
    """Load a task.

    Args:
        reference: a folder, `FILE.py:NAME`, `plugin:NAME` for an entry point, or
            `reasoning_gym:NAME` (see `arena.tasks.gym_reference`). A name may stand
            for a task or for a callable without arguments that makes one.

    Raises:
        TaskError: there is no such task, or it does not offer what `Task` demands.
    """
    text = str(reference)
    if text.startswith(PLUGIN):
        task = _installed(text.removeprefix(PLUGIN))
    elif text.startswith(GYM):
        task = Checked(gym_task(text), text)
    elif is_file_reference(text) and not Path(text).is_dir():
        task = _from_file(*text.rsplit(":", 1))
    else:
        task = folder_task(Path(reference))
    _check_name(text, task.name)
    return task


def _check_name(where: str, name: object) -> None:
    """Make sure that a name can stand in ids, on command lines and in tables.

    Raises:
        TaskError: it cannot; says why.
    """
    if not isinstance(name, str) or not name.strip():
        raise TaskError(
            f"{where}: a task's name must be a text that is not empty, got {name!r:.60}"
        )
    if odd := sorted({c for c in name if c in RESERVED}):
        raise TaskError(
            f"{where}: a task's name cannot hold {' '.join(odd)}, which part ids "
            f"(#1-#2@task/split/number), got {name!r:.80}"
        )
    if not name.isprintable() or name != name.strip():
        raise TaskError(
            f"{where}: a task's name cannot hold control characters, nor begin or end with a "
            f"space, got {name!r:.80}"
        )
    if len(name) > LONGEST_NAME:
        raise TaskError(
            f"{where}: a task's name has {LONGEST_NAME} characters at most, got {len(name)}"
        )


def load_tasks(
    references: Iterable[str | Path], opened: Iterable[tuple[Task, str]] = ()
) -> list[Task]:
    """Load several tasks, sorted by name.

    Args:
        references: see `load_task`.
        opened: tasks that are there already, each with the reference that it was opened by.

    Raises:
        TaskError: one cannot be loaded, two share a name, or there are none.
    """
    others = list(opened)
    for task, where in others:
        _check_name(where, task.name)
    loaded = [(load_task(reference), str(reference)) for reference in references]
    named = sorted([*loaded, *others], key=lambda pair: pair[0].name)
    for (task, here), (following, there) in pairwise(named):
        if task.name == following.name:
            raise TaskError(f"two tasks are named {task.name!r}: {here} and {there}")
    if not named:
        raise TaskError("no tasks: name at least one folder that holds a task.toml")
    return [task for task, _ in named]


def is_file_reference(text: str) -> bool:
    """Whether a reference means an object in a Python file.

    >>> is_file_reference("my_tasks.py:Doubling"), is_file_reference("data/tasks/sort")
    (True, False)
    """
    path, colon, name = text.rpartition(":")
    return bool(colon) and path.endswith(".py") and name.isidentifier()


def _installed(name: str) -> Task:
    installed = entry_points(group=ENTRY_POINTS)
    if name not in installed.names:
        known = ", ".join(sorted(installed.names)) or "none"
        raise TaskError(f"no task {name!r} is installed as a plug-in; there are: {known}")
    try:
        loaded = installed[name].load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises is one line
        raise TaskError(f"{PLUGIN}{name} cannot be loaded: {error_text(error)}") from None
    return _checked(loaded, f"{PLUGIN}{name}")


def _from_file(path: str, name: str) -> Task:
    where = f"{path}:{name}"
    module_name = f"colony_task_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise TaskError(f"{path} is missing; a task is FILE.py:NAME or a folder")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises is one line
        raise TaskError(f"{path} cannot be run: {error_text(error)}") from None
    if not hasattr(module, name):
        raise TaskError(f"{path} has nothing named {name!r}")
    return _checked(getattr(module, name), where)


def _checked(loaded: Any, where: str) -> Task:
    """A loaded object, called if it is callable, as a task that checks what it gives."""
    try:
        task = loaded() if callable(loaded) else loaded
        lacking = [name for name in _DEMANDED if not callable(getattr(task, name, None))]
        attributes = ("name", "kind", "description", "stop")
        lacking += [name for name in attributes if not hasattr(task, name)]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises is one line
        raise TaskError(f"{where} cannot be made: {error_text(error)}") from None
    if lacking:
        raise TaskError(f"{where} is no task: it lacks {', '.join(lacking)}")
    return Checked(task, where)
