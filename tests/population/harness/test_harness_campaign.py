"""A campaign on tasks of lm-evaluation-harness alone, from founders to the report."""

from pathlib import Path

import pytest

from lineage import Archive
from population.analysis.report import make_report
from population.campaign.context import silent
from population.campaign.opening_context import reopen_context
from population.config import load_config
from tests.conftest import SHIPPED, campaign, small_settings
from tests.harness_tasks import write_task

pytestmark = pytest.mark.slow


def test_a_campaign_breeds_for_tasks_of_the_harness_and_opens_the_sealed_split_in_the_report(
    tmp_path: Path, tasks_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    choices = write_task(tmp_path, "multiple_choice", {"train": 8, "validation": 4, "test": 4})
    answers = write_task(tmp_path, "generate_until", {"test": 24})
    sealed = tmp_path / "multiple_choice-test.jsonl"
    documents = sealed.read_text(encoding="utf-8")
    sealed.write_text("sealed\n", encoding="utf-8")
    tasks = {"paths": [], "lm_eval": [str(choices), f"{answers}:exact_match,whole"]}
    settings = small_settings(
        tasks_folder,
        tasks=tasks,
        founders={"paths": [str(SHIPPED / "founders" / name) for name in ("base", "double")]},
        search={"population": 4, "brood": 2, "items": 4, "panel": 8},
        gradient={"steps": 1, "items": 2},
        gate={"enabled": False},
        arena={"items": 4, "judges": 0},
    )
    archive = campaign(load_config(settings), tmp_path / "colony.duckdb", 1)
    assert {item.task for item in archive.panel(0)} == {"multiple_choice", "generate_until"}

    sealed.write_text(documents, encoding="utf-8")
    archive = Archive(archive.path)
    report = make_report(archive, reopen_context(archive), silent)
    assert report.champion.results["test"].tasks.keys() == {"multiple_choice", "generate_until"}
    assert len(report.champion.exact_on_test) > len(documents.splitlines())
