"""What commands print: on narrow and plain terminals, into pipes, for scripts, in one unit."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import RenderableType

from lineage import Archive
from lineage.points import MIDDLE, POINT
from lineage.queries.fitness import selection_scores
from lineage.records import Model
from population.analysis.founder_ablation import EVERYWHERE, Ablation, FounderAblation
from population.evaluation.intervals import Interval
from tests.command_helpers import colony, failure
from tests.screen_helpers import finished
from tui.cli.skills_command import skills_view
from tui.shared.console import PlainConsole, out, print_json

HERE = Path(__file__).parents[2]

READING = (
    ("models", "--all"), ("show", "champion"), ("operators",), ("leaderboard",), ("matches",),
    ("sources",), ("lineage",), ("lineage", "--map"), ("ancestry",), ("diff", "champion"),
    ("kin", "champion", "kanji"), ("orders",), ("find", "living"),
)  # fmt: skip


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("display"), "arena")


@pytest.fixture(scope="module")
def store(archive: Path) -> Iterator[Archive]:
    found = Archive(archive)
    yield found
    found.close()


def started(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tui.cli.main", *map(str, arguments)],
        capture_output=True, encoding="utf-8", errors="replace", cwd=HERE, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip


def drawn(view: RenderableType, width: int) -> str:
    said = StringIO()
    PlainConsole(file=said, width=width).print(view)
    return said.getvalue()


# The command line itself


def test_the_version_is_told_without_loading_what_it_is_of() -> None:
    code, said, _ = colony("--version")
    assert code == 0
    assert re.fullmatch(r"colony \d+\.\d+\.\d+\S*", said.splitlines()[0])
    assert f"python {sys.version_info.major}.{sys.version_info.minor}" in said
    assert "torch" in said
    program = (
        "import sys\nfrom tui.cli.main import app\n"
        "try: app(['--version'])\nexcept SystemExit as end: assert not end.code\n"
        "print('torch' in sys.modules, 'duckdb' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=HERE, check=True
    )
    assert done.stdout.splitlines()[-1] == "False False"


def test_without_a_command_there_is_help() -> None:
    code, said, error = colony()
    assert (code, error) == (0, "")
    assert "Usage:" in said


@pytest.mark.parametrize("arguments", [("nope",), ("models", "--nope"), ("show",)])
def test_what_cannot_be_read_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    code, said, error = colony(*arguments)
    assert (code, said) == (2, "")
    assert "Usage:" in error


def test_whoever_stops_reading_hears_nothing(archive: Path) -> None:
    for arguments in (("models", "--all"), ("models", "--all", "--json"), ("lineage",)):
        with subprocess.Popen(
            [sys.executable, "-m", "tui.cli.main", *arguments, "-a", str(archive)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=HERE,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            said = process.stderr.read()
            assert process.wait() == 141
            assert said == b""


def test_a_terminal_without_unicode_and_colours(archive: Path) -> None:
    plain = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "TERM": "dumb", "NO_COLOR": "1"}
    for arguments in (("diff", "champion"), ("match-less",), ("matches", "--json")):
        done = started(
            *arguments, *(() if arguments[0] == "match-less" else ("-a", archive)), **plain
        )
        assert done.stdout.isascii()
        assert "Traceback" not in done.stderr
        assert "\x1b" not in done.stdout
        if arguments[-1] == "--json":
            json.loads(done.stdout)


@pytest.mark.parametrize("width", [20, 40, 80])
def test_narrow_terminals(width: int, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out, "_width", width)
    for arguments in READING:
        code, said, error = colony(*arguments, "-a", archive)
        assert code == 0, (arguments, error)
        if width == 80 and arguments[0] != "lineage":
            assert max(map(len, said.splitlines())) <= 80, arguments


def test_json_is_json(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ("find", "gen>9999"), ("orders",), ("matches", "--round", "99"), *READING[:6],
    ):  # fmt: skip
        code, said, error = colony(*arguments, "-a", archive, "--json")
        assert (code, error) == (0, "")
        json.loads(said)
    print_json({"a": float("nan"), "b": [float("inf"), 1.0], "c": "猫\udcff"})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1.0], "c": "猫\udcff"}


# What tables say


def test_one_unit_for_ratings(archive: Path, store: Archive) -> None:
    last = store.latest()
    assert last is not None
    logits = store.ratings(last.generation)[last.champion].rating
    points = MIDDLE + POINT * logits

    def told(*arguments: str) -> object:
        return json.loads(colony(*arguments, "-a", archive, "--json")[1])

    models = told("models")
    assert isinstance(models, list)
    leaders = told("leaderboard")
    assert isinstance(leaders, list)
    by_board = {row["id"]: row["rating"] for row in leaders}
    assert all(row["rating"] == pytest.approx(by_board[row["id"]]) for row in models)
    shown = told("show", "champion")
    assert isinstance(shown, dict)
    assert shown["rating"]["rating"] == pytest.approx(points)
    assert "Elo points" in shown["rating"]["unit"]
    found = told("find", f"rating>{points - 1:.1f} and rating<{points + 1:.1f}")
    assert isinstance(found, list)
    assert last.champion in [row["id"] for row in found]
    assert f"{points:.0f}" in colony("show", "champion", "-a", archive)[1]
    assert f"{points:.0f}" in colony("models", "-a", archive)[1]


def test_champions_are_shown_by_what_crowned_them(archive: Path, store: Archive) -> None:
    champions = list(dict.fromkeys(past.champion for past in store.generations()))
    scores = selection_scores(store)
    crowned = [scores[model] for model in champions]
    assert len(crowned) > 3
    assert (np.diff(crowned) > 0).all()
    rows = {row["id"]: row for row in json.loads(
        colony("models", "--all", "-a", archive, "--json")[1]
    )}  # fmt: skip
    assert [rows[model]["score"] for model in champions] == pytest.approx(crowned)
    assert f"{crowned[-1]:.3f}" in colony("show", "champion", "-a", archive)[1]
    best = json.loads(colony("find", "champion", "--sort", "score", "-a", archive, "--json")[1])
    assert best[0]["id"] == champions[-1]


def skill(founders: int) -> FounderAblation:
    names = [f"founder{number}" for number in range(founders)]
    tasks = [f"reverse-task-{number}" for number in range(6)]
    loss = Interval(0.5, 0.4, 0.6)
    none = Interval(0.0, 0.0, 0.0)
    knockouts = [
        Ablation(
            name, where, 0.1, 0.1, loss if at == 0 else none,
            {task: loss if task.endswith(str(at)) else none for task in tasks}, {},
        )
        for where in (EVERYWHERE, "layer 0", "layer 1")
        for at, name in enumerate(names)
    ]  # fmt: skip
    model = Model(1, "offspring", None, 1, "blend", "0" * 64)
    return FounderAblation(model, "selection", 60, dict.fromkeys(tasks, 0.9), tuple(knockouts))


@pytest.mark.parametrize(("founders", "width"), [(2, 80), (8, 80), (8, 60), (8, 300)])
def test_skills_can_be_read_at_any_width(founders: int, width: int) -> None:
    said = drawn(skills_view(skill(founders), width), width)
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= width
    for number in range(6):
        assert f"reverse-task-{number}" in said
    for number in range(founders):
        assert f"founder{number}" in said
    assert "-0.50" in said
    assert "layer 1" in said


def test_what_checkpoints_are_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = HERE / "data" / "founders"
    for width in (60, 80, 200):
        monkeypatch.setattr(out, "_width", width)
        code, said, _ = colony("inspect", folder / "base", folder / "kanji")
        assert code == 0
        assert max(map(len, said.splitlines())) <= width
        assert "fits the first" in said
        assert "bfloat16" in said


def test_near_names_are_suggested(archive: Path, store: Archive) -> None:
    assert "did you mean kanji?" in failure("show", "kanjy", "-a", archive)
    assert "did you mean kanji?" in failure("show", "KANJI", "-a", archive)
    assert f"from 1 to {store.newest_id()}" in failure("show", "#99999", "-a", archive)


# What README and help tell people to type


def told_to_type() -> list[str]:
    """Commands of README and of examples in help that only read an archive."""
    lines = [
        line.split(" # ")[0].split("  (")[0].strip()
        for page in (HERE / "README.md", *sorted(HERE.glob("*/README.md")))
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("colony ")
    ]
    for path in sorted((HERE / "tui" / "cli").glob("*_commands.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            said = getattr(node, "value", None)
            if isinstance(node, ast.Constant) and str(said).startswith("colony "):
                lines.append(str(said).split("  (")[0].split(" | ")[0].split("   ")[0].strip())
    reads = {"show", "lineage", "find", "kin", "diff", "ancestry", "leaderboard", "models"}
    return sorted({line for line in lines if line.split()[1] in reads and "--archive" not in line})


def test_what_people_are_told_to_type_works(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = told_to_type()
    assert len(commands) > 15
    for command in commands:
        arguments = shlex.split(command)[1:]
        code, _, error = colony(*arguments, "-a", archive)
        assert code == 0, (command, error)
