"""What the tests of commands share: the command line, in this process or in one of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from tui.cli.main import app

RUNNER = CliRunner()

_AS_ON_A_TERMINAL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from tui.cli.main import main
main()
"""


def colony(*arguments: object) -> tuple[int, str, str]:
    done = RUNNER.invoke(app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def started(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """The command line in a process of its own, which hears Ctrl-C as one on a terminal does.

    Where the tests run in the background of a script, SIGINT is ignored by them, and would be by
    whatever they start.
    """
    return subprocess.Popen(
        [sys.executable, "-c", _AS_ON_A_TERMINAL, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


def failure(*arguments: object) -> str:
    """The one line that a failing command says."""
    code, said, error = colony(*arguments)
    assert code == 1
    assert said == ""
    if arguments[0] == "run":  # which says what it begins before it looks at anything
        error = error[re.match("((starting|opening) .*\n)?", error).end() :]  # type: ignore[union-attr]
    assert error.startswith("error: ")
    assert error.count("\n") == 1, error
    return error


def written(recipe: Any, path: Path) -> Path:
    path.write_text(recipe.text())
    return path
