"""Models of archives in the harness, and its tasks in campaigns, come to its own results."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from lineage import Archive, ArchiveError
from population.analysis.export import export
from population.campaign.kept_weights import remake
from population.campaign.opening_context import reopen_context
from population.campaign.usable_items import Usable
from population.errors import PopulationError
from population.evaluation.evaluator import Evaluator
from population.harness.models.colony_lm import ColonyLM
from population.harness.tasks.loading import open_task
from tests.benchmarks.lm_eval_agreement import compare, run, write_tasks

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def datasets_of_this_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")


@pytest.fixture(scope="module")
def champion(small_archive: Archive) -> ColonyLM:
    return ColonyLM("champion", archive=str(small_archive.path), dtype="float32", device="cpu")


def asking(context: str, **settings: object) -> Instance:
    return Instance("generate_until", {}, (context, settings), 0)


@dataclass(frozen=True)
class Measured:
    """Tasks, and what the harness's own model of transformers says of the exported champion."""

    tasks: list[Path]
    samples: dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def measured(small_archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    folder = tmp_path_factory.mktemp("measured")
    context, row = reopen_context(small_archive), small_archive.find("champion")
    export(small_archive, context, row, folder / "champion")
    exported = HFLM(str(folder / "champion"), dtype="float32", device="cpu", batch_size=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "datasets")
        tasks = write_tasks(folder, 12)
        return Measured(tasks, run(exported, tasks))


def test_every_result_is_that_of_the_exported_checkpoint_in_transformers(
    champion: ColonyLM, measured: Measured
) -> None:
    ours = run(champion, measured.tasks)
    assert len(ours) == len(measured.tasks)
    for task in ours:
        agreement = compare(ours[task], measured.samples[task], task)
        assert agreement.differing == 0, task
        assert agreement.farthest < 1e-5, task


def test_an_item_of_a_campaign_is_worth_what_the_harness_says(
    small_archive: Archive, measured: Measured
) -> None:
    """Of all output types, with and without examples, with a metric and a filter by name."""
    references = [
        f"{path}:exact_match,whole" if "generate" in path.name else str(path)
        for path in measured.tasks
    ]
    tasks = [open_task(reference, 0, 2000) for reference in references]
    context = reopen_context(small_archive)
    evaluator = Evaluator(
        context.founders[0].path,
        stored=torch.bfloat16,
        device="cpu",
        dtype="float32",
        tasks={task.name: Usable(task, lambda *_: None) for task in tasks},
    )
    state = remake(small_archive, context, small_archive.find("champion"))
    evaluator.load_weights(state)
    items = [item for task in tasks for item in task.items("test")]
    exact, probability = evaluator.score(evaluator.prepare_keys(items))
    assert evaluator.meter.evaluations == len(items)
    worth = {item.id: value for item, value in zip(items, exact, strict=True)}
    expected = {
        f"{task}/test/{sample['doc_id']}": worth_of(sample)
        for task, samples in measured.samples.items()
        for sample in samples
        if sample["filter"] != "first-four"
    }
    assert worth == pytest.approx(expected, abs=1e-6)
    assert len(set(worth.values())) > 2
    assert ((probability >= 0) & (probability <= 1)).all()
    # What gradient steps learn from is what stands in the key.
    chosen = [item for item in items if item.task == "multiple_choice"]
    lessons = evaluator.loss(state, evaluator.prepare_targets(chosen), lambda name, gradient: None)
    likely = [
        sample["resps"][int(sample["target"])][0][0]
        for sample in measured.samples["multiple_choice"]
    ]
    assert lessons == pytest.approx(-sum(likely) / len(likely), rel=1e-4)


def worth_of(sample: dict[str, Any]) -> float:
    """The metric of an item; of a text 2 to the power of minus its bits per byte."""
    if "bits_per_byte" not in sample:
        return float(sample["acc" if "acc" in sample else "exact_match"])
    log_likelihood, size = sample["bits_per_byte"]
    return math.exp(log_likelihood / size)


def test_a_folder_is_a_model_too(make_checkpoint: Callable[..., Path]) -> None:
    folder = make_checkpoint("random", seed=3)
    ours, theirs = (
        kind(str(folder), dtype="float32", device="cpu").loglikelihood(
            [Instance("loglikelihood", {}, ("rev:abc=", "cba"), 0)], disable_tqdm=True
        )
        for kind in (ColonyLM, HFLM)
    )
    assert ours[0] == (pytest.approx(theirs[0][0], abs=1e-4), theirs[0][1])


def test_company_and_order_change_no_answer(champion: ColonyLM) -> None:
    prompts = ["rev:abcde=", "cap:ab=", "sum:12+34=", "cap:abcdefgh="]
    asked = [asking(prompt, until=["="], max_gen_toks=4 + 2 * len(prompt)) for prompt in prompts]
    together = champion.generate_until(asked, disable_tqdm=True)
    assert together == [champion.generate_until([one], disable_tqdm=True)[0] for one in asked]
    assert len(set(together)) > 1


def test_what_is_not_greedy_is_refused_by_name(champion: ColonyLM) -> None:
    with pytest.raises(PopulationError, match=r"do_sample = True: .* greedily"):
        champion.generate_until([asking("cap:ab=", until=[], do_sample=True, temperature=0.7)])
    with pytest.raises(PopulationError, match=r"64 tokens, .* reads 64; lower max_gen_toks"):
        champion.generate_until([asking("cap:ab=", until=[], max_gen_toks=64)])


def test_a_model_that_is_not_there_is_one_line(small_archive: Archive) -> None:
    with pytest.raises(ArchiveError, match="no model 'nobody'"):
        ColonyLM("nobody", archive=str(small_archive.path))
