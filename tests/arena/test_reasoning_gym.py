"""Tasks of reasoning-gym: its items, its verdicts, and nothing that an answer could do."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from arena.errors import TaskError
from arena.tasks import load_task
from arena.tasks.reasoning_gym import gym as gym_module
from population.config import load_config

installed = pytest.mark.skipif(find_spec("reasoning_gym") is None, reason="an extra")

SUMS = "reasoning_gym:chain_sum{ max_terms = 3, max_digits = 2, size = 12 }"


@installed
def test_items_and_verdicts_are_the_generators_own() -> None:
    task = load_task(
        f"{SUMS[:-2]}, name = 'sums', system = 'Answer only.', extract = 'last_number' }}"
    )
    splits = {split: task.items(split) for split in ("search", "selection", "test")}
    assert [len(items) for items in splits.values()] == [12, 6, 12]
    asked = [item.prompt for items in splits.values() for item in items]
    assert len(set(asked)) == len(asked)
    item = splits["selection"][3]
    assert item.messages[0].content == "Answer only."
    terms = item.messages[1].content.split(":")[1].rstrip(" =")
    assert eval(terms) == int(item.key or "")
    assert task.verify(item, task.extract(item, f"It is\n{item.key}.")) == 1.0
    assert task.verify(item, task.extract(item, "It is 12345.")) < 0.5
    again = load_task(f"{SUMS[:-2]}, name = 'sums' }}")
    assert [one.key for one in again.items("search", 7, 5)] == [
        one.key for one in task.items("search", 7, 5)
    ]


@installed
def test_an_answer_can_neither_run_code_nor_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This verifier gives answers to `eval`."""
    monkeypatch.setattr(gym_module, "ANSWER_S", 0.3)
    gone = tmp_path / "gone"
    gone.write_text("here")
    task = load_task("reasoning_gym:spiral_matrix{ size = 2 }")
    item = task.items("search")[0]
    numbers = [int(number) for number in (item.key or "").split()]
    assert task.verify(item, item.key or "") == 1.0
    as_list = task.verify(item, f"{numbers}")
    assert as_list > task.verify(item, "no list")
    for evil in (
        f"[__import__('os').remove({str(gone)!r})]",
        f"[open({str(gone)!r}).read()]",
        f"[__import__('subprocess').run(['rm', {str(gone)!r}])]",
        "[9 ** 9 ** 9 ** 9]",
        "[" * 5_000,
    ):
        assert task.verify(item, evil) < as_list, evil
    assert gone.read_text() == "here"
    assert task.verify(item, item.key or "") == 1.0  # in another process, as that one was ended


@installed
@pytest.mark.parametrize(
    ("reference", "complaint"),
    [
        ("reasoning_gym:no_such_thing", "reasoning-gym has no 'no_such_thing'; there are ab, acre"),
        ("reasoning_gym:chain_sum{ most_terms = 3 }", "chain_sum has no setting 'most_terms'"),
        ("reasoning_gym:chain_sum{ min_terms = 9 }", "chain_sum"),
    ],
)
def test_what_the_library_refuses_is_told_in_a_line(reference: str, complaint: str) -> None:
    with pytest.raises(TaskError, match=complaint) as told:
        load_task(reference).items("search")
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("reference", "complaint"),
    [
        ("reasoning_gym:a b", "is no task; write"),
        ("reasoning_gym:lcm{ size = 0 }", "'size' must be a whole number from 1"),
        ("reasoning_gym:lcm{ size = }", "no TOML"),
        ("reasoning_gym:lcm{ compare = 'f1' }", "'compare' has no meaning here"),
        ("reasoning_gym:lcm{ extract = 'best' }", "no extractor 'best'"),
    ],
)
def test_a_reference_that_says_nothing_is_named(reference: str, complaint: str) -> None:
    with pytest.raises(TaskError, match=complaint):
        load_task(reference)


def test_without_the_extra_a_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gym_module, "find_spec", lambda name: None)
    with pytest.raises(TaskError, match=r"pip install 'model-colony\[reasoning-gym\]'"):
        load_task(SUMS).items("search")
    assert load_config({"tasks": {"paths": [SUMS]}}).tasks.paths == [SUMS]


def test_the_library_is_never_imported_here() -> None:
    program = f"import arena.tasks, sys; arena.tasks.load_task({SUMS!r}); print(*sys.modules)"
    run = [sys.executable, "-c", program]
    loaded = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    assert not {"reasoning_gym", "matplotlib", "sympy"} & set(loaded)
