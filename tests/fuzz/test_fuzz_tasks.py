"""Tasks that are changed anywhere: refused with file and line, or a campaign on them runs."""

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest

from arena.errors import TaskError
from arena.tasks import load_task
from arena.tasks.extractors.expression import Expression
from tests.fuzz_yard import SPLITS, WORDS, Yard, calls, make_task, toml, yard
from tests.fuzzing import Calls, ascii_only, cases, told, wrong_with
from tests.mutations import TEXTS, dumped, mutated_bytes, mutated_value

__all__ = ["calls", "yard"]

ANSWERS = (
    "(?P<x>.*)",
    "(",
    "[",
    "(?P<",
    "\\",
    "(?i)THE",
    "(a{1000}){1000}",
    "(?:x{0,5000}){0,5000}",
    ".",
    "",
    "^$",
    "(.*)",
    "(?=a)",
    "\\d+",
    "(?<=x)y",
    "(?R)",
    "\\1",
    "(?P<a>x)(?P<a>y)",
    "\U0001f600",
    "(" * 200 + "a" + ")" * 200,
)

STOPS = (
    "",
    " ",
    "\n",
    "the",
    "dog",
    "<s>",
    "</s>",
    "<unk>",
    "x" * 3000,
    "漢字",
    "[/]",
    ".",
    "\x00",
)

NAMES = (
    "",
    " ",
    "a/b",
    "a@b",
    "..",
    "[bold]",
    "a\nb",
    "x" * 500,
    "漢字",
    "a:b",
    "#1",
    "'",
    '"',
    "null",
    "task",
    "\ud800",
    "a\\b",
    "a b",
    "-x",
    "~",
    "\u202e",
    "\x1b[31m",
    "copy",
)


def task_toml(rng: Random) -> str:
    settings: dict[str, Any] = {"name": "copy", "description": "words"}
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        key = rng.choice(
            ("name", "description", "answer", "stop", "kind", "extract", "nmae", "key")
        )
        value: object = {
            "answer": rng.choice(ANSWERS),
            "stop": rng.choice(STOPS),
            "name": rng.choice(NAMES),
            "kind": rng.choice(("skill", "composite", "riddle")),
        }.get(key, rng.choice(TEXTS)[:2000])
        if rng.random() < 0.2:
            value = rng.choice((1, 0.5, True, ["a"], {"a": 1}, []))
        settings[key] = value
    lines = []
    for key, value in settings.items():
        shown = (
            "{ a = 1 }" if isinstance(value, dict) else json.dumps(value).replace("\\ud", "\\ue")
        )
        lines.append(f"{key} = {shown}")
    if rng.random() < 0.15:
        lines.insert(rng.randint(0, len(lines)), rng.choice(lines))
    return rng.choice(("\n", "\r\n")).join(lines) + "\n"


def item(rng: Random) -> dict[str, object]:
    words = [rng.choice(WORDS) for _ in range(4)]
    return {"prompt": " ".join(words), "key": rng.choice(WORDS)}


def changed_line(rng: Random) -> bytes:
    """A line of JSONL that is changed as a value, as text, or is something else."""
    change = rng.randrange(8)
    row = item(rng)
    if change < 4:
        return dumped(mutated_value(rng, row)).encode("utf-8", "surrogatepass")
    if change == 4:
        field = rng.choice(("prompt", "key"))
        text = rng.choice(
            (*TEXTS, "the " * 40, "the " * 5000, "a\u2028b", "\ud83d", "</s>", "<unk>")
        )
        return json.dumps(row | {field: text}, ensure_ascii=rng.random() < 0.5).encode(
            "utf-8", "surrogatepass"
        )
    if change == 5:
        return mutated_bytes(rng, json.dumps(row).encode())
    if change == 6:
        return rng.choice(
            (b"", b"   ", b"null", b"[]", b"1", b'"x"', b"{", b"\x00", b"// x", b"NaN")
        )
    return json.dumps(row | {"key": [rng.choice(WORDS), rng.choice(("", "dog", "x y"))]}).encode()


