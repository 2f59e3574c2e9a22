"""Tasks as people write them: lines, texts, names, and items that no model could answer."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from arena.errors import TaskError
from arena.tasks import Questions, Task, load_task
from arena.tasks.correctness import correctness
from lineage.records import Item, Message
from population.campaign.usable_items import Readers, Usable
from population.errors import PopulationError
from population.evaluation.evaluator import Evaluator
from tests.speakers import speaker

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def task(content: bytes | str, toml: bytes | str = 'name = "t"\n') -> Path:
        folder = tmp_path / "task"
        folder.mkdir(exist_ok=True)
        for name, text in (("task.toml", toml), ("search.jsonl", content)):
            raw = text if isinstance(text, bytes) else text.encode("utf-8")
            (folder / name).write_bytes(raw)
        return folder

    return task


ROW = '{"prompt": "1+1=", "key": "2"}'


@pytest.mark.parametrize(
    ("content", "prompts"),
    [
        ('{"prompt": "a\u2028b\u2029\x85\x1cc", "key": "2"}\n', ["a\u2028b\u2029\x85\x1cc"]),
        (f"\ufeff{ROW}\r\n\r\n{ROW}\r\n", ["1+1=", "1+1="]),
        (f"{ROW}\n \n\n{ROW}", ["1+1=", "1+1="]),
        (json.dumps({"prompt": "x" * 300_000}) + "\n", ["x" * 300_000]),
        ('{"prompt": "x", "key": null, "more": {"a": [NaN]}}', ["x"]),
    ],
)
def test_lines_end_at_line_feeds_only(make: Make, content: str, prompts: list[str]) -> None:
    if "\x1c" in content:  # JSON asks for this one to be escaped
        content = content.replace("\x1c", "\\u001c")
    items = load_task(make(content)).items("search")
    assert [item.prompt for item in items] == prompts


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (f"{ROW}\n{'[' * 200_000}", r"search\.jsonl:2: nested too deep"),
        (f'{ROW}\n{{"prompt": "a\\ud800b"}}', r":2: 'prompt' holds half of a surrogate pair"),
        (f'{ROW}\n{{"prompt": "a", "id": "\\udfff"}}', r":2: 'id' holds half of a surrogate"),
        (ROW.encode() + b'\n{"prompt": "\xff"}', r":2: not UTF-8 at byte 13"),
        (f'{ROW}\n{{"prompt": "a", "key": 42}}', r":2: expected a non-empty text 'key', got 42"),
        (f'{ROW}\n{{"prompt": "a", "key": NaN}}', r":2: expected a non-empty text 'key', got nan"),
        (f'{ROW}\n{{"prompt": "a", "id": [1]}}', r":2: expected a text or a whole number 'id'"),
        (f'{{"prompt": "a", "id": "2"}}\n{ROW}', r":2: the id 't/search/2' is used before, in"),
        (f'{ROW}\n{{"prompt": {"9" * 5000}}}', r":2: not JSON"),
        (f"{ROW}\u2028{ROW}", r":1: not JSON: Extra data"),
        ('{"prompt": "a", "messages": [{}]}', r":1: an item has a 'prompt' or 'messages', not"),
        ('{"messages": "hi"}', r":1: expected 'messages' to be a list"),
        ('{"messages": [{"role": "user"}]}', r":1: message 1 must have a role and a content"),
        ('{"messages": [{"role": "boss", "content": "x"}]}', r":1: message 1 has role 'boss'"),
        ('{"messages": [{"role": "user", "content": 1}]}', r":1: expected a non-empty text 'con"),
        ('{"messages": [{"role": "assistant", "content": "x"}]}', r":1: the last message must be"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_with_its_number(
    make: Make, content: bytes | str, complaint: str
) -> None:
    with pytest.raises(TaskError, match=complaint):
        load_task(make(content)).items("search")


@pytest.mark.parametrize("toml", ["\ufeffname = 't'\r\nkind = 'x'\r\n", "name = 't'"])
def test_a_description_may_come_from_any_editor(make: Make, toml: str) -> None:
    assert load_task(make(ROW, toml)).name == "t"


@pytest.mark.parametrize("name", ["sort [bold]", 'say "hi"', "été", "仕事", "a:b", "50%"])
def test_names_of_tasks_may_be_anything_that_reads_as_one(make: Make, name: str) -> None:
    assert load_task(make(ROW, f"name = {json.dumps(name)}")).name == name


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        ('name = "me@home"', "cannot hold @"),
        ('name = "a/b"', "cannot hold /"),
        ('name = "a\\nb"', "control characters"),
        ('name = " a"', "begin or end with a space"),
        ('name = ""', "not empty"),
        (f'name = "{"x" * 90}"', "80 characters at most, got 90"),
        ("longest = 0", "'longest' must be a whole number of tokens"),
        ("longest = true", "'longest' must be a whole number of tokens"),
        ('stop = ""', "'stop' is empty"),
        ('system = ""', "'system' is empty"),
        ('chat = "yes"', "'chat' must be true or false"),
    ],
)
def test_what_cannot_be_a_task_is_refused_as_it_is_loaded(
    make: Make, toml: str, complaint: str
) -> None:
    with pytest.raises(TaskError, match=complaint):
        load_task(make(ROW, toml))


def test_prompts_become_chats_where_a_task_says_so(make: Make) -> None:
    hi, brief = Message("user", "hi"), Message("system", "Be brief.")
    own = [{"role": "system", "content": "Be rude."}, {"role": "user", "content": "hi"}]
    rows = f'{{"prompt": "hi"}}\n{json.dumps({"messages": own})}\n'
    for toml, first in (("", ()), ("chat = true", (hi,)), ('system = "Be brief."', (brief, hi))):
        items = load_task(make(rows, f'name = "t"\n{toml}')).items("search")
        assert items[0].messages == first
        assert items[1].messages == (Message("system", "Be rude."), hi)
    assert [item.prompt for item in items] == [
        "system: Be brief.\nuser: hi",
        "system: Be rude.\nuser: hi",
    ]


# Items that no model could answer


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Readers:
    folder = tmp_path_factory.mktemp("speaker")
    speaker(folder, "llama")
    return Readers(folder, {"t": "."}, keyed=True)


def rows(*pairs: tuple[str, str | None]) -> str:
    return "".join(json.dumps({"prompt": p, "key": k}) + "\n" for p, k in pairs)


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (("the cat " * 100, " red"), "takes 2.. tokens, the models read 128"),
        (("the cat", " red" * 200), "takes 2.. tokens, the models read 128"),
        (("the cat", " rød"), "the tokenizer has no tokens: 'ø'"),
        (("the cat", " \t"), "a key that says nothing"),
        (("the cat", " no. one"), "a key with the stop text '.' in it"),
        (("the cat", None), "has no key to score models by"),
    ],
)
def test_an_item_that_nobody_can_answer_is_named_with_its_line_and_left_out(
    make: Make, readers: Readers, pair: tuple[str, str | None], reason: str
) -> None:
    good = [("the cat", " red"), ("one", " two"), ("a", " mat"), ("is", " was")]
    task = Usable(load_task(make(rows(*good[:2], pair, *good[2:]))), readers.fault)
    assert [item.prompt for item in task.items("search")] == [p for p, _ in good]
    assert task.complaint() is not None
    assert (task.complaint() or "").startswith("task 't': 1 item cannot be asked; the first, ")
    assert "search.jsonl:3, " in (task.complaint() or "")
    assert re.search(reason, task.complaint() or "")
    for seed in range(5):  # others take its place
        drawn = task.items("search", seed, 3)
        assert len(drawn) == 3
        usual = task.task.items("search", seed)
        assert drawn == [item for item in usual if item.id != "t/search/3"][:3]


def test_a_split_of_which_nothing_is_left_says_why(make: Make, readers: Readers) -> None:
    task = Usable(load_task(make(rows(("a" * 500, " red")))), readers.fault)
    with pytest.raises(TaskError, match=r"no search item can be asked; t/search/1 takes .* tokens"):
        task.items("search")


def test_a_missing_sealed_split_is_noticed_without_opening_it(make: Make, readers: Readers) -> None:
    folder = make(rows(("the cat", " red")))
    (folder / "selection.jsonl").write_text(rows(("the", " red")))
    task = Usable(load_task(folder), readers.fault)
    with pytest.raises(TaskError, match=r"test\.jsonl is missing"):
        task.check()
    (folder / "test.jsonl").write_text("sealed")
    task.check()
    assert task.complaint() is None


# One verdict


class Own(Questions):
    """A task of one's own code, whose verdict is given."""

    name, kind, description, stop = "t", "skill", "", "."

    def __init__(self, worth: object, key: str | None = None) -> None:
        self.worth, self.key = worth, key

    def items(self, split: str, seed: int | None = None, limit: int | None = None) -> list[Item]:
        return [
            Item(f"t/{split}/{n}", "t", split, "the cat is", self.key) for n in range(limit or 2)
        ]

    def verify(self, item: Item, answer: str) -> float | None:
        if isinstance(self.worth, Exception):
            raise self.worth
        return self.worth  # type: ignore[return-value]


