"""Marking: what finds the answer in what a model says, and what makes it right."""

import json
from collections.abc import Callable
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.errors import TaskError
from arena.tasks import load_task
from arena.tasks.choice_scores import CHOICE_SCORES, picked, probability_of
from arena.tasks.comparisons import COMPARISONS
from arena.tasks.correctness import correctness, is_literal, scoring_path
from arena.tasks.extractors import extractor_of
from arena.tasks.sampling import Sampling, evaluations_of, sampling_of
from lineage.records import stored_item

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def task(toml: str, *rows: object, **others: object) -> Path:
        for name, content in {"search": rows, **others}.items():
            lines = "\n".join(json.dumps(row) for row in content)  # type: ignore[attr-defined]
            (tmp_path / f"{name}.jsonl").write_text(lines + "\n")
        (tmp_path / "task.toml").write_text(f'name = "t"\n{toml}\n')
        return tmp_path

    return task


@pytest.mark.parametrize(
    ("extractor", "said", "found"),
    [
        ("last_number", "so 3+4=7.", "7"),
        ("last_number", "1, 2 and -3,000.5!", "-3000.5"),
        ("last_number", "5-3", "3"),
        ("last_number", "a cat", None),
        ("json:a.b", 'x {"a": {"b": "c"}} {"a": 1} {', "c"),
        ("json:a", "{" * 3000 + '{"a": null}', None),
        ("json:a", '{"a":' * 3000, None),
        ("expression:is (.)", "is a, is b", "b"),
    ],
)
def test_an_extractor_finds(extractor: str, said: str, found: str | None) -> None:
    assert extractor_of(extractor).find(said) == found


@pytest.mark.parametrize(
    ("comparison", "said", "key", "worth"),
    [
        ("exact", "a", "A", 0.0),
        ("folded", "New  york", "newYork", 1.0),
        ("numeric", "1,000.0000001", "1000", 1.0),
        ("numeric", "1001", "1000", 0.0),
        ("numeric", "nan", "nan", 0.0),
        ("set", "b, A", "a; b", 1.0),
        ("set", "b", "a; b", 0.0),
        ("f1", "the red cat sat", "a red cat", 0.8),
        ("rouge_l", "the cat sat down", "the cat lay down", 0.75),
    ],
)
def test_a_comparison_rates(comparison: str, said: str, key: str, worth: float) -> None:
    if comparison == "rouge_l":
        pytest.importorskip("rouge_score")
    assert COMPARISONS[comparison].rate(said, key, 1e-6) == pytest.approx(worth)


def test_any_of_several_keys_is_right(make: Make) -> None:
    rows = {"prompt": "big city", "keys": ["New York", "NYC"]}, {"prompt": "2+2", "key": "x = 4.0"}
    task = load_task(make('compare = "folded"', *rows))
    item = task.items("search")[0]
    worths = [correctness(task, item, said) for said in ("nyc", "newyork", "Rome")]
    assert worths == [1.0, 1.0, 0.0]
    assert not is_literal(task)
    texts = (item.id, item.task, item.split, item.prompt, item.key, item.statement)
    assert stored_item(*texts, item.details) == item
    sums = load_task(make('extract = "last_number"\ncompare = "numeric"\ntolerance = 0.1', *rows))
    four = sums.items("search")[1]
    assert [correctness(sums, four, said) for said in ("it is 4", "4.2 or 5", "no")] == [1, 0, 0]


@given(st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=1, max_size=7), st.integers(1, 7))
def test_pass_at_k_is_the_mean_of_the_best_over_all_choices_of_k(
    verdicts: list[float], k: int
) -> None:
    k = min(k, len(verdicts))
    best = [max(chosen) for chosen in combinations(verdicts, k)]
    assert Sampling(len(verdicts), k).worth(verdicts) == pytest.approx(sum(best) / len(best))
    right = verdicts.count(1.0)
    if 0.25 not in verdicts:  # equation 1 of Chen et al. (2021)
        missed = comb(len(verdicts) - right, k) / comb(len(verdicts), k)
        assert Sampling(len(verdicts), k).worth(verdicts) == pytest.approx(1.0 - missed)


