"""A process that has loaded everything, and forks one for every call of the command line.

Loading torch takes longer than most calls; who makes them by the dozen makes them here, and each
has a process of its own all the same. Requests are lines of JSON on stdin: which module is to do
what. Answers are the PID of what was forked and, when it has ended, its exit code.
"""

import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self


class ForkServer:
    """The process, as tests talk to it."""

    def __enter__(self) -> Self:
        self._unanswered: int | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fork_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # what lay in a buffer here, select would not see
            cwd=Path(__file__).parents[1],
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def request(self, module: str, **request: object) -> int:
        """Have the function `run` of a module called in a process of its own; its PID.

        What nobody waited for, since a test failed, is ended.
        """
        assert self._process.stdin is not None
        if self._unanswered is not None:
            with suppress(ProcessLookupError):
                os.kill(self._unanswered, signal.SIGKILL)
            self.exit_code()
        unsent = memoryview((json.dumps({"module": module, **request}) + "\n").encode())
        while unsent:
            unsent = unsent[self._process.stdin.write(unsent) :]
        self._unanswered = self._answer()
        return self._unanswered

    def script(self, path: Path, *arguments: object, said: Path) -> int:
        """Run a script in a process of its own; its exit code. What it says goes to a file."""
        words = list(map(str, arguments))
        self.request("tests.fork_server", path=str(path), arguments=words, said=str(said))
        return self.exit_code()

    def exit_code(self) -> int:
        """Wait until it has ended; its exit code, negative if a signal ended it."""
        self._unanswered = None
        return self._answer()

    def ends_within(self, seconds: float) -> bool:
        """Whether it has ended before so many seconds are over."""
        poll = select.poll()  # select() knows no descriptor beyond 1023, and tests map many files
        poll.register(self._process.stdout, select.POLLIN)
        return bool(poll.poll(1000 * seconds))

    def _answer(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


def serve() -> None:
    """Fork for every request, one after the other."""
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            code = os.EX_SOFTWARE
            try:
                code = importlib.import_module(request.pop("module")).run(**request)
            finally:
                os._exit(code)
        _tell(child)
        _, status = os.waitpid(child, 0)
        _tell(os.waitstatus_to_exitcode(status))


def load() -> None:
    """Load for all what any command may need."""
    import typer
    from transformers import AutoTokenizer, LlamaForCausalLM  # noqa: F401 - by name, or not at all

    ours = ("arena", "lineage", "population", "tui")
    for name in ours:
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            try:
                importlib.import_module(found.name)
            except ModuleNotFoundError as missing:  # such as triton, where there is no GPU
                if str(missing.name).split(".")[0] in ours:
                    raise
    typer.main.get_command(importlib.import_module("tui.cli.main").app)
    gc.freeze()  # what is loaded is not looked through, and so not copied, in every process


def _tell(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def say_into(file: Path, *descriptors: int) -> None:
    """Send what a forked process says on descriptors, 1 or 2 or both, to a file."""
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor in descriptors:
        os.dup2(opened, descriptor)


def colony(arguments: Sequence[str]) -> int:
    """Do what the interpreter does with the console script; its exit code."""
    from tui.cli.main import main

    return interpreted(main, "colony", *arguments)


def run(path: str, arguments: Sequence[str], said: str) -> int:
    """What a forked process does that runs a script; its exit code."""
    say_into(Path(said), 1, 2)
    return interpreted(lambda: runpy.run_path(path, run_name="__main__"), path, *arguments)


def interpreted(program: Callable[[], object], *arguments: str) -> int:
    """Do what the interpreter does with a program; its exit code."""
    # Where the tests run in the background of a script, SIGINT is ignored by whatever they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # what comes there are the requests
    sys.argv = list(arguments)
    code: object = 0
    try:
        program()
    except SystemExit as done:
        code = done.code or 0
    except BaseException:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 1


if __name__ == "__main__":
    load()
    serve()