def changed_task(rng: Random, folder: Path) -> None:
    """A task folder in which something is changed."""
    make_task(folder, rng.choice((1, 2, 3, 8, 12)))
    if rng.random() < 0.5:
        (folder / "task.toml").write_text(task_toml(rng), encoding="utf-8")
    if rng.random() < 0.1:
        data = (folder / "task.toml").read_bytes()
        (folder / "task.toml").write_bytes(mutated_bytes(rng, data))
    for split in SPLITS:
        path = folder / f"{split}.jsonl"
        change = rng.random()
        if change < 0.3:
            lines = path.read_bytes().splitlines()
            for _ in range(rng.randint(1, 3)):
                lines.insert(rng.randint(0, len(lines)), changed_line(rng))
            path.write_bytes(rng.choice((b"\n", b"\n", b"\r\n")).join(lines))
        elif change < 0.4:
            path.write_bytes(mutated_bytes(rng, path.read_bytes()))
        elif change < 0.44:
            path.write_bytes(b"")
        elif change < 0.48:
            path.unlink()
        elif change < 0.5:
            path.unlink()
            path.mkdir()
        elif change < 0.52:
            path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def test_reading_a_changed_task(tmp_path: Path) -> None:
    refused = 0
    for number, rng in enumerate(cases("tasks", 200)):
        folder = tmp_path / str(number)
        changed_task(rng, folder)
        try:
            task = load_task(folder)
            for split in SPLITS:
                for one in task.items(split):
                    answer = task.extract(one, "the dog sat aaaaaaaaaaaaaaaaaaaaaaaaaaaa!")
                    score = task.verify(one, answer)
                    assert score is None or 0 <= score <= 1
                task.items(split, seed=3, limit=2)
        except TaskError as error:
            refused += 1
            assert "\n" not in str(error).strip(), ascii_only(repr(error))
            assert len(str(error)) < 3000, ascii_only(repr(error))
        shutil.rmtree(folder)
    assert refused > 40


def task_case(rng: Random, yard: Yard, calls: Calls, folder: Path) -> str | None:
    """Run a campaign on a good and a changed task, and continue it."""
    folder.mkdir()
    changed_task(rng, folder / "odd")
    make_task(folder / "good")
    given = yard.config(tasks={"paths": ["odd", "good"][: rng.choice((1, 2))]})
    (folder / "my.toml").write_text(toml(given))
    wanted = ("--archive", "a.duckdb", "--headless")
    ran = calls("run", "my.toml", *wanted, folder=folder)
    wrong = wrong_with(ran)
    if wrong is None and (folder / "a.duckdb").exists():
        more = ("--budget", "400", "--generations", "2", "--no-report")
        ran = calls("run", *wanted, *more, folder=folder)
        wrong = wrong_with(ran) or ("a campaign that cannot go on" if ran.code else None)
    shown = {
        path.name: path.read_bytes()[:1500]
        for path in (folder / "odd").rglob("*.*")
        if path.is_file()
    }
    shutil.rmtree(folder)
    return wrong and told(ran, wrong, ascii_only(repr(shown)))


def test_a_campaign_on_a_changed_task(yard: Yard, calls: Calls, tmp_path: Path) -> None:
    for number, rng in enumerate(cases("campaigns on tasks", 3)):
        assert task_case(rng, yard, calls, tmp_path / str(number)) is None


GOOD = """
from lineage.records import Item
from arena.tasks.task import Questions

class T(Questions):
    name = "mine"
    kind = "skill"
    description = "words"
    stop = None

    def items(self, split, seed=None, limit=None):
        rows = [Item(f"{self.name}/{split}/{n}", self.name, split, f"the cat {w}", w)
                for n, w in enumerate("dog sat ran on mat red blue one".split())]
        return rows if limit is None else rows[:limit]

task = T()
"""

