"""The benchmarks of search count honestly, resume, and come to the same from the same seed."""

import dataclasses
import importlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from shutil import copy
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch

from lineage import Archive
from population.campaign.opening_context import reopen_context
from population.config import Config, resolve_paths
from tests.benchmarks import (
    candidate,
    cluster,
    digits,
    foundings,
    harness,
    item_choice,
    mlp,
    search,
)
from tests.benchmarks.encodings import Merged, Plain, PlainSpace
from tests.benchmarks.harness import BenchmarkError, Budgeted, Results, Run, Trail
from tests.benchmarks.rivals.problem import Spent
from tests.conftest import SHIPPED

IMAGES = 1437


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


ROOT = Path(__file__).parents[1]
BENCHMARKS = sorted(
    path.stem
    for path in (ROOT / "tests" / "benchmarks").glob("*.py")
    if "\ndef main(" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_make_bench_runs_every_benchmark(name: str) -> None:
    assert f"-m tests.benchmarks.{name} " in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert callable(importlib.import_module(f"tests.benchmarks.{name}").main)


def test_items_are_chosen_on_what_archives_hold(
    small_archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_choice, "DRAWS", 3)
    found = item_choice.measure([small_archive.path], 0.25, 8)
    twice = item_choice.measure([small_archive.path] * 2, 0.25, 8)
    assert twice["panels"] == found["panels"] >= 1
    ways = found["ways"]
    assert ways[item_choice.CHANCE]["lead"] == 0.0
    assert all(-1.0 <= one["rank_correlation"] <= 1.0 for one in ways.values())
    everything = item_choice.measure([small_archive.path], 1.0, 8)["ways"]
    for way in (item_choice.CHANCE, "information, 2-PL of 1", "adaptive, 2-PL of 3"):
        assert everything[way]["rank_correlation"] == pytest.approx(1.0)
        assert everything[way]["mean_absolute_error"] == pytest.approx(0.0, abs=1e-9)


# What they share


def test_checkpoints_end_with_the_budget() -> None:
    assert harness.checkpoints((200, 500), 100) == [100]
    assert harness.checkpoints((200, 500), 500) == [200, 500]
    assert harness.checkpoints((200, 500), 501) == [200, 500, 501]


def test_the_interval_is_students() -> None:
    half = 4.3026527 / 3**0.5
    assert harness.interval([1.0, 2.0, 3.0]) == pytest.approx((2.0, 2.0 - half, 2.0 + half))
    assert harness.interval([0.5]) == (0.5, None, None)


def test_a_checkpoint_inside_of_a_batch_sees_what_comes_before_it() -> None:
    vectors = np.array([[0.2], [0.1], [0.4], [0.3], [0.9]])
    trail = Trail([2, 6, 8], np.array([0.0]))
    problem = Budgeted(vectors, lambda asked: np.repeat(asked, 2, axis=1), 2, trail)
    with pytest.raises(Spent):
        problem.scores(vectors)
    assert trail.spent == 0
    problem.scores(vectors[:4])
    assert trail.spent == 8
    assert {at: float(found[0]) for at, found in trail.incumbents.items()} == {
        2: 0.2,
        6: 0.4,
        8: 0.4,
    }


def test_a_trail_does_not_take_more_than_its_budget() -> None:
    with pytest.raises(BenchmarkError, match="a budget of 10 item evaluations does not pay"):
        Trail([5, 10], np.zeros(1)).tell(11, np.ones(1))


def test_results_go_on_where_they_stopped(tmp_path: Path) -> None:
    path, started = tmp_path / "out.json", []

    def method(name: str, seed: int, told: object) -> Run:
        if (name, seed) == ("b", 1):
            raise KeyboardInterrupt
        started.append((name, seed))
        return Run({"test": {"10": float(seed)}}, seconds=1.0, spent=10)

    methods = {name: partial(method, name) for name in "ab"}
    with pytest.raises(KeyboardInterrupt):
        harness.run_all(methods, 3, 10, Results(path, {"budget": 10}), quiet=True)
    assert started == [("a", 0), ("b", 0), ("a", 1)]
    started.clear()
    del methods["b"]
    results = Results(path, {"budget": 10})
    harness.run_all(methods, 3, 10, results, quiet=True)
    assert started == [("a", 2)]
    assert json.loads(path.read_text()) == json.loads(results.text())
    assert results.as_json()["methods"]["a"]["test"] == {"10": [0.0, 1.0, 2.0]}
    assert results.as_json()["methods"]["a"]["mean"] == {"10": 1.0}
    with pytest.raises(BenchmarkError, match=r"other settings \(budget\)"):
        Results(path, {"budget": 11})
    path.write_text("{}")
    with pytest.raises(BenchmarkError, match="no results to continue"):
        Results(path, {"budget": 10})
    with pytest.raises(BenchmarkError, match="no folder"):
        Results(tmp_path / "nowhere" / "out.json", {"budget": 10})


# Two small networks


@pytest.fixture(scope="module")
def founders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three founders that know a few digits each, as two arrays."""
    path = tmp_path_factory.mktemp("digits") / "founders.npz"
    three = [mlp.trained(range(low, low + 4), seed=low) for low in (0, 3, 6)]
    np.savez(path, b=three[0], a=np.stack(three[1:]))
    return path


def run_digits(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    digits.main([*map(str, arguments), "--threads", "1"])
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def without_times(methods: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {
            what: value
            for what, value in kept.items()
            if what != "seconds" and not what.endswith("_per_s")
        }
        for name, kept in methods.items()
    }


def test_digits(capsys: pytest.CaptureFixture[str], founders: Path, tmp_path: Path) -> None:
    names, out = ["colony", "m2n2", "cma_es"], tmp_path / "out.json"
    asked = ("--founders", founders, "--passes", 40, "--methods", ",".join(names))
    content = run_digits(capsys, *asked, "--json", out)
    assert json.loads(out.read_text()) == content
    assert list(content["methods"]) == names
    for kept in content["methods"].values():
        assert list(kept["test"]) == list(kept["train"]) == list(kept["mean"]) == ["40"]
        assert kept["mean"]["40"] == kept["test"]["40"][0]
        assert 35 * IMAGES < kept["spent"][0] <= 40 * IMAGES
        assert kept["passes_per_s"] > 0
    assert content["methods"]["colony"]["train"]["40"][0] > 0.5  # each founder: 0.4
    again = run_digits(capsys, *asked)
    assert without_times(again["methods"]) == without_times(content["methods"])


def test_digits_split_among_founders(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--founders", "2,5", "--splits", 2, "--passes", 5, "--methods", "cma_es")
    content = run_digits(capsys, *asked)
    assert list(content["methods"]) == ["cma_es/2", "cma_es/5"]
    assert all(len(kept["test"]["5"]) == 2 for kept in content["methods"].values())
    first, again, other = (mlp.split_specialists(5, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    train = mlp.digits()[0]
    right = mlp.scores(first, train).astype(bool)
    known = [set(train.labels.numpy()[row].tolist()) for row in right]
    assert all(len(classes) == 2 for classes in known)
    assert set().union(*known) == set(range(10))


def test_digits_from_scratch(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--scratch", "--passes", 30, "--methods", "colony,ga,cma_es")
    rough, smooth = run_digits(capsys, *asked), run_digits(capsys, *asked, "--smooth")
    assert list(rough["methods"]) == ["colony", "ga"]
    assert rough["methods"]["ga"]["test"] != smooth["methods"]["ga"]["test"]
    assert all(kept["spent"][0] <= 30 * IMAGES for kept in smooth["methods"].values())


def test_digits_says_what_it_skips(capsys: pytest.CaptureFixture[str]) -> None:
    digits.main(["--scratch", "--passes", "2", "--threads", "1", "--methods", "ga,cma_es"])
    assert capsys.readouterr().err.startswith("nothing to merge from scratch: cma_es skipped\n")


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"a": np.zeros(7)}, "'a' is float64 of shape (7,); expected numbers of shape (19210,)"),
        ({"a": np.zeros(mlp.SIZE)}, "holds 1 founders; expected two or more"),
        ({"a": np.full((2, mlp.SIZE), np.nan)}, "'a' holds numbers that are not finite"),
        ({"a": np.array([{}])}, "is no .npz file of founders"),
        (None, "is no .npz file of founders"),
    ],
)
def test_broken_founders_are_one_line(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arrays: dict[str, Any] | None,
    complaint: str,
) -> None:
    path = tmp_path / "broken.npz"
    path.write_bytes(b"PK\x03\x04, but not for long")
    if arrays is not None:
        np.savez(path, **arrays)
    with pytest.raises(SystemExit) as stopped:
        digits.main(["--founders", str(path), "--passes", "40"])
    captured = capsys.readouterr()
    assert stopped.value.code == 2
    assert complaint in captured.err
    assert captured.err.count("\n") == 1
    assert not captured.out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--passes", "5", "--methods", "colony"], "does not pay for the first population"),
        (
            ["--passes", "5", "--methods", "colony,magic"],
            "no method 'magic' here; there are colony",
        ),
        (["--passes", "5", "--founders", "3,1"], "expected 2 to 10 founders, got 1"),
        (
            ["--passes", "5", "--scratch", "--founders", "f.npz"],
            "--scratch has founders of its own",
        ),
    ],
)
def test_digits_refuses_in_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        digits.main(arguments)
    assert stopped.value.code == 2
    assert complaint in capsys.readouterr().err


def test_founders_come_in_the_order_of_their_keys(founders: Path) -> None:
    np.testing.assert_array_equal(
        mlp.read_founders(founders), [mlp.trained(range(d, d + 4), seed=d) for d in (3, 6, 0)]
    )


def test_networks_are_what_they_say() -> None:
    asked = mlp.digits()[0].only(np.arange(100))
    weights = mlp.untrained(3, seed=0)
    w1, b1, w2, b2 = np.split(weights[1].astype(np.float64), np.cumsum(mlp.SIZES)[:-1])
    hidden = np.maximum(0.0, asked.pixels.numpy() @ w1.reshape(64, 256) + b1)
    right = (hidden @ w2.reshape(256, 10) + b2).argmax(axis=1) == asked.labels.numpy()
    np.testing.assert_array_equal(mlp.scores(weights, asked)[1], right)
    smooth = mlp.scores(weights, asked, smooth=True)[1]
    assert (smooth[right] > 0.5).all()
    assert (smooth[~right] < 0.5).all()
    assert smooth.min() > 0.0


def test_a_block_is_whole_hidden_units() -> None:
    block = mlp.blocks(32)
    w1, b1, w2, b2 = np.split(block, np.cumsum(mlp.SIZES)[:-1])
    for unit in range(256):
        own = {*w1.reshape(64, 256)[:, unit], b1[unit], *w2.reshape(256, 10)[unit]}
        assert own == {unit // 8}
    np.testing.assert_array_equal(b2, range(32, 42))


def test_merges_of_networks() -> None:
    founders = mlp.untrained(3, seed=1)
    merged = Merged(founders)
    np.testing.assert_array_equal(merged.weights(merged.founders), founders)
    mixture = merged.weights(np.full((1, merged.space.space.genes), 1 / 3))
    np.testing.assert_allclose(mixture[0], founders.mean(axis=0), atol=1e-8)
    gram = merged.geometry.vectors.sum(axis=0)
    np.testing.assert_allclose(gram, founders @ founders.T, rtol=1e-4, atol=1e-4)
    plain = Plain(founders)
    np.testing.assert_array_equal(plain.weights(plain.founders), founders)
    first = PlainSpace(plain.founders).initial_genomes(np.random.default_rng(0), 4)
    assert [mixed for *_, mixed in first] == [(0,), (1,), (2,), (0,)]


# Language models


BUDGET = 360
"""Item evaluations: for a few generations, or 15 candidates of a rival."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> search.Experiment:
    """A base and two skills on three tasks of few items, in which everything is small."""
    folder = tmp_path_factory.mktemp("tasks")
    for name in ("capital", "double", "reverse"):
        (folder / name).mkdir()
        copy(SHIPPED / "tasks" / name / "task.toml", folder / name)
        for split in ("search", "selection", "test"):
            lines = (SHIPPED / "tasks" / name / f"{split}.jsonl").read_text().splitlines()
            (folder / name / f"{split}.jsonl").write_text("\n".join(lines[:6]) + "\n")
    content = {
        "founders": {
            "paths": [str(SHIPPED / "founders" / name) for name in ("base", "capital", "reverse")],
            "base": "base",
        },
        "tasks": {"paths": [str(folder / "*")]},
        "search": {"population": 4, "brood": 4, "items": 6, "panel": 12, "rotate": 3},
        "gradient": {"steps": 1, "items": 3},
        "arena": {"items": 3, "judges": 1},
        "gate": {"texts": 2, "answers": 1},
        "run": {"threads": 1},
    }
    return search.Experiment(
        resolve_paths(Config.model_validate(content), folder), BUDGET, panel=24
    )


def test_search(small: search.Experiment) -> None:
    descents = ["gradient", "gradient_per_slice", "fine_tuning"]
    names = ["colony", "sweep", "cma_es", "m2n2", *descents]
    methods = harness.chosen(search.methods(small), ",".join(names))

    def run(asked: dict[str, Any]) -> dict[str, Any]:
        results = Results(None, small.settings())
        harness.run_all(asked, 1, small.budget, results, quiet=True)
        return json.loads(results.text())["methods"]  # type: ignore[no-any-return]

    found = run(methods)
    assert list(found) == names
    for name, kept in found.items():
        assert list(kept["test"]) == list(kept["mean"]) == [str(BUDGET)]
        assert 0.0 <= kept["mean"][str(BUDGET)] <= 1.0
        assert 0 < kept["spent"][0] <= BUDGET
        assert kept["seconds"][0] > 0.0
        if name in {"cma_es", "m2n2"}:
            assert kept["spent"][0] == BUDGET // 24 * 24
        if name in descents:  # the selection split, and steps on eight items of each task
            assert kept["spent"][0] == 18 + (BUDGET - 18) // (3 * 18) * (3 * 18)
        assert ("coverage" in kept) == (name == "colony")
        assert mean_over_tasks(kept, "test") == pytest.approx(kept["test"][str(BUDGET)][0])
    (descended,) = found["colony"]["foundings/descended"][str(BUDGET)]
    assert 0.0 <= descended <= 1.0
    together = found["colony"]["coverage"][str(BUDGET)][0]
    assert 0.0 < together <= 1.0
    assert mean_over_tasks(found["colony"], "coverage") == pytest.approx(together)
    again = {name: methods[name] for name in ("colony", "cma_es", "m2n2", "fine_tuning")}
    assert without_times(run(again)) == without_times({name: found[name] for name in again})


def mean_over_tasks(kept: dict[str, Any], what: str) -> float:
    tasks = [f"{what}/{task}" for task in ("capital", "double", "reverse")]
    return float(np.mean([kept[task][str(BUDGET)][0] for task in tasks]))


def test_foundings_are_counted_as_the_archive_has_them(small_archive: Archive) -> None:
    born = [model for model in small_archive.models() if model.generation > 0]
    made = [model for model in born if model.operator not in {"centre", "emitter", "raise"}]
    (row,) = foundings.by_hundreds(small_archive)
    assert (row["generations"], row["births"], row["foundings"]) == ([1, 3], len(born), len(made))
    stayed = [model for model in made if model.died is None or model.died > model.generation]
    assert 0 <= row["places"] == len(stayed) <= len(made)
    found = foundings.foundings_of(small_archive, reopen_context(small_archive))
    champion = small_archive.find("champion").id
    graph = small_archive.graph()
    line = {champion, *nx.ancestors(graph, champion)}
    assert found.in_champion == len(line & {model.id for model in made})
    founded = {model.id for model in made}
    heirs = {heir for one in founded for heir in nx.descendants(graph, one)}
    assert found.descended == pytest.approx(len(founded | heirs) / len(born))
    assert 1 <= found.large_founders <= 3


def test_fine_tuning_learns_more_than_the_merge_that_it_starts_at(small: search.Experiment) -> None:
    short, longer = (
        search.fine_tuning(dataclasses.replace(small, budget=budget), 0, lambda spent: None)
        for budget in (18, 18 + 12 * 54)
    )
    assert longer.scores["test"]["666"] > short.scores["test"]["18"] + 0.05


def test_what_results_depend_on_names_no_folder(small: search.Experiment) -> None:
    settings = json.dumps(small.settings())
    assert str(SHIPPED) not in settings
    assert json.loads(settings)["tasks"] == ["capital", "double", "reverse"]


def test_flat_weights_make_the_founders_again(small: search.Experiment) -> None:
    flat = search.FlatMaker(small.context.founders)
    for founder, state in zip(
        small.context.founders, flat.siblings(list(flat.founders)), strict=True
    ):
        assert sorted(state) == sorted(founder.tensors)
        for name, tensor in state.items():
            assert tensor.dtype == founder.tensor(name).dtype
            assert torch.equal(tensor, founder.tensor(name))
    exact = search.FlatMaker(small.context.founders, rounded=False)
    weights = exact.one(exact.founders[1])
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}
    np.testing.assert_array_equal(exact.flat(weights), exact.founders[1])


