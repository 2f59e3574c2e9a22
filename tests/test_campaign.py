"""Campaigns: repeatable to the bit, safe to kill at any moment, and blind to the sealed split."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest

from lineage import Archive
from population.campaign import Campaign
from population.check import check
from population.config import Budget, load_config
from population.errors import Interrupted
from population.workshop import found_archive, open_workshop, reopen_workshop
from tests.conftest import SHIPPED, campaign, small_toml

RunSmall = Callable[..., Archive]
COLONY = [sys.executable, "-c", "from tui.cli import main; main()"]
ROOT = Path(__file__).parent.parent


def content(archive: Archive) -> dict[str, list[tuple[object, ...]]]:
    """Everything in an archive but the clock: equal content is an equal archive."""
    tables = {}
    with duckdb.connect(str(archive.path), read_only=True) as db:
        for (table,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            if table == "generations":
                query = "SELECT * EXCLUDE (wall_s, forward_s, cpu_s) FROM generations"
            elif table == "campaigns":
                query = "SELECT seed FROM campaigns"
            else:
                query = f"SELECT * FROM {table}"
            tables[table] = sorted(map(repr, db.execute(query).fetchall()))
    return tables


def assert_same(first: Archive, second: Archive) -> None:
    """Fail with the rows that differ, table by table."""
    one, other = content(first), content(second)
    assert one.keys() == other.keys()
    for table, rows in one.items():
        differing = [pair for pair in zip(rows, other[table], strict=False) if pair[0] != pair[1]]
        assert not differing, f"{table}: {len(differing)} rows differ, such as {differing[:3]}"
        assert len(rows) == len(other[table]), table


def test_the_same_seed_gives_the_same_archive_and_another_seed_another(
    run_small: RunSmall, small_archive: Archive, tmp_path: Path
) -> None:
    assert_same(run_small(tmp_path / "again.duckdb"), small_archive)
    other = run_small(tmp_path / "other.duckdb", generations=1, seed=1)
    mine = {model.weights_sha256 for model in small_archive.models()}
    theirs = {model.weights_sha256 for model in other.models() if model.kind == "offspring"}
    assert len(theirs - mine) > len(theirs) / 2


def test_a_resumed_campaign_is_an_uninterrupted_one(
    run_small: RunSmall, small_archive: Archive, tmp_path: Path, small_config: Path
) -> None:
    """Stopped after a generation, and again in the middle of the next, then run to the end."""
    path = tmp_path / "resumed.duckdb"
    archive = run_small(path, generations=1)

    def stop_half_way(done: int, total: int, what: str) -> None:
        if what == "offspring" and done == total // 2:
            raise Interrupted

    interrupted = Campaign(archive, reopen_workshop(archive), progress=stop_half_way)
    with pytest.raises(Interrupted):
        interrupted.run()
    assert archive.generations()[-1].generation == 1
    Campaign(archive, reopen_workshop(archive)).run()
    assert_same(archive, small_archive)


def test_what_a_campaign_leaves_makes_sense(small_archive: Archive) -> None:
    archive = small_archive
    history = archive.generations()
    assert [past.generation for past in history] == [0, 1, 2, 3]
    assert [past.epoch for past in history] == [0, 0, 1, 1]
    everyone = archive.models()
    living = [model for model in everyone if model.living]
    assert {model.kind for model in everyone[:3]} == {"founder"}
    assert all(model.living for model in everyone if model.kind == "founder")
    assert sum(model.kind == "offspring" for model in living) == 6
    assert archive.inconsistencies() == []
    champion = archive.find("champion")
    assert champion.living
    for model in everyone:
        for parent in model.parents:
            assert parent.id < model.id
    best = {
        i: np.mean([e + p for e, p in t.values()])
        for i, t in archive.task_means("selection").items()
    }
    ids = {model.id for model in living}
    assert best[champion.id] == max(score for model, score in best.items() if model in ids)
    ratings = archive.ratings(3)
    assert set(ratings) == ids
    assert any(abs(rating.rating) > 0 for rating in ratings.values())
    assert archive.trust(3)


def test_founders_need_no_base(tasks_folder: Path, tmp_path: Path) -> None:
    """Then differences are taken from the founders' average, and recipes replay all the same."""
    path = tmp_path / "no-base.toml"
    names = [str(SHIPPED / "founders" / name) for name in ("capital", "reverse", "sort")]
    path.write_text(
        small_toml(tasks_folder, founders={"paths": names}).replace('base = "base"', "")
    )
    archive = campaign(load_config(path), tmp_path / "no-base.duckdb", generations=1)
    assert archive.basis() == [1, 2, 3]
    assert archive.models(ids=[4])[0].operator == "average"
    assert check(archive).damages == ()