def test_a_task_that_samples_says_so_and_is_decoded(make: Make) -> None:
    task = load_task(make("samples = 4\npass_at = 2", {"prompt": "2+2=", "key": "4"}))
    item = task.items("search")[0]
    assert sampling_of(task, item) == Sampling(4, 2)
    assert not is_literal(task)
    assert scoring_path(task, item) == "by 4 samples of an answer, pass@2"
    assert evaluations_of({task.name: task}, [item, item]) == 8


@pytest.mark.parametrize(
    ("toml", "row", "complaint"),
    [
        ('extract = "best"', {}, "'extract' names no extractor 'best'; there are"),
        ('extract = "json"', {}, "'json' needs the name of a field"),
        ('extract = "last_number:3"', {}, "takes nothing behind it"),
        ('extract = "json:a"\nanswer = "a"', {}, "have one"),
        ('compare = "like"', {}, "'compare' names no comparison 'like'; there are exact"),
        ("tolerance = 0.1", {}, "'tolerance' goes with"),
        ("samples = 4\npass_at = 5", {}, r"'pass_at' must be a whole number .* from 1 to 4, got 5"),
        ("pass_at = 2", {}, "'pass_at' goes with 'samples'"),
        ("samples = 4\ntemperature = 0", {}, "'temperature' must be a number above 0"),
        ('score = "best"', {}, "'score' must be likelihood or normalised"),
        ("stop = [1]", {}, "'stop' must be a text or a list of texts"),
        ("shots = -1", {}, "'shots' must be a whole number from 0"),
        ("shots = 3", {"key": "b"}, r"'shots' asks for 3 examples, .* there are 0 beside"),
        ("", {"choices": ["a"], "correct": 0}, r"search.jsonl:1: an item with 'choices' has two"),
        ("", {"choices": ["a", "b"], "correct": 2}, r":1: 'correct' must be .* from 0 to 1, got 2"),
        ("", {"choices": ["a", "a"], "correct": 0}, r":1: two 'choices' are the same"),
        ("", {"choices": ["a", "b"], "key": "b"}, r":1: of 'choices' the right one is told by"),
        ("", {"keys": ["a", 3]}, r":1: expected a non-empty text 'keys, number 1', got 3"),
        ("", {"keys": ["a"], "key": "b"}, r":1: an item has a 'key' or several 'keys', not both"),
    ],
)
def test_what_makes_no_sense_is_named(
    make: Make, toml: str, row: dict[str, object], complaint: str
) -> None:
    with pytest.raises(TaskError, match=complaint):
        load_task(make(toml, {"prompt": "a", **row})).items("search")


def test_long_choices_win_by_likelihood_for_each_character() -> None:
    logs, choices = np.array([-3.0, -5.0]), (" no", " certainly so")
    plain = CHOICE_SCORES["likelihood"](logs, choices)
    normalised = CHOICE_SCORES["normalised"](logs, choices)
    assert (picked(plain), picked(normalised)) == (0, 1)
    assert probability_of(plain, 0) == pytest.approx(1 / (1 + np.exp(-2)))
    assert normalised.tolist() == pytest.approx([-3 / 2 * 7, -5 / 12 * 7])
    assert probability_of(np.array([-np.inf, -np.inf]), 0) == 0.0


def test_solved_search_items_stand_before_each_item_and_never_itself(make: Make) -> None:
    search = [{"prompt": f"{n}=", "key": str(n)} for n in range(4)]
    sealed = [{"prompt": "9=", "key": "9"}]
    folder = make("shots = 3\nstop = [';', '.']", *search, selection=sealed)
    task = load_task(folder)
    items = task.items("search")
    for number, item in enumerate(items):
        *examples, asked = item.prompt.split("\n\n")
        assert asked == f"{number}="
        others = [f"{n}={n};" for n in range(4) if n != number]
        assert sorted(examples) == others
    by_id = {item.id: item for item in items}
    assert all(by_id[item.id] == item for item in task.items("search", 5, 4))
    assert "9=9" not in task.items("selection")[0].prompt
    chat = load_task(make("shots = 2\nsystem = 'Add.'", *search)).items("search")[0]
    roles = [turn.role for turn in chat.messages]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    assert chat.messages[-1].content == "0="
    assert chat.messages[1].content == f"{chat.messages[2].content}="