@pytest.mark.parametrize("name", [name for name in search.VARIANTS if name != "colony"])
def test_a_variant_takes_one_part_away(name: str) -> None:
    usual = Config().model_dump()
    variant = search.VARIANTS[name](Config()).model_dump()
    sections = {
        "no_arena": ["arena"],
        "no_gate": ["gate"],
        "no_niches": ["gradient"],
        "no_gradient": ["search", "gradient", "arena"],
        "methods_no_gradient": ["search", "gradient", "arena"],
        "dare_ties_per_layer": ["search", "gradient", "arena"],
        "parents_by_chance": ["search", "arena"],
    }
    assert [section for section in usual if usual[section] != variant[section]] == sections.get(
        name, ["search"]
    )


# What a candidate costs


def test_the_cost_of_a_candidate_is_told_by_stage(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    arguments = ["--shapes", "tiny", "--siblings", "2", "--repeat", "1", "--budget", "0"]
    assert candidate.main([*arguments, "--device", "cpu", "--json", str(out)]) == 0
    results = json.loads(out.read_text())
    found, steps = results["candidate"], results["step"]
    assert set(found) == set(steps) == {"shipped", "tiny"}
    for step in steps.values():
        assert step["line_overhead"] == pytest.approx(step["line_s"] / step["passes_s"])
    for cost in found.values():
        stages = [cost[f"{stage}_s"] for stage in ("make", "identify", "place", "forward")]
        assert stages[0] > 0
        assert stages[-1] > 0
        assert cost["overhead"] == pytest.approx(sum(stages) / stages[-1])


def test_many_workers_are_as_busy_as_their_driver_is_fast() -> None:
    swift, slow = (cluster.utilisation(20, [0.25], driver_ms, 1.0) for driver_ms in (0.1, 50.0))
    assert 0.6 < swift <= 1.0
    assert slow == pytest.approx(0.25 / 50e-3 / 20, rel=0.1)
