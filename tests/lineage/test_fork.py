"""Forks: nothing later is left, nothing earlier is lost, and what comes next is the same again."""

from pathlib import Path

import pytest

from lineage import Archive
from lineage.archive.fork import fork
from lineage.storage.schema import ROUND_TABLES
from population.config import load_config
from tests.command_helpers import colony, failure
from tests.conftest import campaign
from tests.population.campaign.test_campaign import assert_same


@pytest.mark.slow
def test_a_fork_goes_on_as_the_original_did(
    small_archive: Archive, small_config: Path, tmp_path: Path
) -> None:
    branch = fork(small_archive, 1, tmp_path / "branch.duckdb")
    assert [past.generation for past in branch.generations()] == [0, 1]
    assert {model.generation for model in branch.models()} == {0, 1}
    assert all(model.died is None or model.died <= 1 for model in branch.models())
    assert branch.inconsistencies() == []
    ids = [model.id for model in branch.models()]
    assert ids == list(range(1, len(ids) + 1))
    campaign(load_config(small_config), branch.path, 3)
    assert_same(branch, small_archive)


def test_a_fork_at_the_last_generation_is_a_copy(small_archive: Archive, tmp_path: Path) -> None:
    assert_same(fork(small_archive, 3, tmp_path / "copy.duckdb"), small_archive)


def test_the_command(small_archive: Archive, tmp_path: Path) -> None:
    path, branch = small_archive.path, tmp_path / "branch.duckdb"
    code, said, _ = colony("fork", branch, "--at", 2, "-a", path)
    assert code == 0
    assert "generation 2" in said
    with Archive(branch).reading() as db:
        whence = db.execute("SELECT archive, generation FROM campaigns").fetchall()
    assert whence == [(str(path), 2)]
    assert "exists already" in failure("fork", branch, "--at", 2, "-a", path)
    assert "generations 0 to 3" in failure("fork", tmp_path / "x.duckdb", "--at", 9, "-a", path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["branch.duckdb"]


@pytest.mark.parametrize("generation", [0, 2])
def test_what_is_left_is_what_was_there_then(
    small_archive: Archive, tmp_path: Path, generation: int
) -> None:
    branch = fork(small_archive, generation, tmp_path / "branch.duckdb")
    assert branch.generations() == small_archive.generations()[: generation + 1]
    assert branch.ratings(generation) == small_archive.ratings(generation)
    assert branch.children_counts() == {
        parent: count
        for parent in range(1, branch.newest_id() + 1)
        if (count := sum(
            parent in {p.id for p in m.parents}
            for m in small_archive.models() if m.generation <= generation
        ))
    }  # fmt: skip
    for table in ROUND_TABLES:
        query = (
            f"SELECT * FROM {table} JOIN rounds USING (round) WHERE generation <= ? ORDER BY ALL"
        )
        with branch.reading() as db, small_archive.reading() as whole:
            left = db.execute(query, [generation]).fetchall()
            assert left == whole.execute(query, [generation]).fetchall()
            assert len(left) == db.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
