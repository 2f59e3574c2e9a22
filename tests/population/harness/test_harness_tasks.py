"""Tasks of lm-evaluation-harness in campaigns: which documents are asked, and when read."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from arena import TaskError
from arena.tasks import Task
from population.config import load_config, template
from population.errors import ConfigError, PopulationError
from population.harness.tasks.loading import open_task
from population.harness.tasks.splits import parts_of
from tests.harness_tasks import write_task

pytestmark = pytest.mark.slow

SPLITS = ("search", "selection", "test")


@pytest.fixture(autouse=True)
def datasets_of_this_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Task]:
    """Opens a task on the documents that each of its splits holds, by their prompts."""

    def made(seed: int = 0, most: int = 2000, extra: str = "", **splits: list[str]) -> Task:
        path = write_task(tmp_path, "loglikelihood", dict.fromkeys(splits, 1), extra)
        for split, prompts in splits.items():
            rows = [json.dumps({"prompt": one, "key": "x"}) for one in prompts]
            (tmp_path / f"loglikelihood-{split}.jsonl").write_text("\n".join(rows) + "\n")
        return open_task(str(path), seed, most)

    return made


def prompts(task: Task, split: str) -> list[str]:
    return [item.prompt for item in task.items(split)]


def words(first: int, last: int) -> list[str]:
    return [f"word {number}" for number in range(first, last)]


def test_what_is_the_same_stands_in_one_split_alone(opened: Callable[..., Task]) -> None:
    task = opened(
        train=words(0, 10), validation=["Word  3", *words(10, 14)], test=["WORD 3", *words(12, 18)]
    )
    assert prompts(task, "search") == words(0, 10)
    assert prompts(task, "selection") == words(10, 14)
    assert prompts(task, "test") == words(14, 18)


@pytest.mark.parametrize("splits", [{"test": 90}, {"train": 80, "test": 9}, {"validation": 90}])
def test_a_task_that_lacks_splits_is_cut_by_its_seed(
    opened: Callable[..., Task], splits: dict[str, int]
) -> None:
    """Every document is in one part, what is twice there in the same one."""
    given = {name: words(0, count) * 2 for name, count in splits.items()}
    if len(given) == 2:
        given["test"] = words(500, 509)
    parts = [set(prompts(opened(**given), split)) for split in SPLITS]
    assert set.union(*parts) == {one for content in given.values() for one in content}
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert min(map(len, parts)) >= 9
    assert prompts(opened(seed=1, **given), "selection") != prompts(opened(**given), "selection")


def test_the_sealed_split_is_not_opened_before_it_is_asked_for(
    opened: Callable[..., Task], tmp_path: Path
) -> None:
    task = opened(
        train=words(0, 9),
        validation=words(9, 12),
        test=["nothing"],
        extra="num_fewshot: 1\nfewshot_split: test\n",
    )
    (tmp_path / "loglikelihood-test.jsonl").write_text("sealed\n")
    for item in [*task.items("search"), *task.items("selection")]:
        shown, _, asked = item.prompt.partition("x\n\n")
        assert shown.removesuffix(" ") in words(0, 9)
        assert asked != shown.removesuffix(" ")
    with pytest.raises(TaskError, match="split 'test' of its data set json cannot be had"):
        task.items("test")


def test_open_splits_may_be_bounded(opened: Callable[..., Task]) -> None:
    task = opened(most=5, train=words(0, 30), validation=words(30, 60), test=words(60, 80))
    assert [len(task.items(split)) for split in SPLITS] == [5, 5, 20]
    assert prompts(task, "search") == sorted(prompts(task, "search"), key=words(0, 30).index)


def test_a_task_without_any_split_is_refused() -> None:
    with pytest.raises(TaskError, match="mine: it names no training_split"):
        parts_of([None, None, None], "mine")


def test_metrics_and_filters_that_a_task_lacks_are_told_before_models_are_asked(
    tmp_path: Path,
) -> None:
    path = write_task(tmp_path, "generate_until", {"test": 40})
    for name, cause in (("bleu", "metric 'bleu' gives None"), ("exact_match,last", "no filter")):
        with pytest.raises(TaskError, match=cause):
            open_task(f"{path}:{name}", 0, 9).items("search")


# In a configuration


def test_files_are_found_beside_the_configuration_and_replace_the_shipped_tasks(
    tmp_path: Path,
) -> None:
    path = write_task(tmp_path, "loglikelihood", {"test": 3})
    (tmp_path / "my.toml").write_text(
        '[tasks]\nlm_eval = ["loglikelihood.yaml:acc,none", "arc_easy"]\n'
    )
    tasks = load_config(tmp_path / "my.toml").tasks
    assert tasks.paths == []
    assert tasks.lm_eval == [f"{path}:acc,none", "arc_easy"]
    (tmp_path / "my.toml").write_text('[tasks]\nlm_eval = ["nothing.yaml"]\n')
    with pytest.raises(ConfigError, match=r"'nothing.yaml' is no file"):
        load_config(tmp_path / "my.toml")
    assert "lm_eval = []" in template("my.toml")


def test_without_the_extra_its_name_is_told(
    opened: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lm_eval.api.task", None)
    with pytest.raises(PopulationError, match=r"pip install 'model-colony\[lm-eval\]'"):
        opened(test=["a"])


def test_a_data_set_of_the_hub_without_a_network_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    (tmp_path / "far.yaml").write_text(
        "task: far\ndataset_path: nobody/nothing\ntest_split: test\n"
        "doc_to_text: q\ndoc_to_target: a\n"
    )
    with pytest.raises(TaskError, match=r"nobody/nothing cannot be had: .*from the hub") as told:
        open_task(str(tmp_path / "far.yaml"), 0, 9).items("search")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("class: nothing.Nowhere", "is a class"),
        ("output_type: telepathy", "there are loglikelihood, multiple_choice"),
        ("doc_to_image: picture", "read text alone"),
    ],
)
def test_tasks_that_cannot_be_used_say_why(tmp_path: Path, line: str, cause: str) -> None:
    (tmp_path / "odd.yaml").write_text(f"task: odd\ntest_split: test\n{line}\n")
    with pytest.raises(TaskError, match=cause):
        open_task(str(tmp_path / "odd.yaml"), 0, 9)
