"""How the program starts and ends: interrupts that are not lost, and one line whatever happens."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

START = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from tui.shared.guard import guarded

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

"""


def ended(code: str, *, shell: str = '"$0" -c "$1"', **environment: str) -> tuple[int, str, str]:
    """Run code that has `guarded`; its exit code, and what it said."""
    done = subprocess.run(
        ["sh", "-c", shell, sys.executable, START + code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100", **environment},
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_exit_code_is_that_of_the_command() -> None:
    assert ended("guarded(lambda: print('x'))") == (0, "x\n", "")
    assert ended("guarded(lambda: exit(3))") == (3, "", "")


def test_what_nobody_expected_is_one_line() -> None:
    code, said, error = ended("guarded(lambda: {}['a\\nb'])", COLONY_DEBUG="")
    assert (code, said) == (1, "")
    assert error.startswith("error: KeyError: 'a\\nb'; this is a fault of colony")
    assert error.count("\n") == 1
    assert "Traceback" in ended("guarded(lambda: {}['a'])", COLONY_DEBUG="1")[2]
    code = "class Odd(BaseException): pass\ndef run(): raise Odd\nguarded(run)"
    assert ended(code, COLONY_DEBUG="")[2].startswith("error: Odd:; this is a fault")


@pytest.mark.parametrize(
    "body",
    [
        "    interrupt()\n",
        # As a module does that is interrupted while it loads, and whoever asked for it.
        "    try: interrupt()\n    except KeyboardInterrupt: raise ImportError('half of it')\n",
        "    try: interrupt()\n    except BaseException: pass\n",
        "    try: interrupt()\n    except BaseException: exit(0)\n",
    ],
)
def test_an_interrupt_ends_it_silently(body: str) -> None:
    assert ended(f"def run():\n{body}\nguarded(run)") == (130, "", "")


def test_an_interrupt_that_falls_into_a_finaliser_is_raised_again() -> None:
    code = """
import time
class Last:
    def __del__(self):
        interrupt()
def run():
    Last()
    time.sleep(60)
    print("it went on")
guarded(run)
"""
    assert ended(code, COLONY_DEBUG="") == (130, "", "")


def test_cleaning_up_is_not_interrupted() -> None:
    code = "import atexit\natexit.register(interrupt)\nguarded(lambda: print('x'))"
    assert ended(code) == (0, "x\n", "")


def test_who_has_interrupts_ignored_is_not_interrupted() -> None:
    code = (
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\nguarded(lambda: (interrupt(), print('x')))"
    )
    assert ended(code) == (0, "x\n", "")
    assert signal.getsignal(signal.SIGINT) is not None


@pytest.mark.slow
def test_streams_that_are_closed_or_full() -> None:
    colony = "from tui.entry import main\nmain()"
    assert ended(colony, shell='"$0" -c "$1" methods >&-')[::2] == (0, "")
    assert ended(colony, shell='"$0" -c "$1" methods 2>&-')[::2] == (0, "")
    for command in ("methods --json", "methods", "--help"):
        code, _, error = ended(colony, shell=f'"$0" -c "$1" {command} >/dev/full')
        assert (code, error.count("\n")) == (1, 1), error
        assert error.startswith("error: No space left on device")
