"""Hands on a colony as a person lays them: what is said, when it is done, and what scripts read."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lineage import Archive
from lineage.archive.fork import fork
from lineage.commands.definitions import all_commands, paused
from lineage.storage.lock import campaign_lock
from tests.command_helpers import colony, failure
from tests.conftest import SHIPPED
from tests.forks import Forks
from tests.lineage.test_commands import commoners, go_on


@pytest.fixture
def rested(small_archive: Archive, tmp_path: Path) -> Archive:
    """A colony whose campaign does not run."""
    return fork(small_archive, 1, tmp_path / "rested.duckdb")


def test_a_command_says_that_it_waits_for_the_campaign_to_go_on(rested: Archive) -> None:
    one = commoners(rested)[0].id
    code, said, error = colony("pin", one, "-a", rested.path)
    assert (code, error) == (0, "")
    assert said == (
        f"command 1: pin #{one}; no campaign is running, so it waits. It is carried out by: "
        f"colony run --archive {rested.path}\n"
    )
    with campaign_lock(rested.path):
        code, said, _ = colony("mate", one, "capital", "-a", rested.path)
    assert said.startswith(f"command 2: mate #{one} with #2; the campaign that is running (PID ")
    go_on(rested, 1)
    code, table, _ = colony("orders", "-a", rested.path)
    assert code == 0
    assert "#" + str(one) in table
    assert "done" in table
    assert "open" in table


def test_scripts_read_what_was_asked_and_what_came_of_it(rested: Archive) -> None:
    one, other = [model.id for model in commoners(rested)[:2]]
    assert json.loads(colony("orders", "-a", rested.path, "--json")[1]) == []
    given = [
        json.loads(colony(*command, "-a", rested.path, "--json")[1])
        for command in (
            ("pin", one),
            ("unpin", f"#{one}"),
            ("cull", other),
            ("budget", 123_456),
            ("pause",),
            ("resume",),
        )
    ]
    assert [order["id"] for order in given] == [1, 2, 3, 4, 5, 6]
    assert all(order["running"] is False for order in given)
    go_on(rested, 1)
    told = json.loads(colony("orders", "-a", rested.path, "--json")[1])
    assert [order["kind"] for order in told] == [
        "pin", "unpin", "cull", "budget", "pause", "resume",
    ]  # fmt: skip
    assert {order["outcome"] for order in told} == {"done"}
    assert [order["models"] for order in told] == [[one], [one], [other], [], [], []]
    assert told[3]["argument"] == "123456"
    assert told[2]["answer"] == f"#{other} is a fossil"
    assert rested.campaign()[1]["budget"]["item_evaluations"] == 123_456


def test_what_cannot_be_is_refused_in_one_line(
    rested: Archive, make_checkpoint: Callable[..., Path]
) -> None:
    path = rested.path
    assert "is the champion" in failure("cull", "champion", "-a", path)
    assert "capital is a founder" in failure("pin", "capital", "-a", path)
    assert "no model '999'" in failure("mate", 999, 2, "-a", path)
    assert "not paused" in failure("resume", "-a", path)
    assert "no folder at nowhere" in failure("add-founder", "nowhere", "-a", path)
    tiny = make_checkpoint("tiny")
    assert "share one architecture" in failure("add-founder", tiny, "-a", path)
    assert "named 'capital' already" in failure(
        "add-founder", SHIPPED / "founders" / "capital", "-a", path
    )
    assert "no archive at" in failure("pause", "-a", path.with_name("none.duckdb"))
    assert colony("budget", 0, "-a", path)[0] == 2  # as for every argument that is out of range
    assert all_commands(rested) == []


def test_a_founder_is_written_down_so_that_it_is_found_from_anywhere(
    rested: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(SHIPPED / "founders" / "sum", tmp_path / "adder")
    monkeypatch.chdir(tmp_path)
    assert colony("add-founder", "adder", "-a", rested.path)[0] == 0
    assert [order.argument for order in all_commands(rested)] == [str(tmp_path / "adder")]


def test_orders_load_no_torch() -> None:
    modules = "tui.cli.control_commands, lineage.commands.definitions, population.campaign.joining"
    code = f"import sys, {modules}; "
    code += "print([m for m in ('torch', 'transformers', 'pygad') if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command",
    ["pause", "resume", "pin", "unpin", "cull", "mate", "add-founder", "budget", "commands"],
)
def test_every_command_has_help_with_examples(command: str) -> None:
    code, said, _ = colony(command, "--help")
    assert code == 0
    assert f"colony {command}" in said.split("Examples")[1]
    assert "--json" in said


def test_a_paused_campaign_says_so_goes_on_and_hears_ctrl_c(
    rested: Archive, forks: Forks, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    assert colony("pause", "-a", rested.path)[0] == 0
    pid = forks.start("run", "-a", rested.path, "--headless", "--no-report", said=said)
    forks.wait_for(said, f"paused; to go on: colony resume --archive {rested.path}")
    assert f"(PID {pid})" in colony("resume", "-a", rested.path)[1]
    forks.wait_for(said, "command 2 (resume) done")
    assert f"(PID {pid})" in colony("pause", "-a", rested.path)[1]
    forks.wait_for(said, "paused; to go on", times=2)
    os.kill(pid, signal.SIGINT)
    assert forks.wait() == 130
    assert "To continue" in said.read_text()
    assert paused(rested)
    assert len(rested.generations()) > 2
