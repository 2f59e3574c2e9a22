"""Nothing that an archive, a file or a message says is markup, on a terminal, a screen, in a file.

Square brackets that vanish or raise are known from Textualize/rich 2636 and davep/braindrop 171,
XML that breaks from networkx/networkx 2193.
"""

import ast
import json
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import networkx as nx
import pytest
from rich.table import Table
from rich.text import Text

from lineage import Archive
from lineage.commands.definitions import submit
from lineage.drawing.text import cells, shown
from lineage.escaping import escaped
from lineage.queries.matches import matches
from tests.command_helpers import colony
from tests.hostile import TASKS, hostile
from tests.screen_helpers import frame, pressed, quiet, run, until
from tests.screen_helpers import shown as screen
from tui.shared.console import PlainConsole, out
from tui.shared.styling import heading

HERE = Path(__file__).parents[2]

OBEYED = {chr(sign) for sign in range(32)} - {"\n"} | {"\x7f", "\u202e", "\r"}
"""What must not reach a terminal: anything but line feeds."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = hostile(tmp_path_factory.mktemp("host[i]le & 'q'"))
    store = Archive(path)
    submit(store, "add-founder", [], "/no/where [b] \x1b[31m+x")
    store.close()
    return path


def founders(archive: Path) -> list[str]:
    store = Archive(archive)
    names = [row.name or "" for row in store.models(ids=store.founder_paths())]
    store.close()
    return names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb", "a\\nb"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\u202ex", "\\u202ex"),
        ("\u2028", "\\u2028"),
        ("\udcff", "\\udcff"),
        ("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"),
        ("مرحبا 猫 é", "مرحبا 猫 é"),
        ("[bold]", "[bold]"),
    ],
)
def test_what_terminals_obey_is_spelled_out(text: str, expected: str) -> None:
    assert escaped(text) == expected


def test_signs_that_join_others_take_no_cell() -> None:
    assert cells("e\u0301") == 1
    assert cells("\u200d") == 0
    assert cells("猫") == 2


def test_strings_are_texts_wherever_a_console_prints_them() -> None:
    said = StringIO()
    console = PlainConsole(file=said, width=60, force_terminal=True, color_system=None)
    table = Table(title="[b]title \x1b[31m")
    table.add_column("[u]head")
    table.add_row(":smile: [red]cell\x07")
    table.add_row(Text("a Text \x1b]0;x"))
    console.print(table, "[link=x]printed[/link]\x1b[2J")
    text = said.getvalue()
    for part in (
        "[b]title \\x1b[31m",
        "[u]head",
        ":smile: [red]cell\\x07",
        "[link=x]printed[/link]",
    ):
        assert part in text
    assert "\x1b]" not in text
    assert "\x1b[2J" not in text
    assert "\x1b[31m" not in text


def commands(archive: Path) -> list[tuple[str, ...]]:
    store = Archive(archive)
    match = str(matches(store, limit=1)[0].name)
    names = [row.name or "" for row in store.models(ids=store.founder_paths())]
    store.close()
    task = TASKS[0]
    return [
        ("models", "--all"),
        *(("show", name) for name in names),
        ("show", "champion"),
        ("operators",),
        ("leaderboard", "--all"),
        ("leaderboard", "--task", task),
        ("matches",),
        ("matches", "--model", names[0], "--task", task),
        ("match", match),
        ("sources",),
        ("sources", "--task", task),
        ("lineage", names[0], "--descendants"),
        ("lineage", "champion", "--tree", "--depth", "9"),
        *(("lineage", f"--{lens}") for lens in ("line", "pedigree", "graph", "map")),
        ("find", "", "--sort", "name"),
        ("find", f'founder:"{names[0]}">0 and task:"{task}">=0', "--limit", "3"),
        ("diff", names[0], names[1]),
        ("diff", "champion"),
        ("ancestry",),
        ("kin", names[0], names[1]),
        ("kin", "champion", names[1]),
        ("orders",),
    ]


def test_every_command_says_hostile_texts_as_they_are(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out, "_width", 200)
    names = founders(archive)
    for arguments in commands(archive):
        code, said, error = colony(*arguments, "--archive", archive)
        assert code == 0, (arguments, error)
        assert not OBEYED & set(said + error), arguments
        if arguments[0] == "models":
            assert all(shown(name) in said for name in names), said
        if arguments[0] == "show" and arguments[1] in names:
            assert shown(arguments[1]) in said
        code, said, _ = colony(*arguments, "--archive", archive, "--json")
        if arguments[0] != "lineage" or code == 0:
            assert code == 0
            json.loads(said)


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "[bold]nobody\x1b[31m\nhere"),
        ("find", "name='[/]\x1b[2J"),
        ("find", "task:'[/b]\x1b'>1"),
        ("matches", "--task", "[/]\n\x07"),
        ("match", "[/]@\x1b\n"),
        ("lineage", "--all", "--export", "[/]\x1b.odt"),
        ("models", "-a", "/nowhere/[bold]\x1b[31m\n.duckdb"),
        ("inspect", "/nowhere/[/bold]\x1b[31m\n"),
        ("merge", "/nowhere/[/bold]\x1b\n.yml", "/nowhere/[x]"),
        ("run", "/nowhere/[/bold]\x1b\n.toml", "--headless", "-a", "/nowhere/[i].duckdb"),
    ],
)
def test_errors_say_hostile_texts_as_they_are(archive: Path, arguments: tuple[str, ...]) -> None:
    where = () if "-a" in arguments or arguments[0] in ("inspect", "merge") else ("-a", archive)
    code, said, error = colony(*arguments, *where)
    assert code == 1
    assert said == ""
    assert error.startswith("error: ")
    assert not OBEYED & set(error)
    if arguments[0] != "find":
        assert error.count("\n") == 1


def test_exports_hold_hostile_texts(archive: Path, tmp_path: Path) -> None:
    names = founders(archive)
    for ending in ("graphml", "dot", "json", "html", "parquet"):
        path = tmp_path / f"it's [all] & more.{ending}"
        code, _, error = colony("lineage", "--all", "--export", path, "-a", archive)
        assert code == 0, error
    graph = nx.read_graphml(tmp_path / "it's [all] & more.graphml")
    labels = {data["label"] for _, data in graph.nodes(data=True)}
    plain = [name for name in names if name.isprintable()]
    assert len(plain) >= 3
    assert set(plain) <= labels
    known = json.loads((tmp_path / "it's [all] & more.json").read_text(encoding="utf-8"))
    assert set(names) <= {node["label"] for node in known["nodes"]}
    page = (tmp_path / "it's [all] & more.html").read_text(encoding="utf-8")
    assert "<b>" not in page
    assert "<i>" not in page
    assert not OBEYED & set(page)
    dot = (tmp_path / "it's [all] & more.dot").read_text(encoding="utf-8")
    assert not OBEYED & set(dot)
    assert ElementTree.parse(tmp_path / "it's [all] & more.graphml").getroot().tag
    with duckdb.connect() as db:
        where = str(tmp_path / "it's [all] & more.parquet").replace("[", "[[]")
        rows = db.execute("SELECT label FROM read_parquet(?)", [where]).fetchall()
    assert set(names) <= {label for (label,) in rows}


def test_every_page_shows_hostile_texts_as_they_are(archive: Path) -> None:
    async def test() -> None:
        async with screen(archive, (160, 50)) as (app, pilot):
            seen = ""
            for keys in (
                ("1",), ("2",), ("down", "enter"), ("escape",), ("3",), ("enter",), ("v",), ("4",),
                ("l",), ("t",), ("g",), ("o",), ("5",), ("t",), ("t",), ("2", "m", "end", "d"),
                ("escape",), ("question_mark",), ("escape",), ("O",), ("escape",),
            ):  # fmt: skip
                await pressed(pilot, *keys)
                await quiet(pilot)
                text = frame(app)
                assert not OBEYED & set(text), keys
                seen += text
            assert all(sign in seen for sign in ("qwen[v2]", "[bold]tag", "[/bold] x"))
            assert app.is_running

    run(test())


def test_what_is_told_in_passing_is_no_markup(archive: Path) -> None:
    async def test() -> None:
        async with screen(archive, (120, 40)) as (app, pilot):
            app.notify("[bold]no markup[/] \x1b[31m here [/x]")
            app.trouble = "no archive at /x/[/bold] \x1b[2J"
            assert app.page is not None
            app.page.draw_trouble(app.trouble)
            await until(pilot, lambda: "[bold]no markup[/]" in frame(app))
            assert "/x/[/bold] \\x1b[2J" in frame(app)
            await pressed(pilot, "ctrl+p")
            await pressed(pilot, *"qwen")
            await until(pilot, lambda: "qwen[v2]" in frame(app))

    run(test())


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


def test_no_widget_takes_strings_for_markup() -> None:
    """By construction: `Static(markup=False)`, and titles of frames that are constants or made."""
    looked = 0
    for path in sorted((HERE / "tui" / "app").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for call in calls(tree, "Static"):
            looked += 1
            assert any(
                word.arg == "markup" and getattr(word.value, "value", True) is False
                for word in call.keywords
            ), (path.name, call.lineno)
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "attr", "") in (
                "border_title", "border_subtitle", "tooltip",
            ):  # fmt: skip
                looked += 1
                made = getattr(getattr(node.value, "func", None), "id", "") == "heading"
                made = made or isinstance(node.value, ast.Constant)
                assert made, (path.name, node.lineno)
    assert looked > 20


def test_no_command_makes_a_console_of_its_own() -> None:
    for path in sorted((HERE / "tui").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not calls(tree, "Console"), path.name
        assert not calls(tree, "print"), path.name


def test_headings_are_no_markup() -> None:
    assert heading("[b]x\x1b").plain == "[b]x\\x1b"
