"""Campaigns on a real Ray cluster: the same archive as on one machine, whoever is killed."""

import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ray import cloudpickle

from lineage import Archive
from population.campaign.context import Context
from population.campaign.engine_choice import equip
from population.campaign.loop import Campaign
from population.campaign.model_work import Failed, Tolerant, failure
from population.campaign.opening_context import found_archive, open_context, reopen_context
from population.config import Budget, load_config
from population.engines.cluster import worker
from population.engines.cluster.connection import connect, disconnect
from population.engines.cluster.settings import ClusterRequest, WorkerNeeds
from population.engines.cluster.versions import versions
from population.errors import CampaignError
from tests.command_helpers import started
from tests.conftest import small_settings, small_toml
from tests.population.campaign.test_campaign import assert_same

CHANGES: dict[str, dict[str, Any]] = {
    "gradient": {"steps": 2, "items": 3},
    "search": {"panel": 12},
}
AGENTS = ("ray::DashboardA", "ray::RuntimeEnv")
LIMITS = Budget(item_evaluations=10**9, generations=2)
ENGINE = {"engine": "ray", "threads": 2, "ray": {"workers": 2}}


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One cluster of this machine's own for all tests here."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    connect(ClusterRequest(None, None, WorkerNeeds(1.0)), cores=3)
    yield
    disconnect()


def context_of(tasks: Path, **run: object) -> Context:
    return open_context(load_config(small_settings(tasks, **CHANGES, run={"threads": 2, **run})))


@pytest.fixture(scope="module")
def engaged(tasks_folder: Path) -> Iterator[Context]:
    """A context whose workers are ready."""
    context = context_of(tasks_folder, **ENGINE)
    equip(context)
    context.engine.start()
    yield context
    context.engine.close()


def run(context: Context, path: Path, **options: object) -> Archive:
    archive = found_archive(path, context)
    Campaign(archive, context, LIMITS, **options).run()  # type: ignore[arg-type]
    return archive


@pytest.fixture(scope="module")
def on_one_machine(tasks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """What the campaign comes to without a cluster."""
    return run(context_of(tasks_folder), tmp_path_factory.mktemp("here") / "local.duckdb")


class Pid:
    """Tells which process works with a model."""

    def __call__(self, number: int, evaluator: object, state: object) -> int:
        return os.getpid()


class Poison:
    """Ends the process that works with one of the models."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, number: int, evaluator: object, state: object) -> int:
        if number == self.number:
            os.kill(os.getpid(), signal.SIGKILL)
        return number


class Divides:
    """Fails."""

    def __call__(self, number: int, evaluator: object, state: object) -> float:
        return 1 / number


def test_a_campaign_comes_to_the_same_archive_though_a_worker_is_killed(
    engaged: Context, on_one_machine: Archive, tmp_path: Path
) -> None:
    pids = engaged.map_models([engaged.genome_of_founder(0)] * 8, Pid())
    assert os.getpid() not in pids
    killed: list[int] = []

    def kill_one(done: int, total: int, what: str) -> None:
        if what == "offspring" and not killed:
            killed.append(pids[-1])
            os.kill(pids[-1], signal.SIGKILL)

    on_cluster = run(engaged, tmp_path / "ray.duckdb", progress=kill_one)
    assert killed
    assert_same(on_cluster, on_one_machine)


def test_a_model_that_kills_three_workers_is_given_up_with_the_cause(engaged: Context) -> None:
    genomes = [engaged.genome_of_founder(number) for number in range(3)]
    found = engaged.map_models(genomes, Tolerant(Poison(1)), lost=failure)
    assert [found[0], found[2]] == [0, 2]
    assert isinstance(found[1], Failed)
    assert found[1].cause.startswith("failed: its work ended 3 workers")


def test_an_error_of_the_work_is_raised_here(engaged: Context) -> None:
    with pytest.raises(ZeroDivisionError):
        engaged.map_models([engaged.genome_of_founder(0)], Divides())


def test_what_cannot_be_sent_is_done_here(engaged: Context) -> None:
    lock = threading.Lock()

    def work(number: int, evaluator: object, state: object) -> int:
        with lock:
            return os.getpid()

    assert engaged.map_models([engaged.genome_of_founder(0)], work) == [os.getpid()]


def test_a_driver_that_is_killed_leaves_nobody_and_its_campaign_goes_on(
    on_one_machine: Archive, tasks_folder: Path, tmp_path: Path
) -> None:
    config, path = tmp_path / "my.toml", tmp_path / "killed.duckdb"
    config.write_text(small_toml(tasks_folder, **CHANGES))
    options = ("--archive", path, "--headless", "--no-report", "--generations", "2")
    with started("run", config, *options, "--workers", "1") as driver:
        assert driver.stderr
        while not driver.stderr.readline().startswith("generation 0"):
            pass
        processes = descendants(driver.pid)
        driver.kill()
    assert any("raylet" in name for name in processes.values())
    # Two agents of Ray's own follow within a minute: they try to tell the head of it first.
    those = [pid for pid, name in processes.items() if not name.startswith(AGENTS)]
    while any(map(runs, those)):
        time.sleep(0.05)
    archive = Archive.open(path)
    assert archive.generations()
    Campaign(archive, reopen_context(archive), LIMITS).run()
    assert_same(archive, on_one_machine)


def descendants(pid: int) -> dict[int, str]:
    """Names of the processes that a process has started, and those that they have, by id."""
    found: dict[int, str] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found[child] = Path(f"/proc/{child}/comm").read_text().strip()
            found |= descendants(child)
    return found


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended may wait for somebody to ask how."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def test_without_the_extra_it_is_named(tasks_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "population.engines.cluster.engine", None)
    with pytest.raises(CampaignError, match=r"pip install 'model-colony\[ray\]'"):
        equip(context_of(tasks_folder, **ENGINE))


def test_a_node_that_differs_is_refused_by_name(engaged: Context, tasks_folder: Path) -> None:
    """With another version, and with another founder."""
    here = worker.BenchWorker().open({**versions(), "torch": "0.1"}, b"")
    assert isinstance(here, worker.WorkerRefused)
    assert re.fullmatch(r"torch is \S+, and 0.1 where the campaign runs", here.reason)
    other = context_of(tasks_folder, **ENGINE)
    other.hashes = replace(other.hashes, sha256=("0" * 64, *other.hashes.sha256[1:]))
    equip(other)
    with pytest.raises(CampaignError, match=f"node {socket.gethostname()} .* 'base' .* other"):
        other.engine.start()
