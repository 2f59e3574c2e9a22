"""Where tasks come from: folders, Python files, and plug-ins that are installed.

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
from arena.tasks.checked import Checked, said_of
from arena.tasks.folder import folder_task
from arena.tasks.task import Task

ENTRY_POINTS = "colony.tasks"
"""The entry-point group of tasks: `riddles = "my_package.tasks:riddles"`."""

PLUGIN = "plugin:"
"""What the name of a task that is installed starts with."""

RESERVED = "@/"
"""What the name of a task cannot hold: ids and `colony match` are written with it."""

LONGEST_NAME = 80

_DEMANDED = ("items", "extract", "verify")


def load_task(reference: str | Path) -> Task:
    """The task that a reference means.

    Args:
        reference: a folder, `FILE.py:NAME`, or `plugin:NAME` for an entry point. A name may stand
            for a task or for something without arguments that makes one.

    Raises:
        TaskError: there is no such task, or what is there is none.
    """
    text = str(reference)
    if text.startswith(PLUGIN):
        task = _installed(text.removeprefix(PLUGIN))
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


def load_tasks(references: Iterable[str | Path]) -> list[Task]:
    """Several tasks, by name.

    Raises:
        TaskError: one cannot be loaded, two share a name, or there are none.
    """
    named = sorted(
        ((load_task(reference), str(reference)) for reference in references),
        key=lambda pair: pair[0].name,
    )
    for (task, here), (following, there) in pairwise(named):
        if task.name == following.name:
            raise TaskError(f"two tasks are named {task.name!r}: {here} and {there}")
    if not named:
        raise TaskError("no tasks: name at least one folder that holds a task.toml")
    return [task for task, _ in named]


def is_file_reference(text: str) -> bool:
    """Whether a reference means something in a Python file."""
    path, colon, name = text.rpartition(":")
    return bool(colon) and path.endswith(".py") and name.isidentifier()


def _installed(name: str) -> Task:
    found = entry_points(group=ENTRY_POINTS)
    if name not in found.names:
        known = ", ".join(sorted(found.names)) or "none"
        raise TaskError(f"no task {name!r} is installed as a plug-in; there are: {known}")
    try:
        loaded = found[name].load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises is one line
        raise TaskError(f"{PLUGIN}{name} cannot be loaded: {said_of(error)}") from None
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
        raise TaskError(f"{path} cannot be run: {said_of(error)}") from None
    if not hasattr(module, name):
        raise TaskError(f"{path} has nothing named {name!r}")
    return _checked(getattr(module, name), where)


def _checked(found: Any, where: str) -> Task:
    """What was found, called if it makes tasks, if it is one."""
    try:
        task = found() if callable(found) else found
        lacking = [name for name in _DEMANDED if not callable(getattr(task, name, None))]
        told = ("name", "kind", "description", "stop")
        lacking += [name for name in told if not hasattr(task, name)]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises is one line
        raise TaskError(f"{where} cannot be made: {said_of(error)}") from None
    if lacking:
        raise TaskError(f"{where} is no task: it lacks {', '.join(lacking)}")
    return Checked(task, where)
