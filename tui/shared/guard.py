"""How the program starts and ends, whatever it does: `guarded` is around every command line.

It loads nothing itself, so that Ctrl-C works from the first moment on: also while commands are
loaded, when libraries turn it into errors of their own, or lose it. Whatever happens,
a user sees one line and no traceback; COLONY_DEBUG=1 in the environment shows where it came from.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
"""As in `typing`, which takes longer to load than everything else here."""
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn

DEBUG = "COLONY_DEBUG"
INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""

_AGAIN_S = 0.02
"""Seconds after which a lost interrupt is raised again."""


class CtrlC:
    """Ctrl-C that cannot get lost: once pressed, the program ends, with the exit code for it.

    An interrupt that falls into a callback or a finaliser is dropped by the interpreter, with a
    traceback on stderr; it is raised again a moment later.
    """

    def __init__(self) -> None:
        self.pressed = False

    def install(self) -> None:
        """Handle SIGINT from now on, unless the parent process has it ignored."""
        sys.unraisablehook = self._on_unraisable
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._on_signal)

    def check(self) -> None:
        """Stop here if Ctrl-C was pressed and some library dropped the interrupt.

        Raises:
            KeyboardInterrupt: it was pressed.
        """
        if self.pressed:
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.pressed = True
        raise KeyboardInterrupt

    def _on_unraisable(self, lost: sys.UnraisableHookArgs) -> None:
        if lost.exc_type is KeyboardInterrupt:
            signal.signal(signal.SIGALRM, self._on_signal)
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
        elif os.environ.get(DEBUG):
            sys.__unraisablehook__(lost)


ctrl_c = CtrlC()
"""The handler of this process."""


def guarded(run: Callable[[], object]) -> NoReturn:
    """Run the command line and leave with its exit code, whatever happens.

    Args:
        run: parses the arguments and does what they ask for.
    """
    # OpenMP's threads spin while they wait for each other. On a machine that does anything else
    # beside, the spinning takes the cores from the working: a forward pass of 30 ms was measured
    # at 2600 ms beside one other busy program, at 180 ms with this. Must be set before torch loads.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # The threads of numpy's OpenBLAS do the same, for products that are too small to be shared:
    # expanding three LoRA adapters took 25 s with them, 5 s without, on two busy cores.
    # `population.threads` does the same for whoever uses the packages from Python.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    _open_streams()
    code: int | str | None = 0
    try:
        try:
            ctrl_c.install()
            run()
        except SystemExit as end:
            code = end.code
        if not _flushed():
            code = code or 1
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BaseException as error:  # also what some code raises that should not
        if not ctrl_c.pressed:
            if os.environ.get(DEBUG):
                raise
            code = 1
            _say(error)
    # An interrupt while the interpreter cleans up is not worth a message.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)
    if ctrl_c.pressed:
        code = INTERRUPTED
    sys.exit(code)


def _open_streams() -> None:
    """Give the program streams to write to where its parent has closed them (`>&-`)."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123


def _flushed() -> bool:
    """Flush the streams, while a failure can still be reported; whether it worked."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            _say(error)
        # The interpreter would try to write the buffers, and complain, once more at its end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for number in (1, 2):
            os.dup2(nowhere, number)
        return False
    return True


def _say(error: BaseException) -> None:
    """Print one line about an unexpected error."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
    if isinstance(error, OSError):
        reason = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
    else:
        reason = f"{reason}; this is a fault of colony, please report it. {DEBUG}=1 shows where"
    text = f"error: {reason}\n".encode(errors="backslashreplace").decode()
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        return
