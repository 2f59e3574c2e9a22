"""Finds the YAML file of a task of the harness by its name, without parsing all of them.

The harness indexes its tasks by parsing some fourteen thousand files, which takes ten seconds. Most
lie in a file of their name; the others are found by a line `task: NAME`.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from arena.errors import TaskError
from population.harness.library import harness

HEAD = 4096
"""Bytes of a file in which its name stands."""


def task_file(name: str) -> Path:
    """The YAML file of one of the harness's own tasks.

    Raises:
        TaskError: there is none of that name; says what to do.
        PopulationError: the harness is not installed.
    """
    module = harness("lm_eval.tasks", f"[tasks] lm_eval: {name!r}")
    folder = Path(str(module.__file__)).parent
    named = re.compile(rb"^task:[ \t]*[\"']?%b[\"']?[ \t]*$" % re.escape(name.encode()), re.M)
    files = sorted(_yaml_files(folder), key=lambda path: path.stem != name)
    for path in files:
        with path.open("rb") as file:
            if named.search(file.read(HEAD)):
                return path
    raise TaskError(
        f"[tasks] lm_eval: no task of lm-evaluation-harness is called {name!r}; name its YAML "
        "file, or one of `lm_eval ls subtasks` (of a group, its tasks one by one)"
    )


def _yaml_files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent) / name for name in sorted(names) if name.endswith(".yaml"))
