"""No single item, candidate, judge or order stops a campaign: it is passed over, and told why."""

import json
from pathlib import Path
from typing import Any

import pytest

from arena.tasks.guarded import Guarded
from lineage import Archive
from lineage.commands.definitions import all_commands, submit
from lineage.records import Item
from population.analysis.report import make_report
from population.campaign.loop import Campaign
from population.campaign.model_work import FAILURE_PREFIX, Tolerant
from population.campaign.opening_context import found_archive, open_context, reopen_context
from population.config import Config
from population.errors import CampaignError, Interrupted
from population.evaluation import evaluator as evaluators
from population.failures import FailureLog, one_line
from tests.population.campaign.test_campaign import assert_same
from tests.population.campaign.test_small_tasks import Listed, config_of, founders, run, write_task

__all__ = ["founders"]


def passed_over(archive: Archive) -> list[tuple[int, str]]:
    return [(g, event.detail) for g, event in archive.events() if event.kind == "alarm"]


def resumed(archive: Archive, config: Config, generations: int) -> str:
    budget = config.budget.model_copy(update={"generations": generations})
    return Campaign(archive, reopen_context(archive), budget).run()


def on_few_items(founders: list[Path], task: Path, **sections: dict[str, object]) -> Config:
    """A campaign whose failures do not hang on what is asked."""
    few: dict[str, dict[str, object]] = {
        "search": {"panel": 8, "items": 4},
        "arena": {"items": 4},
    }
    return config_of(founders, [task], **few, **sections)


# Items


