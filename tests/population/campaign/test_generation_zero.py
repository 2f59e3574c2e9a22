"""Generation 0 in parts: what was done of it is kept, and it comes to the same however it was made.

The founders are tiny and random: what they can do does not matter here.
"""

import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from lineage import Archive, ArchiveError
from lineage.archive.fork import fork
from lineage.archive.merge import merge_archives
from lineage.archive.unfinished import Effort, UnfinishedPart, unfinished_generation, write_part
from population.analysis.verification import check
from population.campaign import parts
from population.campaign.loop import Campaign
from population.campaign.opening_context import found_archive, open_context, reopen_context
from population.config import Budget, load_config
from population.errors import CampaignError, Interrupted
from tests.command_helpers import colony, failure
from tests.conftest import SHIPPED, checkpoints_in, small_toml
from tests.forks import Forks, headless
from tests.killing import Kill
from tests.population.campaign.test_campaign import assert_same, content
from tests.screen_helpers import frame, pressed, run, shown, until
from tui.cli import progress_line as telling
from tui.shared.heartbeat import HeartbeatWriter

ONE = Budget(item_evaluations=10**9, generations=1)
CANDIDATES = 24
"""With a population of 6: twice as many are asked for, and made twice over."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, tasks_folder: Path) -> Path:
    """A configuration whose founders take no time."""
    folder = tmp_path_factory.mktemp("tiny")
    path, checkpoint = folder / "tiny.toml", checkpoints_in(folder)
    founders = [str(checkpoint(name, seed)) for seed, name in enumerate(("a", "b", "c"))]
    few = {"items": 6, "panel": 6, "rotate": 40, "rounds": 1}
    path.write_text(
        small_toml(
            tasks_folder,
            founders={"paths": founders, "base": "a"},
            search=few,
            gate={"enabled": True},
            arena={"items": 3, "judges": 1},
            run={"device": "cpu"},
        )
    )
    return path


@pytest.fixture(scope="module")
def whole(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """What nobody disturbs."""
    context = open_context(load_config(tiny))
    archive = found_archive(tmp_path_factory.mktemp("whole") / "whole.duckdb", context)
    Campaign(archive, context, ONE).run()
    return archive


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model is a part of its own."""
    monkeypatch.setattr(parts, "WRITE_EVERY_S", 0.0)


def stopped(archive: Archive, when: str, at: int) -> str:
    """Go on with a campaign until something is so far; what it says then."""

    def stop(done: int, total: int, what: str) -> None:
        if (what, done) == (when, at):
            raise Interrupted

    with pytest.raises(Interrupted) as said:
        Campaign(archive, reopen_context(archive), ONE, progress=stop).run()
    return str(said.value)


def test_stopped_anywhere_in_generation_0_it_comes_to_the_same(
    tiny: Path, whole: Archive, tmp_path: Path
) -> None:
    archive = found_archive(tmp_path / "again.duckdb", open_context(load_config(tiny)))
    assert unfinished_generation(archive) is None
    assert "of 24 candidates are kept" in stopped(archive, "founders", 2)
    assert unfinished_generation(archive).born == 0  # type: ignore[union-attr]
    for at in (5, 6, 20):
        said = stopped(archive, "first population", at)
        assert f"generation 0: {at} of 24 candidates are kept" in said
        found = unfinished_generation(archive)
        assert found is not None
        assert (found.born, found.candidates) == (at, CANDIDATES)
        assert archive.inconsistencies() == []
    before = unfinished_generation(archive)
    assert "all candidates and " in stopped(archive, "first panel", 5)
    assert "what the arena had done is lost" in stopped(archive, "arena", 0)
    now = unfinished_generation(archive)
    assert before is not None
    assert now is not None
    assert now.effort.evaluations > before.effort.evaluations
    Campaign(archive, reopen_context(archive), ONE).run()
    assert unfinished_generation(archive) is None
    assert_same(archive, whole)
    # In the order in which it was written too: a fork goes by it.
    assert_same(fork(archive, 0, tmp_path / "f1.duckdb"), fork(whole, 0, tmp_path / "f2.duckdb"))


