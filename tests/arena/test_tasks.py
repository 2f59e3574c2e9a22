"""Tasks: broken ones are refused by file and line, and splits stay apart."""

from collections.abc import Callable
from pathlib import Path

import pytest

from arena.errors import TaskError
from arena.tasks import load_task, load_tasks, sample_panel
from arena.tasks.generators import split_of
from population.config import shipped_data

GOOD = '{"id": "a", "prompt": "1+1=", "key": "2"}\n{"id": "b", "prompt": "2+2=", "key": "4"}\n'


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    def task(search: str = GOOD, toml: str = 'name = "sums"\n', name: str = "sums") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "task.toml").write_text(toml)
        (folder / "search.jsonl").write_text(search)
        return folder

    return task


def test_items_are_read_with_their_split_and_place(make: Callable[..., Path]) -> None:
    items = load_task(make()).items("search")
    assert [(item.id, item.prompt, item.key) for item in items] == [
        ("sums/search/a", "1+1=", "2"),
        ("sums/search/b", "2+2=", "4"),
    ]


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (GOOD + "{broken", r"search\.jsonl:3: not JSON"),
        (GOOD + "[1]", r":3: expected an object, got list"),
        (GOOD + '{"key": "x"}', r":3: expected a non-empty text 'prompt', got None"),
        (GOOD + '{"prompt": "x", "statement": "y"}', r":3: a statement holds one {}"),
        (GOOD + '{"prompt": "", "key": "x"}', r":3: expected a non-empty text 'prompt'"),
        (GOOD + '{"prompt": "x", "key": 5}', r":3: expected a non-empty text 'key', got 5"),
        (GOOD + GOOD, r"search\.jsonl:3: the id 'sums/search/a' is used before, in line 1"),
        ("\n\n", "holds no items"),
    ],
)
def test_a_broken_file_is_named_by_line(
    make: Callable[..., Path], lines: str, complaint: str
) -> None:
    with pytest.raises(TaskError, match=complaint):
        load_task(make(lines)).items("search")


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        ("name = ", "cannot be read"),
        ('nmae = "x"', "unknown key 'nmae'"),
        ("name = 3", "'name' must be a text"),
        ('generator = "nothing"', "no generator 'nothing'; there are"),
        ('name = "a/b"', "cannot hold /"),
    ],
)
def test_a_broken_description_is_refused(
    make: Callable[..., Path], toml: str, complaint: str
) -> None:
    with pytest.raises(TaskError, match=complaint):
        load_task(make(toml=toml))


def test_missing_files_and_clashing_names_are_refused(make: Callable[..., Path]) -> None:
    folder = make()
    with pytest.raises(TaskError, match=r"test\.jsonl is missing"):
        load_task(folder).items("test")
    with pytest.raises(TaskError, match=r"it has no task\.toml"):
        load_task(folder.parent)
    with pytest.raises(TaskError, match="two tasks are named 'sums'"):
        load_tasks([folder, make(name="other")])
    with pytest.raises(TaskError, match="no tasks"):
        load_tasks([])


def test_a_task_without_generator_deals_from_its_file(make: Callable[..., Path]) -> None:
    task = load_task(make())
    assert task.items("search", 1, 2) == task.items("search", 1, 2)
    assert len(task.items("search", 1, 1)) == 1
    assert len(task.items("search", 1, 99)) == 2


def test_dealt_items_are_fresh_repeatable_and_never_from_another_split() -> None:
    tasks = load_tasks((shipped_data() / "tasks").iterdir())
    panel = sample_panel(tasks, seed=5, count=10 * len(tasks))
    assert len(panel) == 10 * len(tasks)
    assert panel == sample_panel(tasks, seed=5, count=10 * len(tasks))
    assert {item.prompt for item in panel} != {
        item.prompt for item in sample_panel(tasks, seed=6, count=10 * len(tasks))
    }
    assert {split_of(item.prompt) for item in panel} == {"search"}


def test_items_need_no_key_and_may_have_a_statement(make: Callable[..., Path]) -> None:
    task = load_task(make('{"prompt": "Say something nice.", "statement": "Dear, {}!"}\n'))
    (item,) = task.items("search")
    assert item.key is None
    assert item.statement == "Dear, {}!"
    assert task.verify(item, "anything") is None


