"""Every command with every option, given what nobody should give it: never a traceback or a hang.

Commands and options are found in the command line itself, so that new ones are tried as well.
"""

import inspect
import shlex
import shutil
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from random import Random

import duckdb
import pytest
import typer

from tests.fuzz_yard import Yard, calls, copied_archive, grown, odd_places, toml, yard
from tests.fuzzing import Calls, Ran, cases, differing, surveyed, told, wrong_with
from tests.mutations import NUMBERS, TEXTS, mutated_bytes, mutated_text
from tui.cli.main import app

__all__ = ["calls", "grown", "yard"]

ROOT: typing.Any = typer.main.get_command(app)
COMMANDS: dict[str, typing.Any] = dict(ROOT.commands)

ANSWERING = {"check", "inspect"}
"""Commands whose exit code 1 is an answer."""

WRITING = {"init": ("--force",), "lineage": ("--export",)}
"""Commands that replace what is there when they are asked to by an option."""

MODELS = ("champion", "1", "2", "#3", "7", "base", "one", "two", "99")
TASKS = ("copy", "[bold]odd", "nope")
FILTERS = (
    "gen>0 and task:copy>0.1",
    "fossil and cause~language",
    "not (operator=emitter or fitness<0.5)",
    "descendant-of:#1",
    "child-of:champion or champion",
    "living",
    "founder:one>20%",
    "id=3",
)
FIELDS = ("fitness", "gen", "founder:one", "task:copy", "id", "rating", "children", "nope")

BESIDE = (r".*\.lock", r".*\.live\.json", r".*\.wal", r".*\.weights(/.*)?", r"\..*")
"""What may lie beside an archive after any command."""


def annotation(command: typing.Any, name: str) -> typing.Any:
    function = inspect.unwrap(command.callback)
    found = typing.get_type_hints(function)[name]
    options = [part for part in typing.get_args(found) if part is not type(None)]
    return options[0] if options else found


class Drawn:
    """Arguments of a command, most of them sensible so that the odd ones are reached."""

    def __init__(self, rng: Random, name: str, places: tuple[str, ...]) -> None:
        self.rng = rng
        self.name = name
        self.places = places
        self.odd = rng.choice((0.0, 0.1, 0.3, 0.9))

    def arguments(self) -> list[str]:
        found: list[str] = []
        command = COMMANDS[self.name]
        for parameter in command.params:
            kind = annotation(command, parameter.name)
            if parameter.param_type_name == "argument":
                if not parameter.required and self.rng.random() < 0.4:
                    continue
                many = self.rng.choice((1, 1, 2, 3)) if parameter.nargs == -1 else 1
                found += [self.value(parameter.name, kind) for _ in range(many)]
                continue
            if parameter.name == "archive":
                if self.rng.random() < 0.95:
                    found += [self.rng.choice(parameter.opts), self.value("archive", kind)]
                continue
            for _ in range(self.rng.choice((0, 0, 1, 1, 1, 2)) if self.rng.random() < 0.4 else 0):
                option = self.rng.choice([*parameter.opts, *parameter.secondary_opts])
                found.append(option)
                if not parameter.is_flag:
                    found.append(self.value(parameter.name, kind))
        if self.rng.random() < 0.05:
            found.insert(self.rng.randint(0, len(found)), self.rng.choice(TEXTS))
        if self.rng.random() < 0.05 and found:
            found.pop(self.rng.randrange(len(found)))
        if self.rng.random() < 0.05:
            self.rng.shuffle(found)
        return [argument[:100_000].replace("\0", "") for argument in found]

    def value(self, name: str, kind: typing.Any) -> str:
        rng = self.rng
        if rng.random() < self.odd:
            return rng.choice((*TEXTS, *self.places, *NUMBERS))
        if name in {"archive", "first", "second"}:
            return rng.choice(("a.duckdb",) * 12 + ("hurt.duckdb", "other.duckdb", "new.duckdb"))
        if name in {"model", "one", "other"}:
            return rng.choice(MODELS)
        if name == "task":
            return rng.choice(TASKS)
        if name == "text":
            chosen = rng.choice(FILTERS)
            return chosen if rng.random() < 0.3 else mutated_text(rng, chosen)
        if name == "sort":
            return rng.choice(FIELDS)
        if name in {"path", "references"} and kind is not Path:
            return rng.choice(("models/one", "models/two", "models/base+models/one", "a.duckdb"))
        if name == "recipe":
            return "recipe.yml"
        if name == "config":
            return "my.toml"
        if name == "device":
            return rng.choice(("cpu", "auto", "cuda:99", "tpu", "meta", "CPU", "cpu:1", "cpu:9"))
        if kind is Path:
            return rng.choice(("new", "new.json", "new.html", "new.parquet", "new/x", "text.txt"))
        if isinstance(kind, type) and issubclass(kind, Enum):
            return rng.choice([*(member.value for member in kind), "Json", "nope"])
        if kind is int:
            return rng.choice(("1", "2", "3", *NUMBERS))
        if kind is float:
            return rng.choice(("0.001", "1", *NUMBERS))
        return rng.choice(TEXTS)


def bounded(name: str, arguments: list[str]) -> list[str]:
    """The same, with what would take long for good reasons made short."""
    found = list(arguments)
    if name == "arena":
        long = [place for place, word in enumerate(found) if word == "--rounds"]
        for place in long:
            if (
                place + 1 < len(found)
                and found[place + 1].strip().lstrip("+0").replace("_", "").isdigit()
            ):
                found[place + 1] = "1"
    if name == "run":
        if not any(word.endswith(".toml") for word in found):
            found.insert(0, "my.toml")
        budget = [w for w in found if w in {"--budget", "--generations"}]
        found = ["--budget", "40", "--generations", "1", "--headless", *found]
        if len(set(budget)) == 2:
            found += ["--generations", "1"]
    return found


