"""Tournaments: rounds on an archive at rest, which make ratings surer and cost nothing twice."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lineage import Archive
from lineage.queries import rounds
from lineage.storage.lock import campaign_lock
from population.campaign.context import silent
from population.campaign.offline_arena import hold_offline_round
from population.campaign.opening_context import reopen_context
from tests.command_helpers import colony, failure


@pytest.fixture
def rested(small_archive: Archive, tmp_path: Path) -> Path:
    path = tmp_path / "colony.duckdb"
    shutil.copy(small_archive.path, path)
    return path


def test_rounds_are_played_on_items_that_nobody_has_seen(rested: Path) -> None:
    archive = Archive(rested)
    known = {item for (item,) in _rows(archive, "SELECT id FROM items")}
    last, before = rounds.last_round(archive), archive.generations()
    code, said, _ = colony("arena", "--rounds", 2, "--items", 9, "-a", rested, "--json")
    assert code == 0
    played = json.loads(said)
    assert [one["round"] for one in played] == [last + 1, last + 2]
    for one in played:
        asked = _rows(archive, f"SELECT item, hidden FROM round_items WHERE round = {one['round']}")
        assert len(asked) == one["items"] == 9
        assert all(hidden for _, hidden in asked)
        assert not {item for item, _ in asked} & known
        known |= {item for item, _ in asked}
        assert one["tokens"] > 0
    assert archive.inconsistencies() == []
    *earlier, last_generation = archive.generations()
    assert earlier == before[:-1]
    spent = last_generation.evaluations - before[-1].evaluations
    assert spent == sum(
        count
        for table in ("answers", "readings")
        for (count,) in _rows(archive, f"SELECT count(*) FROM {table} WHERE round > {last}")
    )


def test_what_it_found_is_where_the_next_round_starts(rested: Path) -> None:
    archive = Archive(rested)
    last = archive.latest()
    assert last is not None
    before = archive.ratings(last.generation)
    played = hold_offline_round(archive, reopen_context(archive), silent, 24)
    assert played.models == len(before)
    after = archive.ratings(last.generation)
    assert after.keys() == before.keys()
    moved = {model: after[model].rating - before[model].rating for model in before}
    assert max(abs(step) for step in moved.values()) > 0.0
    for model, step in moved.items():
        assert after[model].prior == pytest.approx(before[model].prior + step)


def test_a_running_campaign_is_not_disturbed(rested: Path) -> None:
    code = """
import sys
from pathlib import Path
from lineage.storage.lock import campaign_lock
with campaign_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(rested)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert f"PID {holder.pid}" in failure("arena", "-a", rested)
        holder.communicate("done")
    with campaign_lock(rested):
        pass


def _rows(archive: Archive, query: str) -> list[tuple[str, ...]]:
    with archive.reading() as db:
        return db.execute(query).fetchall()
