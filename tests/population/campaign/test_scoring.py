"""Breeding by the jury's judgement: what the colony's best answer stands for missing keys."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from arena.errors import TaskError
from arena.tasks import load_tasks, sample_panel
from lineage import Archive
from lineage.ancestry.kinship import Kinship
from lineage.queries import rounds
from lineage.records import Item, Juror
from population.campaign.context import genome_of, silent
from population.campaign.opening_context import found_archive, open_context, reopen_context
from population.campaign.scoring import JuryScorer
from population.config import Config, load_config
from population.errors import PopulationError
from tests.conftest import campaign, small_toml
from tests.population.campaign.test_campaign import assert_same, interrupt


@pytest.fixture(scope="module")
def keyless(tasks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A small campaign in which one task has no keys at all, and the search looks at none."""
    folder = tmp_path_factory.mktemp("keyless")
    for task in tasks_folder.iterdir():
        (folder / task.name).mkdir()
        for file in task.iterdir():
            (folder / task.name / file.name).write_bytes(file.read_bytes())
    (first, *_) = sorted(folder.iterdir())
    (first / "task.toml").write_text(f'name = "{first.name}"\nlongest = 6\n')
    for split in ("search", "selection"):
        lines = (first / f"{split}.jsonl").read_text().splitlines()
        rows = [{"prompt": json.loads(line)["prompt"]} for line in lines]
        (first / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    path = folder.parent / f"{folder.name}.toml"
    path.write_text(small_toml(folder, search={"merit": "jury", "rotate": 2}))
    return load_config(path)


@pytest.fixture(scope="module")
def judged(keyless: Config, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return campaign(keyless, tmp_path_factory.mktemp("judged") / "colony.duckdb", 2)


def test_a_campaign_without_keys_breeds_and_crowns_whom_its_jury_likes(judged: Archive) -> None:
    last = judged.latest()
    assert last is not None
    assert last.generation == 2
    assert judged.find("champion").living
    assert judged.task_means("selection") == {}  # what one jury found is nothing to the next one
    assert judged.inconsistencies() == []


def test_every_epoch_has_a_jury_of_its_living(judged: Archive) -> None:
    first, second = rounds.jurors(judged, 0), rounds.jurors(judged, 1)
    founders = set(judged.founder_paths())
    assert {juror.judge for juror in first} <= founders
    born = {model.id: model.generation for model in judged.models()}
    assert all(born[juror.judge] < 2 for juror in second)
    assert all(juror.belief >= 0.0 for juror in (*first, *second))


def test_it_goes_on_as_if_it_had_never_stopped(
    keyless: Config, judged: Archive, tmp_path: Path
) -> None:
    """Stopped within an epoch, whose jury has to be the one that was seated."""
    context = open_context(keyless)
    archive = found_archive(tmp_path / "colony.duckdb", context)
    interrupt(archive, "jury", 1)
    interrupt(archive, "offspring", 2)
    assert_same(campaign(keyless, archive.path, 2), judged)


def test_no_jurors_own_vote_counts_for_it(judged: Archive) -> None:
    context = reopen_context(judged)
    jury = JuryScorer(judged, context, Kinship.replayed(judged.models()), lambda epoch: [], silent)
    items = sample_panel(context.tasks, 3, 12)
    answered = jury.prepare(items, 1)
    shares = answered.prepared.answer_credit
    assert shares is not None
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    rows = {model.id: model for model in judged.models()}
    gained = []
    for judge, own in answered.without_own_votes.items():
        genome = genome_of(judged, context, rows[judge])
        ((with_own, without),) = context.map_models(
            [genome],
            lambda number, evaluator, state, own=own: (
                evaluator.score(answered.prepared)[0],
                evaluator.score(own)[0],
            ),
        )
        gained.append(with_own.sum() - without.sum())
    # A juror gives its own answers, so what it loses is what its own vote was worth.
    assert max(gained) > 0.0


def test_without_any_examination_all_jurors_count_alike(keyless: Config, tmp_path: Path) -> None:
    context = open_context(keyless)
    archive = found_archive(tmp_path / "colony.duckdb", context)

    def without_keys(epoch: int) -> list[Item]:
        return [replace(item, key=None) for item in sample_panel(context.tasks, 1, 6)]

    jury: Sequence[Juror] = JuryScorer(
        archive, context, Kinship.replayed(archive.models()), without_keys, silent
    ).jury(0)
    assert {juror.belief for juror in jury} == {1.0}


def test_keys_are_asked_for_where_they_count(keyless: Config) -> None:
    search = keyless.search.model_copy(update={"merit": "keys"})
    context = open_context(keyless.model_copy(update={"search": search}))
    with pytest.raises(TaskError, match=r'has no key .* merit = "jury"'):
        sample_panel(context.tasks, 1, 6)
    items = sample_panel(load_tasks(keyless.tasks.paths), 1, 6)
    with pytest.raises(PopulationError, match=r'has no key .* merit = "jury"'):
        context.evaluator.prepare_keys(items)