@pytest.fixture
def case(tmp_path: Path, grown: Path, yard: Yard) -> Iterator[typing.Callable[[int], Path]]:
    """Makes a folder with an archive, a damaged one, good files of all kinds, and odd ones."""

    def make(number: int) -> Path:
        folder = tmp_path / str(number)
        folder.mkdir()
        copied_archive(grown, folder)
        data = grown.read_bytes()
        (folder / "hurt.duckdb").write_bytes(mutated_bytes(Random(number), data))
        with duckdb.connect(folder / "other.duckdb") as other:
            other.execute(
                "CREATE TABLE models (id INT, name TEXT); INSERT INTO models VALUES (1, 'x')"
            )
        (folder / "models").symlink_to(yard.founders)
        (folder / "my.toml").write_text(toml(yard.config()))
        (folder / "recipe.yml").write_text(
            "merge_method: linear\nmodels:\n"
            "  - {model: models/one, parameters: {weight: 0.5}}\n"
            "  - {model: models/two, parameters: {weight: 0.5}}\ndtype: float32\n"
        )
        odd_places(folder)
        return folder

    yield make
    shutil.rmtree(tmp_path, ignore_errors=True)


PLACES = (
    "folder",
    "full",
    "empty",
    "text.txt",
    "noise",
    "fifo",
    "dangling",
    "loop",
    "socket",
    "my.toml",
    "[bold]name",
    "full/x",
    "full/none",
    "text.txt/x",
    "missing",
    "missing/x",
    "a.duckdb/x",
    "a.duckdb",
    "hurt.duckdb",
    "models",
    "models/one",
    "models/one/config.json",
    "recipe.yml",
    "models/one/model.safetensors",
    "models/one+models/two",
    "models/one+",
    "+models/one",
)


def lost(before: dict[str, bytes | str], folder: Path, ran: Ran, name: str) -> str | None:
    """What a command that failed, or one that only looks, changed."""
    after = surveyed(folder, BESIDE)
    changed = [path for path in differing(before, after) if path in before]
    if ran.code == 2 or (ran.code == 1 and name != "run"):
        changed = differing(before, after)
    elif any(option in ran.arguments for option in WRITING.get(name, ())):
        return None
    else:
        changed = [path for path in changed if not path.endswith(".duckdb")]
    if name == "run" and ran.code != 2:
        changed = [path for path in changed if not path.endswith(".duckdb")]
    return f"changed {changed}" if changed else None


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_given_anything(
    name: str, calls: Calls, case: typing.Callable[[int], Path]
) -> None:
    few = name in {"run", "report", "arena", "skills", "check", "export", "revive"}
    for number, rng in enumerate(cases(name, 1 if few else 2)):
        folder = case(number)
        arguments = bounded(name, Drawn(rng, name, PLACES).arguments())
        before = surveyed(folder, BESIDE)
        ran = calls(name, *arguments, folder=folder)
        wrong = wrong_with(ran, answers=name in ANSWERING) or lost(before, folder, ran, name)
        assert wrong is None, told(ran, wrong)
        shutil.rmtree(folder)


def of_the_readme() -> list[list[str]]:
    """The commands that the READMEs show, each once, without `colony` and remarks."""
    root = Path(__file__).parents[2]
    pages = (root / "README.md", *sorted(root.glob("*/README.md")))
    lines = [line for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    shown = [shlex.split(line, comments=True) for line in lines if line.startswith("colony ")]
    whole = [words[1:] for words in shown if "|" not in words and ">" not in words]
    return [list(words) for words in dict.fromkeys(map(tuple, whole))]


NEEDS_NOTHING = {"--help", "init", "methods"}


def test_the_commands_of_the_readme_in_an_empty_folder(calls: Calls, tmp_path: Path) -> None:
    """What somebody tries first: each says in one line what is missing, and leaves nothing."""
    commands = of_the_readme()
    assert {words[0] for words in commands} >= {"run", "report", "merge", "inspect", "find"}
    for number, words in enumerate(commands):
        folder = tmp_path / str(number)
        folder.mkdir()
        ran = calls(*words, folder=folder)
        assert wrong_with(ran) is None, told(ran, str(wrong_with(ran)))
        assert ran.code == (0 if words[0] in NEEDS_NOTHING else 1), told(ran, "wrong exit code")
        # What says which process had the name, and that it failed, is not in the way of anything.
        left = {path.name for path in folder.iterdir() if path.suffix not in {".lock", ".json"}}
        assert left == ({"my.toml"} if words[0] == "init" else set()), told(ran, f"left {left}")


def for_scripts(name: str) -> tuple[str, ...]:
    """The option by which a command speaks to scripts, if it has one."""
    parameters = COMMANDS[name].params if name in COMMANDS else ()
    known = {option for parameter in parameters for option in parameter.opts}
    return next(((option,) for option in ("--headless", "--json") if option in known), ())


def test_the_commands_of_the_readme_beside_an_archive(
    calls: Calls, grown: Path, yard: Yard, tmp_path: Path
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    for words in of_the_readme():
        if {"ray", "--address"} & set(words):  # clusters, which have tests of their own
            continue
        for name in ("colony.duckdb", "my.duckdb", "mine.duckdb", "a.duckdb"):
            shutil.copy(grown, folder / name)
        (folder / "my.toml").write_text(toml(yard.config()))
        ran = calls(*words, *for_scripts(words[0]), folder=folder)
        wrong = wrong_with(ran, answers=words[0] in ANSWERING)
        assert wrong is None, told(ran, wrong)
        assert ran.code != 2, told(ran, "a usage error")
