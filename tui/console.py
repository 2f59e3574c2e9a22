"""Where output goes: answers to stdout, everything else to stderr; errors are one clear line."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from arena.errors import TaskError
from lineage import ArchiveError
from population.errors import Interrupted, PopulationError

if TYPE_CHECKING:
    from lineage import Archive

out = Console(emoji=False)
err = Console(stderr=True, emoji=False)

DEFAULT_ARCHIVE = Path("colony.duckdb")

ArchiveOption = Annotated[
    Path, typer.Option("--archive", "-a", help="The archive of the colony.", show_default=True)
]
AsciiOption = Annotated[
    bool, typer.Option("--ascii", help="Signs that every terminal and font has.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
ModelArgument = Annotated[
    str,
    typer.Argument(help="An id (12 or '#12'), a founder's name, a weights hash, or 'champion'."),
]

PROGRESS = "COLONY_PROGRESS"
"""Where this is `lines` in the environment, progress is told on stderr as `[done, total, what]`,
a line of JSON each: for a program that runs a command and shows how far it is."""

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


def described(text: str, *examples: str) -> str:
    """Help with examples at the end, one a line."""
    lines = "\n\n".join(f"  [cyan]{example}[/]" for example in examples)
    return f"{text}\n\n[bold]Examples[/]\n\n{lines}"


def at_home(path: Path) -> Path:
    """A path whose `~` is a home, unless something of that very name is there."""
    if path.parts[:1] and path.parts[0].startswith("~") and not Path(path.parts[0]).exists():
        try:
            return path.expanduser()
        except RuntimeError:  # nobody of that name
            return path
    return path


def print_json(value: Any) -> None:
    """Print a value for scripts: plain JSON, no colour, no wrapping."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn what can be expected to go wrong into one line and a non-zero exit code."""
    try:
        yield
    except Interrupted as stopped:
        err.print(str(stopped), style="yellow", highlight=False, soft_wrap=True, markup=False)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except (ArchiveError, TaskError, PopulationError) as error:
        _say(str(error))
        raise typer.Exit(EXIT_ERROR) from None
    except MemoryError:
        _say("out of memory; lower [run] batch_tokens or [search] population")
        raise typer.Exit(EXIT_ERROR) from None
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _say(f"{error.strerror or error}{where}; what was committed is safe")
        raise typer.Exit(EXIT_ERROR) from None


def _say(message: str) -> None:
    told = Text("error: ", style="bold red").append(plain(message), style="default not bold")
    err.print(told, highlight=False, soft_wrap=True)


def plain(text: str) -> str:
    """Text from files and people as it may be shown: no markup, no codes for the terminal.

    Where control characters would be is what Python calls them; so an error stays one line.
    """
    return "".join(c if c.isprintable() or c == " " else repr(c)[1:-1] for c in text)


def opened(archive: Path) -> "Archive":
    """The archive, which says whom it has to wait for."""
    from lineage import Archive  # noqa: PLC0415 - a quarter of a second for few

    return Archive(archive, waiting)


def hint(message: str) -> None:
    """Say what somebody should know, beside the answer."""
    err.print(plain(message), style="dim", highlight=False, markup=False, soft_wrap=True)


def waiting(message: str) -> None:
    """Say that another process has to be waited for."""
    err.print(plain(message), style="dim", highlight=False, markup=False)


class StopRequest:
    """Ctrl-C and SIGTERM as a polite request: heard between two models, never inside a commit.

    A second Ctrl-C stops at once, which is as safe as `kill -9`: the generation in flight is lost.
    """

    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.asked = False

    def __enter__(self) -> "StopRequest":
        self._before = {
            number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def check(self) -> None:
        """Stop here if somebody asked for it.

        Raises:
            Interrupted: somebody did; says how to go on.
        """
        if self.asked:
            raise Interrupted(
                f"stopped; everything committed is in {self.archive}. "
                f"To continue: colony run --archive {self.archive}"
            )


def progress_bar(
    quiet: bool = False, also: Callable[[int, int, str], None] | None = None
) -> AbstractContextManager[Callable[[int, int, str], None]]:
    """A bar with the time left on stderr, as a `(done, total, what)` callable; it vanishes.

    See `PROGRESS` for who reads it instead of looking at it.

    Args:
        quiet: show nothing.
        also: told the same.
    """
    return _bar(quiet, MofNCompleteColumn(), also=also)


def bytes_bar(quiet: bool = False) -> AbstractContextManager[Callable[[int, int, str], None]]:
    """As `progress_bar`, for bytes: with the speed."""
    return _bar(quiet, DownloadColumn(), TransferSpeedColumn())


@contextmanager
def _bar(
    quiet: bool,
    *counting: ProgressColumn,
    also: Callable[[int, int, str], None] | None = None,
) -> Iterator[Callable[[int, int, str], None]]:
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *counting,
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=quiet or not err.is_terminal,
    )
    told = [] if also is None else [also]
    if not quiet and os.environ.get(PROGRESS) == "lines":
        told.append(_lines())
    with bar:
        task = bar.add_task("starting", total=None)

        def report(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what)
            for listener in told:
                listener(done, total, what)

        yield report


def _lines() -> Callable[[int, int, str], None]:
    """Tells progress as lines, a few a second."""
    last: tuple[float, str] = (0.0, "")

    def tell(done: int, total: int, what: str) -> None:
        nonlocal last
        now = time.monotonic()
        if what != last[1] or now - last[0] >= 0.1 or done == total:
            last = now, what
            sys.stderr.write(json.dumps([done, total, what]) + "\n")
            sys.stderr.flush()

    return tell