def test_genomes_stay_in_their_space(small_archive: Archive, small_config: Path) -> None:
    search = load_config(small_config).search
    offspring = [m.id for m in small_archive.models() if m.kind == "offspring"]
    genomes = small_archive.genomes(offspring)
    assert genomes.min() >= search.lowest
    assert genomes.max() <= search.highest


def test_every_recipe_replays_to_its_hash(small_archive: Archive) -> None:
    found = check(small_archive)
    assert found.replayed == found.offspring > 20
    assert found.damages == ()


def test_the_budget_is_never_exceeded(small_config: Path, tmp_path: Path) -> None:
    workshop = open_workshop(load_config(small_config))
    archive = found_archive(tmp_path / "budget.duckdb", workshop)
    Campaign(archive, workshop, Budget(item_evaluations=1900)).run()
    spent = sum(past.evaluations for past in archive.generations())
    assert spent <= 1900
    assert len(archive.generations()) > 1
    Campaign(archive, workshop, Budget(item_evaluations=1900)).run()
    assert sum(past.evaluations for past in archive.generations()) == spent


def test_a_campaign_never_opens_the_sealed_split(tasks_folder: Path) -> None:
    """The campaigns above ran to their end on tasks that have no test file at all."""
    assert list(tasks_folder.rglob("search.jsonl"))
    assert not list(tasks_folder.rglob("test.jsonl"))


def start(archive: Path, config: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *COLONY,
            "run",
            str(config),
            "--archive",
            str(archive),
            "--headless",
            "--no-report",
            *options,
        ],
        cwd=ROOT,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_generation(process: subprocess.Popen[str], generation: int) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(f"generation {generation} "):
            return
    pytest.fail("the campaign ended before that generation")


def test_kill_at_any_moment_loses_only_the_generation_in_flight(
    small_archive: Archive, small_config: Path, tmp_path: Path
) -> None:
    path = tmp_path / "killed.duckdb"
    for generation, delay in ((0, 0.05), (1, 0.2), (2, 0.01)):
        with start(path, small_config) as process:
            wait_for_generation(process, generation)
            time.sleep(delay)
            process.kill()
        acknowledged = Archive(path).generations()[-1].generation
        assert acknowledged >= generation
    with start(path, small_config) as process:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert_same(Archive(path), small_archive)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_everything_and_says_how_to_go_on(
    number: signal.Signals, small_archive: Archive, small_config: Path, tmp_path: Path
) -> None:
    path = tmp_path / "stopped.duckdb"
    with start(path, small_config) as process:
        wait_for_generation(process, 1)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"To continue: colony run --archive {path}" in " ".join(said.split())
    assert "Traceback" not in said
    with start(path, small_config) as process:
        _, said = process.communicate(timeout=120)
    assert "continuing" in said
    assert_same(Archive(path), small_archive)


def test_one_campaign_at_a_time(small_config: Path, tmp_path: Path) -> None:
    path = tmp_path / "busy.duckdb"
    with start(path, small_config) as first:
        wait_for_generation(first, 0)
        with start(path, small_config) as second:
            _, said = second.communicate(timeout=60)
        assert second.returncode == 1
        assert f"PID {first.pid}" in said
        first.kill()