def player_of(folder: Path, task: Task) -> Evaluator:
    player = Evaluator(folder, stored=torch.float32, device="cpu", tasks={"t": task})
    player.load_weights(dict(AutoModelForCausalLM.from_pretrained(folder).state_dict()))
    return player


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("talker")
    speaker(folder, "bytes", 1, ["the cat is on a red mat", "one is two = three", "a mat is four"])
    return folder


def test_a_task_says_which_path_it_takes(make: Make) -> None:
    assert load_task(make(ROW)).literal  # type: ignore[attr-defined]
    assert not load_task(make(ROW, "answer = 'x'")).literal  # type: ignore[attr-defined]
    assert not Own(1.0).literal


@pytest.mark.parametrize("key", [" nobody", None])
@pytest.mark.parametrize("worth", [1.0, 0.25, True, 0])
def test_breeding_goes_by_what_a_task_verifies(talker: Path, key: str | None, worth: float) -> None:
    task = Own(worth, key)
    player = player_of(talker, task)
    exact, probability = player.score(player.prepare_keys(task.items("search")))
    assert exact.tolist() == [float(worth)] * 2
    assert (probability >= float(worth)).all()
    assert player.meter.evaluations == 2


def test_what_an_expression_finds_counts_everywhere(talker: Path, make: Make) -> None:
    toml = "name = 't'\nanswer = 'a (\\w+) mat|= (\\w+)'"
    task = load_task(make(rows(("the cat is", "red"), ("a mat is", " four")), toml))
    task.items("search")
    whole = load_task(make(rows(("the cat is", "red"), ("a mat is", " four"))))
    heard, literal = player_of(talker, task), player_of(talker, whole)
    items = task.items("search")
    assert heard.score(heard.prepare_keys(items))[0].tolist() == [1.0, 1.0]
    assert literal.score(literal.prepare_keys(items))[0].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("worth", "complaint"),
    [
        (ValueError("no"), r"verify\(\) of item t/search/0 failed: ValueError: no"),
        (float("nan"), r"verify\(\) of item t/search/0 gave nan"),
        (1.5, r"verify\(\) of item t/search/0 gave 1.5"),
        ("yes", r"verify\(\) of item t/search/0 gave 'yes'"),
    ],
)
def test_a_verifier_that_fails_is_named_with_its_item(
    talker: Path, worth: object, complaint: str
) -> None:
    task = Own(worth)
    player = player_of(talker, task)
    with pytest.raises(TaskError, match=rf"task 't': {complaint}"):
        player.score(player.prepare_keys(task.items("search")))


def test_an_item_that_only_judges_can_tell_has_no_score(talker: Path) -> None:
    task = Own(None)
    assert correctness(task, task.items("search")[0], "x") is None
    player = player_of(talker, task)
    with pytest.raises(PopulationError, match="has no key to score models by"):
        player.score(player.prepare_keys(task.items("search")))