def test_killed_in_generation_0_it_comes_to_the_same(
    forks: Forks, tiny: Path, whole: Archive, tmp_path: Path
) -> None:
    archive, said = tmp_path / "killed.duckdb", tmp_path / "said"
    part = "INSERT OR REPLACE INTO meta "
    run = (*headless(archive, tiny), "--generations", 1)
    kept = []
    for kill in (
        Kill("before commit", part),
        Kill("after commit", part),
        Kill("inside", part, number=3),
        Kill("torn", part, number=3),
        Kill("before commit"),
    ):
        forks.start(*run, said=said, kill=kill, all_parts=True)
        assert forks.wait() == kill.code, said.read_text()
        assert Archive(archive).inconsistencies() == []
        found = unfinished_generation(Archive(archive))
        kept.append(found.born if found else 0)
    assert kept[0] == 0
    assert kept == sorted(kept)
    assert kept[-1] == CANDIDATES
    forks.start(*run, said=said)
    assert forks.wait() == 0, said.read_text()
    assert_same(Archive(archive), whole)


def test_everything_that_reads_copes_with_a_generation_in_the_making(
    tiny: Path, whole: Archive, tmp_path: Path
) -> None:
    archive = found_archive(tmp_path / "half.duckdb", open_context(load_config(tiny)))
    stopped(archive, "first population", 7)
    at = ("--archive", archive.path)
    for command in (
        ("models",), ("models", "--all"), ("show", 5), ("operators",), ("orders",),
        ("lineage", 5), ("find", "living"), ("leaderboard",), ("skills",), ("tree", ),
    ):  # fmt: skip
        code, said, error = colony(*command, *at)
        assert code in (0, 1, 2), (command, error)
        assert "Traceback" not in said + error
        if code == 1:
            assert error.count("\n") == 1, (command, error)
    code, _, error = colony("models", *at)
    assert code == 0
    assert "generation 0 is being made: 7 of 24 candidates are there" in error
    for command in (("report", *at), ("fork", tmp_path / "fork.duckdb", *at)):
        assert "generation 0 is being made: 7 of 24 candidates" in failure(*command)
    for pair in ((archive, whole), (whole, archive)):
        with pytest.raises(ArchiveError, match="generation 0 is being made: 7 of 24"):
            merge_archives(*pair, tmp_path / "both.duckdb")
    found = check(archive)
    assert found.intact
    assert found.replayed == 7


def test_other_candidates_or_items_are_noticed(tiny: Path, tmp_path: Path) -> None:
    context = open_context(load_config(tiny))
    archive = found_archive(tmp_path / "half.duckdb", context)
    stopped(archive, "first population", 3)
    with archive.writing() as db:
        db.execute("UPDATE scores SET item = 'gone' WHERE item = (SELECT item FROM scores "
                   "WHERE model = 4 ORDER BY rowid LIMIT 1)")  # fmt: skip
    with pytest.raises(CampaignError, match="other items than the tasks have now"):
        Campaign(archive, context, ONE).run()
    with archive.writing() as db:
        db.execute("UPDATE models SET genome = list_transform(genome, lambda g: g + 1) "
                   "WHERE id = 4")  # fmt: skip
    with pytest.raises(CampaignError, match="another version of colony"):
        Campaign(archive, context, ONE).run()


def test_no_part_is_written_once_the_generation_is_complete(whole: Archive) -> None:
    before = content(whole)
    with pytest.raises(ArchiveError, match="generation 0 is complete"):
        write_part(whole, UnfinishedPart(4, Effort()))
    assert content(whole) == before


def test_parts_are_kept_by_the_clock_and_when_asked(tmp_path: Path, tiny: Path) -> None:
    context = open_context(load_config(tiny))
    archive = found_archive(tmp_path / "parts.duckdb", context)
    items = context.split("search")[:2]
    now = 0.0
    own = pytest.MonkeyPatch()
    own.setattr(parts, "WRITE_EVERY_S", 5.0)
    writer = parts.PartWriter(
        archive, 9, items, items, lambda: (now, 0.0, 0.0, round(10 * now)), lambda: now
    )
    nothing = np.zeros(2)
    for moment in (1.0, 4.9):
        now = moment
        writer.add_panel_scores(1, nothing, nothing, 2)
        assert unfinished_generation(archive) is None
    now = 5.0
    writer.add_panel_scores(2, nothing, nothing, 2)
    assert unfinished_generation(archive).effort == Effort(6, 5.0, 0.0, 0.0, 50)  # type: ignore[union-attr]
    now = 6.0
    writer.add_panel_scores(3, nothing, nothing, 2)
    assert unfinished_generation(archive).effort.evaluations == 6  # type: ignore[union-attr]
    writer.flush()
    writer.flush()
    assert unfinished_generation(archive).effort == Effort(8, 6.0, 0.0, 0.0, 60)  # type: ignore[union-attr]
    own.undo()
    assert re.match("generation 0 is being made: 0 of 9", unfinished_generation(archive).words)  # type: ignore[union-attr]


