"""Ctrl-C at any moment of a command that writes, and what others say meanwhile."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_helpers import colony, failure
from tests.merge_helpers import write_llama

ROOT = str(Path(__file__).parents[2])


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A program that may press Ctrl-C on itself."""
    head = f"import os, signal, sys; sys.path.insert(0, {ROOT!r})\n"
    return subprocess.run(
        [sys.executable, "-c", head + code], capture_output=True, text=True, cwd=folder, check=False
    )


PRESS = "os.kill(os.getpid(), signal.SIGINT)"
SWALLOWED = f"""
try:
    {PRESS}
except BaseException:
    pass
"""
INSIDE = """
import typer
from tui.shared.console import clear_errors
from tui.shared.interrupts import Interruptible

app = typer.Typer()

@app.command()
def go():
    with clear_errors(), Interruptible() as stop:
        {before}
        stop.begin_writing()
        try:
            {during}
            {after}
        finally:
            print("tidied up")
app()
"""


@pytest.mark.parametrize(
    ("before", "during", "after", "tidied"),
    [
        (PRESS, "pass", "pass", False),
        ("exec(SWALLOWED)", "pass", "pass", False),  # as an import of a large library may do
        ("pass", PRESS, "pass", True),
        ("pass", "exec(SWALLOWED)", "stop.checked(print)(1, 2, 'x')", True),
        ("pass", "exec(SWALLOWED)", "pass", True),
        ("pass", "exec(SWALLOWED)", "raise AttributeError('half a module')", True),
    ],
)
def test_one_line_and_130(
    before: str, during: str, after: str, tidied: bool, tmp_path: Path
) -> None:
    code = f"SWALLOWED = {SWALLOWED!r}\n" + INSIDE.format(before=before, during=during, after=after)
    done = run(code, tmp_path)
    assert (done.returncode, done.stderr) == (130, "interrupted; nothing was written\n")
    assert done.stdout == ("tidied up\n" if tidied else "")


@pytest.mark.parametrize("moment", ["population.merging.engine", "numba", "writing"])
def test_a_merge_that_is_interrupted_leaves_nothing(moment: str, tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        write_llama(tmp_path / name, seed=seed, layers=1)
    yaml = "merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: a}, {model: b}]"
    (tmp_path / "r.yml").write_text(yaml)
    code = f"""
moment = {moment!r}
if moment == "writing":
    import population.merging.engine as engine
    fill = engine._fill
    engine.run.__globals__["_fill"] = lambda *a: ({PRESS}, fill(*a))
else:
    import builtins
    load = builtins.__import__
    def pressed(name, *rest, **more):
        if name == moment:
            {PRESS}
        return load(name, *rest, **more)
    builtins.__import__ = pressed
sys.argv = ["colony", "merge", "r.yml", "out"]
from tui.cli.main import main
main()
"""
    done = run(code, tmp_path)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted; nothing was written\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "r.yml"]


def test_others_are_quiet(tmp_path: Path) -> None:
    code = """
from tui.shared.quiet import quiet, silence_at_exit
silence_at_exit()
quiet()
import atexit, logging, warnings
warnings.warn("do not use this")
logging.getLogger("transformers").warning("advice")
logging.getLogger("huggingface_hub.file_download").error("advice")
import tqdm
list(tqdm.tqdm([1, 2], desc="Writing model shards"))
class Late:
    def __del__(self):
        os.write(2, b"leaked 1 instances")
late = Late()
sys.stderr.write("ours")
"""
    done = run(code, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "ours")


def test_a_name_is_shown_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("[bold]x", "b:cat:", "c*[1]+@2~")):
        write_llama(tmp_path / name, seed=seed, layers=1)
    models = "[{model: '[bold]x'}, {model: 'b:cat:'}, {model: 'c*[1]+@2~'}]"
    (tmp_path / "r.yml").write_text(
        f"merge_method: linear\nparameters: {{weight: 1}}\nmodels: {models}"
    )
    code, said, error = colony("merge", "r.yml", "[red]out é")
    assert code == 0, error
    assert said.startswith("[red]out é: 12 tensors")
    assert (tmp_path / "[red]out é" / "config.json").is_file()
    code, said, error = colony("inspect", "b:cat:", "[bold]x", "c*[1]+@2~")
    assert code == 0, error
    for name in ("[bold]x", "b:cat:", "c*[1]+@2~"):
        assert name in "".join(said.split())
    assert failure("merge", "r.yml", "[red]out é").startswith("error: [red]out é exists already")


def test_tilde_is_a_home_unless_something_is_so_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(home))
    write_llama(home / "a", layers=1)
    write_llama(tmp_path / "named", layers=2)
    (tmp_path / "r.yml").write_text("merge_method: passthrough\nmodels: [{model: '~/a'}]")
    assert colony("merge", "r.yml", "~/out")[0] == 0
    (tmp_path / "~").mkdir()
    (tmp_path / "named").rename(tmp_path / "~" / "a")
    assert colony("merge", "r.yml", "out")[0] == 0
    assert '"num_hidden_layers": 1' in (home / "out" / "config.json").read_text()
    assert '"num_hidden_layers": 2' in (tmp_path / "out" / "config.json").read_text()


def test_signals_are_as_they_were_afterwards() -> None:
    from tui.shared.interrupts import Interruptible  # noqa: PLC0415

    before = signal.getsignal(signal.SIGINT)
    with Interruptible() as stop:
        assert signal.getsignal(signal.SIGINT) is not before
        stop.check()
    assert signal.getsignal(signal.SIGINT) is before
    assert os.getpid()
