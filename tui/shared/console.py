"""Where output goes: answers to stdout, everything else to stderr; errors are one clear line.

Nothing that is printed is markup, and a terminal obeys nothing in it: names, prompts, paths and the
output of other programs may come from anywhere. Colours are given as styles and `Text`s.
"""

import codecs
import json
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
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
from rich.segment import Segment
from rich.text import Text

from arena.errors import TaskError
from lineage import ArchiveError
from lineage.escaping import escaped
from lineage.filters.language import FilterError
from population.errors import Interrupted, PopulationError
from population.references import expand_user

if TYPE_CHECKING:
    from lineage import Archive

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""
STOPPED = "stopped; what was committed is safe, what was in flight is lost"
EXIT_UNREAD = 141
"""128 + SIGPIPE, as shells have it: the reader of the output has closed it, as `| head` does."""

LONGEST_ERROR = 1600
"""About how many characters of an error are printed: names and values may be of any length."""

_KEPT_CONTROLS = "\n\t"
"""Control characters that a printed text may hold."""


class PlainConsole(Console):
    """A console on which strings are never markup, wherever they stand."""

    def __init__(self, *, stderr: bool = False, **settings: Any) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """A string as a text without markup: a printed one, a cell or a title of a table."""
        for name in ("markup", "emoji", "highlight"):
            settings[name] = False
        return super().render_str(escaped(text, keep=_KEPT_CONTROLS), **settings)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of a renderable, with control characters spelled out."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield segment._replace(text=escaped(segment.text, keep=_KEPT_CONTROLS))

    def on_broken_pipe(self) -> None:
        """End quietly, as nobody reads the output any more.

        Raises:
            typer.Exit: always, with `EXIT_UNREAD`.
        """
        self.quiet = True
        exit_unread()


def exit_unread() -> NoReturn:
    """End quietly, as nobody reads the output any more; what is still buffered is dropped.

    Raises:
        typer.Exit: always, with `EXIT_UNREAD`.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
    raise typer.Exit(EXIT_UNREAD)


LOOK_ALIKES = str.maketrans("…±▓░█▒·×–─│▂▄▆★●○◆◂▸«»’", ".~#.#:.x--|-=+*@o%<><>'")
"""Replacements, equally wide, for our signs that an encoding does not have."""


def _look_alike(error: UnicodeError) -> tuple[str | bytes, int]:
    """What a stream writes instead of signs that its encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].translate(LOOK_ALIKES)
    return lacking.encode("ascii", "backslashreplace").decode("ascii"), error.end


codecs.register_error("colony", _look_alike)


def write_anywhere(*streams: IO[str]) -> None:
    """Let streams replace what their encoding has no sign for, instead of failing at it."""
    for stream in streams:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="colony")


out = PlainConsole()
err = PlainConsole(stderr=True)

DEFAULT_ARCHIVE = Path("colony.duckdb")


def _expand_home(path: Path) -> Path:
    """A path with its `~` expanded: shells leave that of `--archive=~/my.duckdb` as it is."""
    return Path(expand_user(str(path)))


