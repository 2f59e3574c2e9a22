"""Models of archives in lm-evaluation-harness answer as its own model of transformers does."""

from collections.abc import Callable
from pathlib import Path

import pytest
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from lineage import Archive, ArchiveError
from population.analysis.export import export
from population.campaign.opening_context import reopen_context
from population.errors import PopulationError
from population.harness.models.colony_lm import ColonyLM
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


def test_every_result_is_that_of_the_exported_checkpoint_in_transformers(
    champion: ColonyLM, small_archive: Archive, tmp_path: Path
) -> None:
    context, row = reopen_context(small_archive), small_archive.find("champion")
    export(small_archive, context, row, tmp_path / "champion")
    exported = HFLM(str(tmp_path / "champion"), dtype="float32", device="cpu", batch_size=1)
    tasks = write_tasks(tmp_path, 12)
    ours, theirs = run(champion, tasks), run(exported, tasks)
    assert len(ours) == len(tasks)
    for task in ours:
        agreement = compare(ours[task], theirs[task], task)
        assert agreement.differing == 0, task
        assert agreement.farthest < 1e-5, task


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