def interrupting(monkeypatch: pytest.MonkeyPatch, when: str, at: int) -> None:
    """Press Ctrl-C when something is so far."""
    step = telling.ProgressLine.step

    def press(self: telling.ProgressLine, done: int, total: int, what: str) -> None:
        if (what, done) == (when, at):
            os.kill(os.getpid(), signal.SIGINT)
        step(self, done, total, what)

    monkeypatch.setattr(telling.ProgressLine, "step", press)


def test_a_pipe_hears_of_all_that_is_done_in_generation_0(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "EVERY_S", 0.0)
    archive = tmp_path / "told.duckdb"
    code, said, error = colony("run", tiny, "--archive", archive, "--headless", "--no-report",
                               "--generations", 1)  # fmt: skip
    assert (code, said) == (0, "")
    lines = error.splitlines()
    assert lines[0] == f"starting {archive}: 3 founders, 3 tasks; first torch is loaded"
    assert any(line.startswith("up to ") and "of memory" in line for line in lines)
    begun = [line for line in lines if re.fullmatch(r"first population \d+/24(, .* left)?", line)]
    assert len(begun) >= CANDIDATES
    assert all(sign.isprintable() for line in lines for sign in line)
    order = ["opening a", "checking a", "building the network", "measuring the founders",
             "examining the founders", "founders", "first population", "first panel",
             "arena", "generation 0"]  # fmt: skip
    places = [next(n for n, line in enumerate(lines) if line.startswith(what)) for what in order]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("when", "at", "said"),
    [
        ("opening a", 0, "nothing was begun"),
        ("building the network", 0, "nothing is lost"),
        ("measuring the founders", 0, "of generation 0 nothing was made yet"),
        (
            "first population",
            7,
            r"generation 0: \d of 24 candidates are kept; \d in flight .*",
        ),
        ("arena", 0, "generation 0: all candidates .* are kept; what the arena had done is lost"),
        ("offspring", 3, "generation 0 is kept; what was done of generation 1 is lost"),
    ],
)
def test_ctrl_c_tells_the_truth(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, at: int, said: str
) -> None:
    archive = tmp_path / "stopped.duckdb"
    run = ("run", tiny, "--archive", archive, "--headless", "--no-report", "--generations", 1)
    with monkeypatch.context() as pressed:
        interrupting(pressed, when, at)
        code, _, error = colony(*run)
    assert code == 130
    last = error.splitlines()[-1]
    assert re.fullmatch(f"stopped; {said}. To continue: colony run --archive {archive}", last), last
    if number := re.search(r"(\d+) of 24 candidates are kept", last):
        kept = unfinished_generation(Archive(archive))
        assert kept is not None
        assert kept.born == int(number[1])


def test_a_report_that_is_interrupted_leaves_the_campaign_complete(
    tiny: Path, tasks_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = shutil.copytree(tasks_folder, tmp_path / "sealed")
    for task in sealed.iterdir():
        lines = (SHIPPED / "tasks" / task.name / "test.jsonl").read_text().splitlines()
        (task / "test.jsonl").write_text("\n".join(lines[:4]) + "\n")
    config = tmp_path / "sealed.toml"
    config.write_text(tiny.read_text().replace(str(tasks_folder), str(sealed)))
    interrupting(monkeypatch, "standard merges", 0)
    archive = tmp_path / "done.duckdb"
    code, _, error = colony("run", config, "-a", archive, "--headless", "--generations", 1)
    assert code == 130, error
    assert "the campaign is complete and kept, its report is not made" in error.splitlines()[-1]
    assert len(Archive(archive).generations()) == 2


def test_the_screen_shows_a_generation_in_the_making(tiny: Path, tmp_path: Path) -> None:
    archive = found_archive(tmp_path / "half.duckdb", open_context(load_config(tiny)))
    stopped(archive, "first population", 7)
    heart = HeartbeatWriter(archive.path)
    heart.step(7, CANDIDATES, "first population", spent=250, step_left_s=130.0)
    heart.update(budget=1000)

    async def look() -> None:
        async with shown(archive.path) as (app, pilot):
            await until(pilot, lambda: app.heartbeat is not None)
            await pilot.pause()
            text = frame(app)
            assert "births 10" in text
            assert "spent 250 of 1,000" in text
            assert "first population 7/24   2m 10s to go" in text
            for key in "2345":
                await pressed(pilot, key, "down")
                assert app.is_running

    run(look())
