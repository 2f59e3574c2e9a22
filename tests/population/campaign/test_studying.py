"""A colony without keys answers in steps what nobody can do at once, and learns it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from arena.tasks.answers import canonical
from arena.tasks.generators import apply
from lineage import Archive
from lineage.archive.fork import fork
from lineage.queries.labels import labelled_items
from lineage.queries.studies import studies
from population.analysis.verification import check
from population.campaign.context import silent
from population.campaign.loop import Campaign
from population.campaign.opening_context import reopen_context
from population.campaign.session import open_session
from population.campaign.state import load_population
from population.campaign.studying import study
from population.config import Budget, Config, load_config, shipped_data
from tests.conftest import campaign, small_toml
from tests.population.campaign.test_campaign import assert_same, interrupt

COMPOSITE, TAGS = "cipher-capital", ("enc", "cap")
"""Two skills that two of the small campaign's founders have, in a pair that nobody was shown."""

GENERATIONS = 2


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("in steps")
    for name in ("capital", "cipher"):
        shutil.copytree(shipped_data() / "tasks" / name, folder / name)
        description = folder / name / "task.toml"
        lines = description.read_text().splitlines()
        description.write_text("\n".join(x for x in lines if not x.startswith("generator")))
        for split in ("search", "selection"):
            rows = (folder / name / f"{split}.jsonl").read_text().splitlines()[:8]
            asked = [{"prompt": json.loads(row)["prompt"]} for row in rows]
            write(folder / name / f"{split}.jsonl", asked)
    made = folder / COMPOSITE
    made.mkdir()
    (made / "task.toml").write_text(
        f'name = "{COMPOSITE}"\nreads = ":(?P<text>[a-z]+)="\n'
        'steps = ["enc:{text}=", "cap:{answer}="]\n'
    )
    for split, first in (("search", "abc"), ("selection", "xyz")):
        write(
            made / f"{split}.jsonl",
            [{"prompt": f"enc.cap:{one}{other}qrt="} for one in first for other in "efg"],
        )
    (made / "test.jsonl").write_text("sealed\n")
    path = folder.parent / "study.toml"
    path.write_text(
        small_toml(
            folder,
            search={
                "merit": "jury", "panel": 6, "items": 6, "brood": 2, "population": 4, "emitter": 0.0
            },
            gradient={"steps": 1, "items": 3},
            arena={"labelled": 24, "items": 6, "judges": 1, "kept": 1.0},
            study={"every": 1, "steps": 2, "items": 4, "rate": 1e-5},
        )
    )  # fmt: skip
    return load_config(path)


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def archive(config: Config, made_once: Callable[..., Path]) -> Archive:
    made = made_once("studied", lambda f: campaign(config, f / "colony.duckdb", GENERATIONS))
    return Archive(made / "colony.duckdb")


def test_what_nobody_can_do_at_once_is_labelled_in_steps(archive: Archive) -> None:
    labelled = [one for one in labelled_items(archive, 0) if one.item.task == COMPOSITE]
    assert labelled
    truth = {
        one.item.id: apply(TAGS, one.item.prompt.split(":")[1].rstrip("=")) for one in labelled
    }
    right = [canonical(one.label.answer) == truth[one.item.id] for one in labelled]
    assert sum(right) > 0.5 * len(right)
    (capital,) = (model.id for model in archive.models() if model.name == "capital")
    assert {one.label.model for one in labelled} == {capital}


def test_who_studied_is_a_founder_that_recipes_combine(archive: Archive) -> None:
    (first,) = (one for one in studies(archive) if one.generation == 1)
    assert first.model is not None
    (newcomer,) = archive.models(ids=[first.model])
    assert (newcomer.kind, newcomer.operator, newcomer.name) == ("founder", "study", "study-1")
    assert first.pupil == archive.generations()[1].champion
    assert archive.basis()[-1] == newcomer.id
    assert sum(lesson.items for lesson in first.lessons) == first.items
    later = [model.id for model in archive.models() if model.id > newcomer.id]
    blocks, before = len(archive.blocks()), len(archive.basis()) - 1
    held = archive.genomes(later).reshape(len(later), before + 1, blocks)[:, before]
    assert held.any()
    assert archive.inconsistencies() == []
    assert check(archive).intact


def test_stopped_in_a_study_it_goes_on_as_if_it_had_not(archive: Archive, tmp_path: Path) -> None:
    """With one core or with two."""
    again = fork(archive, 0, tmp_path / "colony.duckdb")
    interrupt(again, "study", GENERATIONS)
    assert studies(again) == []
    context = reopen_context(again)
    context.config = context.config.model_copy(
        update={"run": context.config.run.model_copy(update={"threads": 2})}
    )
    Campaign(again, context, Budget(item_evaluations=10**9, generations=GENERATIONS)).run()
    assert_same(again, archive)


def test_a_fork_keeps_the_studies_after_its_last_generation(
    archive: Archive, tmp_path: Path
) -> None:
    assert studies(fork(archive, 0, tmp_path / "first.duckdb")) == []
    forked = fork(archive, 1, tmp_path / "second.duckdb")
    assert studies(forked) == [one for one in studies(archive) if one.generation == 1]
    assert forked.inconsistencies() == []


def test_who_forgets_is_dropped(archive: Archive, config: Config, tmp_path: Path) -> None:
    forked = fork(archive, 0, tmp_path / "colony.duckdb")
    context = reopen_context(forked)
    wild = config.study.model_copy(update={"rate": 0.1, "forgets": 0.0})
    context.config = context.config.model_copy(update={"study": wild})
    session = open_session(forked, context, silent)
    population = load_population(forked, context.factory.space, session.kinship)
    founders = forked.founder_paths()
    assert study(forked, session, population, silent) is context
    (dropped,) = studies(forked)
    assert dropped.model is None
    assert forked.founder_paths() == founders
    assert any("forgot" in event.detail for _, event in forked.events())
    assert list((tmp_path / "colony.duckdb.studies").iterdir()) == []


def test_with_keys_there_is_nothing_to_study(config: Config) -> None:
    keyed = config.search.model_copy(update={"merit": "keys"})
    with pytest.raises(ValueError, match="fine-tune on them"):
        Config.model_validate(config.model_copy(update={"search": keyed}).model_dump())