def test_an_answer_is_found_by_the_tasks_expression(make: Callable[..., Path]) -> None:
    task = load_task(make(toml='name = "sums"\nanswer = "= *(-?[0-9]+)"\n'))
    item = task.items("search")[0]
    assert task.extract(item, "1+1= 3, no, 1+1=2. So it is.") == "2"
    assert task.extract(item, "  no idea\n") == "no idea"
    assert task.verify(item, "2") == 1.0
    assert task.verify(item, "3") == 0.0
    with pytest.raises(TaskError, match="'answer' is no regular expression"):
        load_task(make(toml='answer = "("', name="broken"))


OWN_TASK = """
from arena.tasks import Questions
from lineage.records import Item


class Colours(Questions):
    name, kind, description, stop = "colours", "skill", "Name a colour.", None

    def items(self, split, seed=None, limit=None):
        return [Item(f"colours/{split}/{n}", self.name, split, "A colour?", None)
                for n in range(limit or 3)]


nothing = 5
"""


def test_a_task_of_ones_own_is_named_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN_TASK)
    task = load_task(f"{tmp_path / 'own.py'}:Colours")
    assert [item.prompt for item in sample_panel([task], 0, 2)] == ["A colour?"] * 2
    for reference, complaint in (
        (f"{tmp_path / 'own.py'}:nothing", "is no task: it lacks items"),
        (f"{tmp_path / 'own.py'}:missing", "has nothing named 'missing'"),
        (f"{tmp_path / 'none.py'}:Colours", "is missing"),
        ("plugin:riddles", "no task 'riddles' is installed"),
    ):
        with pytest.raises(TaskError, match=complaint):
            load_task(reference)
    (tmp_path / "broken.py").write_text("1 / 0")
    with pytest.raises(TaskError, match="cannot be run: ZeroDivisionError"):
        load_task(f"{tmp_path / 'broken.py'}:Colours")


def test_a_task_is_found_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "riddles.py").write_text(OWN_TASK)
    info = tmp_path / "riddles-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: riddles\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[colony.tasks]\ncolours = riddles:Colours\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_task("plugin:colours").name == "colours"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("    name = property(lambda self: 1 / 0)", "its name cannot be had|cannot be made"),
        ("    name = 3", "its name must be a text, got 3"),
        ("    stop = 3", "its stop must be a text, got 3"),
        ("    def items(self, *_): return [1]", "gives 1, which is no lineage.records.Item"),
        ("    def items(self, *_): return None", r"items\('search', 0, 2\) fails: TypeError"),
        ("    def items(self, *_): return []", "gives no items"),
        ("    def items(self): return []", "fails: TypeError"),
        ("    def items(self, *_): raise SystemExit('no')", "fails: SystemExit: no"),
        (
            "    def items(self, *_): return [Item('a', 'colours', 'search', 'x', float('nan'))]",
            "with key nan; expected a text",
        ),
        (
            "    def items(self, *_): return [Item('a', 'colours', 'test', 'x', 'y')]",
            "of split 'test'; expected 'search'",
        ),
    ],
)
def test_code_that_does_not_do_what_a_task_does(tmp_path: Path, line: str, complaint: str) -> None:
    text = f"{OWN_TASK}\nclass Wrong(Colours):\n{line}\n"
    (tmp_path / "own.py").write_text(text)
    with pytest.raises(TaskError, match=complaint):
        load_task(f"{tmp_path / 'own.py'}:Wrong").items("search", 0, 2)


def test_code_that_ends_the_program_is_no_task(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("raise SystemExit('no')")
    with pytest.raises(TaskError, match="cannot be run: SystemExit: no"):
        load_task(f"{tmp_path / 'own.py'}:Colours")
    (tmp_path / "own.py").write_text(
        f"{OWN_TASK}\ndef end(*_): raise SystemExit('no')\nColours.extract = Colours.verify = end\n"
    )
    task = load_task(f"{tmp_path / 'own.py'}:Colours")
    (item,) = task.items("search", 0, 1)
    for ask in (task.extract, task.verify):
        with pytest.raises(TaskError, match="fails: SystemExit: no"):
            ask(item, "red")