def test_an_item_that_is_too_long_is_left_out(founders: list[Path], tmp_path: Path) -> None:
    """One of twelve is longer than what the models read; in both epochs it would be dealt."""
    task = write_task(tmp_path, "long", 12)
    for split in ("search", "selection", "test"):
        rows = [json.loads(line) for line in (task / f"{split}.jsonl").read_text().splitlines()]
        rows[4]["prompt"] = "a" * 500
        (task / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = config_of(founders, [task])
    context = open_context(config)
    told: list[str] = []
    archive = found_archive(tmp_path / "a.duckdb", context)
    budget = config.budget.model_copy(update={"generations": 2})
    Campaign(archive, context, budget, on_trouble=told.append).run()
    resumed(archive, config, 3)
    left_out = [line for line in told if "is left out" in line]
    assert {line.split()[1] for line in left_out} == {"long/search/5", "long/selection/5"}
    assert all("the models read 64" in line or "tokens" in line for line in left_out)
    assert {line for _, line in passed_over(archive)} >= set(left_out)
    assert len(passed_over(archive)) == len(set(passed_over(archive)))
    for epoch in range(4):
        assert "long/search/5" not in [item.id for item in archive.panel(epoch)]
        assert len(archive.panel(epoch)) == 11
    reopened = reopen_context(archive)
    assert make_report(archive, reopened)
    assert any("long/test/5 is left out" in line for line in reopened.failures.drain())


BRITTLE = """
from arena.tasks import Questions
from lineage.records import Item

class Brittle(Questions):
    name, kind, description, stop, longest = "brittle", "skill", "", None, 3
    def items(self, split, seed=None, limit=None):
        named = [f"brittle/{split}/{n}" for n in range(6)]
        return [Item(name, "brittle", split, f"{name[-1]}=", "a") for name in named][:limit]
    def extract(self, item, raw):
        if item.id.endswith("/1"):
            raise LookupError("nothing to find")
        return raw.strip()
    def verify(self, item, answer):
        if item.id.endswith("/2"):
            return 1 / 0
        return {"3": 7.0, "4": float("nan")}.get(item.id[-1], float(answer == item.key))
"""


def test_what_a_task_raises_is_a_wrong_answer(founders: list[Path], tmp_path: Path) -> None:
    (tmp_path / "brittle.py").write_text(BRITTLE)
    config = config_of(founders, [Path(f"{tmp_path}/brittle.py:Brittle")])
    archive, _ = run(config, tmp_path / "a.duckdb", 1)
    told = " ".join(line for _, line in passed_over(archive))
    assert "verify() of task brittle fails on item brittle/search/2: ZeroDivisionError" in told
    assert "extract() of task brittle fails on item brittle/search/1: LookupError" in told
    assert resumed(archive, config, 2)


def test_a_guarded_task_is_the_task_in_all_that_works() -> None:
    told: list[str] = []
    task = Listed("a", 3)
    task.longest = 7  # type: ignore[attr-defined]
    guarded = Guarded(task, told.append)
    item = task.items("search")[1]
    assert (guarded.name, guarded.kind, guarded.description, guarded.stop) == (
        "a",
        "skill",
        "",
        None,
    )
    assert guarded.longest == 7
    assert not hasattr(guarded, "shortest")
    assert guarded.items("search", 3, 2) == task.items("search", 3, 2)
    assert guarded.verify(item, guarded.extract(item, " k ")) == 1.0
    assert guarded.verify(Item("x", "a", "search", "?", None), "k") is None
    assert told == []


# Candidates and judges


class Breaks:
    """Breaks forward passes of every so many models, in the order in which they are asked first."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, method: str, every: int, times: int = 1 << 30
    ) -> None:
        self.count = 0
        self.numbers: dict[bytes, int] = {}
        original = getattr(evaluators.Evaluator, method)
        load_weights = evaluators.Evaluator.load_weights
        state = self

        def load(evaluator: evaluators.Evaluator, weights: Any) -> None:
            load_weights(evaluator, weights)
            first = next(iter(weights.values())).flatten()[:64].float().numpy()
            evaluator.first_weights = first.tobytes()  # type: ignore[attr-defined]

        def broken(evaluator: evaluators.Evaluator, *arguments: Any, **named: Any) -> Any:
            first = getattr(evaluator, "first_weights", b"")
            number = state.numbers.setdefault(first, len(state.numbers))
            if number % every == every - 1 and state.count < times:
                state.count += 1
                raise RuntimeError("probability tensor contains inf\nand more lines")
            return original(evaluator, *arguments, **named)

        monkeypatch.setattr(evaluators.Evaluator, "load_weights", load)
        monkeypatch.setattr(evaluators.Evaluator, method, broken)


@pytest.mark.parametrize("method", ["score", "generate", "loglikelihood"])
def test_who_fails_dies_or_is_passed_over_and_the_campaign_goes_on(
    founders: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    config = on_few_items(founders, write_task(tmp_path, "t", 12), gate={"enabled": False})
    # Of judges there is one. Of the others one in four fails: no founder, and no whole brood.
    breaks = Breaks(monkeypatch, method, 1 if method == "loglikelihood" else 4)
    archive, _ = run(config, tmp_path / "a.duckdb", 1)
    assert len(archive.generations()) == 2
    assert breaks.count
    told = [line for _, line in passed_over(archive)]
    assert any("RuntimeError: probability tensor contains inf" in line for line in told)
    assert not any("more lines" in line for line in told)
    if method == "score":
        causes = {model.cause for model in archive.models() if model.died is not None}
        assert f"{FAILURE_PREFIX}RuntimeError: probability tensor contains inf" in causes
    again, _ = run(config, tmp_path / "again.duckdb", 1)
    assert_same(again, archive)


def test_what_fails_for_everybody_stops_the_campaign_which_goes_on_once_it_is_mended(
    founders: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = on_few_items(founders, write_task(tmp_path, "t", 12), gate={"enabled": False})
    archive, _ = run(config, tmp_path / "a.duckdb", 1)
    with monkeypatch.context() as patch:
        Breaks(patch, "score", 1)
        for _ in range(2):
            with pytest.raises(CampaignError, match=r"all .* failed: RuntimeError: probability"):
                resumed(archive, config, 3)
    assert len(archive.generations()) == 2
    resumed(archive, config, 3)
    assert len(archive.generations()) == 4
    assert not [line for _, line in passed_over(archive) if FAILURE_PREFIX in line]


def test_founders_that_cannot_be_examined_are_one_line(
    founders: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = on_few_items(founders, write_task(tmp_path, "t", 12))
    Breaks(monkeypatch, "answer_freely", 1)
    with pytest.raises(CampaignError, match=r"founders cannot be examined: RuntimeError: prob"):
        run(config, tmp_path / "a.duckdb", 1)


def test_who_fails_once_is_tried_again() -> None:
    tries: list[int] = []

    def work(number: int, evaluator: Any, state: Any) -> str:
        tries.append(number)
        if len(tries) == 1:
            raise MemoryError
        return "done"

    assert Tolerant(work)(3, None, {}) == "done"  # type: ignore[arg-type]
    assert tries == [3, 3]


@pytest.mark.parametrize("error", [Interrupted("stop"), OSError("disk"), KeyboardInterrupt()])
def test_what_is_of_no_single_model_is_passed_on(error: BaseException) -> None:
    def work(number: int, evaluator: Any, state: Any) -> str:
        raise error

    with pytest.raises(type(error)):
        Tolerant(work)(3, None, {})  # type: ignore[arg-type]


def test_failures_are_reported_once_in_one_line_and_in_a_fixed_order() -> None:
    failures, reported = FailureLog(), []
    failures.on_failure = reported.append  # type: ignore[assignment]
    for sentence in ("b", "a", "b"):
        failures.add(sentence)
    assert reported == ["b", "a"]
    assert failures.drain() == ("a", "b")
    assert failures.drain() == ()
    failures.add("a")
    assert failures.drain() == ()
    assert one_line(ValueError("one\ntwo")) == "ValueError: one"
    assert one_line(CampaignError("ours")) == "ours"
    assert one_line(ValueError()) == "ValueError"


# Commands


def test_a_command_that_fails_is_refused_and_not_tried_again(
    founders: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = on_few_items(founders, write_task(tmp_path, "t", 12))
    archive, _ = run(config, tmp_path / "a.duckdb", 1)

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of memory")

    submit(archive, "tournament")
    monkeypatch.setattr("population.campaign.commands.play_offline_round", fails)
    resumed(archive, config, 2)
    (order,) = all_commands(archive)
    assert (order.outcome, order.answer) == ("refused", "RuntimeError: out of memory")
    assert len(archive.generations()) == 3