ArchiveOption = Annotated[
    Path,
    typer.Option(
        "--archive",
        "-a",
        help="The archive of the colony.",
        show_default=True,
        callback=_expand_home,
    ),
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
"""If this is `lines` in the environment, progress goes to stderr as JSON lines
`[done, total, what]`, for a program that runs a command and shows how far it is."""


def help_text(text: str, *examples: str) -> str:
    """The help of a command, with examples at the end, one a line."""
    lines = "\n\n".join(f"  [cyan]{escape(example)}[/]" for example in examples)
    return f"{text}\n\n[bold]Examples[/]\n\n{lines}"


def expand_home(path: Path) -> Path:
    """A path with its `~` expanded, unless a file of that very name exists."""
    return Path(expand_user(path.parts[0]), *path.parts[1:]) if path.parts else path


def print_json(value: Any) -> None:
    """Print a value for scripts: plain JSON, no colour, no wrapping; null for NaN and infinities.

    Raises:
        typer.Exit: nobody reads the output any more.
    """
    finite = _finite(value)
    text = json.dumps(finite, ensure_ascii=False, indent=1, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        text = json.dumps(finite, indent=1, allow_nan=False)
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        exit_unread()


def _finite(value: Any) -> Any:
    """The same with None for infinities and NaN, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn expected errors into one line on stderr and a non-zero exit code.

    Raises:
        typer.Exit: after such an error; with 130 after Ctrl-C or a requested stop.
    """
    try:
        yield
    except KeyboardInterrupt:
        err.print(STOPPED, style="yellow", soft_wrap=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except Interrupted as stopped:
        err.print(_one_line(str(stopped)), style="yellow", soft_wrap=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except FilterError as error:  # two lines: the second points at the mistake
        _print_error(str(error))
        raise typer.Exit(EXIT_ERROR) from None
    except (ArchiveError, TaskError, PopulationError) as error:
        _print_error(_one_line(str(error)))
        raise typer.Exit(EXIT_ERROR) from None
    except BrokenPipeError:
        exit_unread()
    except MemoryError:
        _print_error("out of memory; lower [run] batch_tokens or [search] population")
        raise typer.Exit(EXIT_ERROR) from None
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _print_error(_one_line(f"{error.strerror or error}{where}; what was committed is safe"))
        raise typer.Exit(EXIT_ERROR) from None


def _print_error(message: str) -> None:
    err.print(
        Text.assemble(("error:", "bold red"), " ", escaped(message, keep=_KEPT_CONTROLS)),
        soft_wrap=True,
    )


def checked_minutes(minutes: float) -> float:
    """The minutes, rounded to a microminute, if a campaign can work so long.

    Raises:
        PopulationError: they are not from 0.001 to 10^9.
    """
    if 0.001 <= minutes < 1e9:
        return round(minutes, 6)
    raise PopulationError(f"--minutes: expected a number from 0.001 to 10^9, got {minutes:g}")


def _one_line(message: str) -> str:
    """A message on one line. If it is cut, its end is kept, which says what to do."""
    line = " ".join(line.strip() for line in message.splitlines())
    return (
        line
        if len(line) <= LONGEST_ERROR
        else f"{line[: LONGEST_ERROR // 2]} … {line[-LONGEST_ERROR // 2 :]}"
    )


def open_archive(archive: Path) -> "Archive":
    """An archive that prints which process it has to wait for.

    Raises:
        ArchiveError: it is missing, damaged, held by another process, or no archive.
    """
    from lineage import Archive  # noqa: PLC0415 - a quarter of a second for few

    return Archive(archive, hint)


def quoted(path: Path) -> str:
    """A path quoted for a shell, for commands that messages suggest."""
    return shlex.quote(str(path))


def hint(message: str) -> None:
    """Print a remark on stderr, beside the answer."""
    err.print(message, style="dim", soft_wrap=True)


def print_failure(sentence: str) -> None:
    """Print, on stderr, what failed and was passed over."""
    err.print(f"passed over: {sentence}", markup=False, highlight=False, soft_wrap=True)


def progress_bar(
    quiet: bool = False, also: Callable[[int, int, str], None] | None = None
) -> AbstractContextManager[Callable[[int, int, str], None]]:
    """A bar with the time left on stderr, as a `(done, total, what)` callable; it vanishes.

    With `PROGRESS` set to `lines`, JSON lines are written as well.

    Args:
        quiet: show nothing.
        also: called with the same.
    """
    return _bar(quiet, MofNCompleteColumn(), also=also)


def bytes_bar(quiet: bool = False) -> AbstractContextManager[Callable[[int, int, str], None]]:
    """As `progress_bar`, with `done` and `total` in bytes: shows the speed."""
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
    listeners = [] if also is None else [also]
    if not quiet and os.environ.get(PROGRESS) == "lines":
        listeners.append(_json_line_writer())
    with bar:
        task = bar.add_task("starting", total=None)

        def report(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what)
            for listener in listeners:
                listener(done, total, what)

        yield report


def _json_line_writer() -> Callable[[int, int, str], None]:
    """Writes progress as JSON lines, about ten a second at most."""
    last: tuple[float, str] = (0.0, "")

    def write(done: int, total: int, what: str) -> None:
        nonlocal last
        now = time.monotonic()
        if what != last[1] or now - last[0] >= 0.1 or done == total:
            last = now, what
            sys.stderr.write(json.dumps([done, total, what]) + "\n")
            sys.stderr.flush()

    return write