BREAKS = (
    ('name = "mine"', "name = {odd}"),
    ('kind = "skill"', "kind = {odd}"),
    ('description = "words"', "description = {odd}"),
    ("stop = None", "stop = {odd}"),
    ("return rows if limit is None else rows[:limit]", "return {odd}"),
    ("return rows if limit is None else rows[:limit]", "return [{odd}]"),
    ("return rows if limit is None else rows[:limit]", "return rows * 2"),
    ("return rows if limit is None else rows[:limit]", "return (row for row in rows)"),
    ("return rows if limit is None else rows[:limit]", "raise {error}"),
    ("return rows if limit is None else rows[:limit]", "return rows[:1]"),
    ('f"the cat {w}", w)', "{odd}, w)"),
    ('f"the cat {w}", w)', "w, {odd})"),
    ('f"{self.name}/{split}/{n}"', "{odd}"),
    ("self.name, split,", "{odd}, split,"),
    ("self.name, split,", "self.name, {odd},"),
    ("task = T()", "raise {error}"),
    ("task = T()", "task = {odd}"),
    ("task = T()", "def task(): raise {error}"),
    ("task = T()", "def task(x): return T()"),
    ("task = T()", "task = T"),
    ("task = T()", "import nowhere_at_all"),
    ("task = T()", "task = ("),
    ("task = T()", "T.extract = lambda self, item, raw: {odd}\ntask = T()"),
    ("task = T()", "T.verify = lambda self, item, answer: {odd}\ntask = T()"),
    ("task = T()", "def broken(*_): raise {error}\nT.extract = broken\ntask = T()"),
    ("task = T()", "def broken(*_): raise {error}\nT.verify = broken\ntask = T()"),
    ("task = T()", "del T.items\ntask = T()"),
    ("task = T()", "T.extract = None\ntask = T()"),
    ("task = T()", "T.name = property(lambda self: 1 / 0)\ntask = T()"),
    ("def items(self, split, seed=None, limit=None)", "def items(self)"),
)
ODD_CODE = (
    "None",
    "1",
    "0.5",
    "-1",
    "2.0",
    "float('nan')",
    "float('inf')",
    "''",
    "' '",
    "'x'",
    "[]",
    "{}",
    "()",
    "object()",
    "b'x'",
    "'\\ud800'",
    "True",
    "'a/b'",
    "['x']",
    "'the ' * 3000",
    "10**400",
    "'[/]'",
)
ERRORS = (
    "ValueError('a\\nb')",
    "KeyError('x')",
    "SystemExit(0)",
    "SystemExit('no')",
    "KeyboardInterrupt",
    "Exception",
    "RecursionError",
    "MemoryError",
    "StopIteration",
    "OSError(2, 'x')",
    "AssertionError",
    "BaseException('x')",
    "UnicodeError",
    "GeneratorExit",
)


def code_case(rng: Random, yard: Yard, calls: Calls, folder: Path) -> str | None:
    """Run a campaign on a task that is code, and wrong."""
    folder.mkdir()
    old, new = rng.choice(BREAKS)
    new = new.replace("{odd}", rng.choice(ODD_CODE)).replace("{error}", rng.choice(ERRORS))
    assert old in GOOD
    (folder / "mine.py").write_text(GOOD.replace(old, new))
    make_task(folder / "good")
    (folder / "my.toml").write_text(toml(yard.config(tasks={"paths": ["mine.py:task", "good"]})))
    ran = calls("run", "my.toml", "--archive", "a.duckdb", "--headless", folder=folder)
    wrong = wrong_with(ran)
    shutil.rmtree(folder)
    return wrong and told(ran, wrong, new)


def test_a_campaign_on_a_task_of_broken_code(yard: Yard, calls: Calls, tmp_path: Path) -> None:
    for number, rng in enumerate(cases("code", 3)):
        assert code_case(rng, yard, calls, tmp_path / str(number)) is None


FOR_EVER = ("(a+)+$", "(a|a)*$", "(.*)*(.*)*(.*)*x", "((a*)*)*b")
"""What backtracks for longer than anybody lives, in Python's `re`."""


@pytest.mark.parametrize("pattern", FOR_EVER)
def test_an_expression_that_takes_for_ever_does_not(
    pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused at once, or finds what there is."""
    monkeypatch.setattr("arena.tasks.extractors.expression.TRIAL_S", 0.2)
    try:
        expression = Expression(pattern)
    except TaskError as error:
        assert "takes too long on an answer such as" in str(error)
    else:
        for text in ("a" * 300 + "!", "a a " * 100, "the dog " * 100):
            expression.find(text)


def test_a_campaign_on_such_an_expression_ends(yard: Yard, calls: Calls, tmp_path: Path) -> None:
    """Models say the same word over and over."""
    folder = tmp_path / "here"
    folder.mkdir()
    make_task(folder / "odd")
    (folder / "odd" / "task.toml").write_text("name = 'odd'\nanswer = '((a*)*)*b'\n")
    for split in SPLITS:
        row = json.dumps({"prompt": "a a", "key": "a" * 40 + "!"}) + "\n"
        with (folder / "odd" / f"{split}.jsonl").open("a") as file:
            file.write(row)
    (folder / "my.toml").write_text(toml(yard.config(tasks={"paths": ["odd"]})))
    ran = calls("run", "my.toml", "-a", "a.duckdb", "--headless", "--no-report", folder=folder)
    assert (ran.code, wrong_with(ran)) == (0, None), told(ran, "not as expected")
