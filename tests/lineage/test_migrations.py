"""Archives of earlier schemas: brought forward whole, once, and with nothing lost."""

import gzip
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from lineage import Archive, ArchiveBusyError, ArchiveError
from lineage.storage.lock import campaign_lock
from lineage.storage.schema import SCHEMA_VERSION
from population.analysis.verification import check
from population.campaign.loop import Campaign
from population.campaign.opening_context import reopen_context
from population.config import Budget
from tests.conftest import SHIPPED
from tests.forks import Forks
from tests.killing import Kill

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """An archive as version 0.1 left it: forty models, three generations, the shipped founders."""
    path = tmp_path / "earlier.duckdb"
    path.write_bytes(gzip.decompress((FIXTURES / "schema-2.duckdb.gz").read_bytes()))
    return path


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(path), read_only=True) as db:
        return db.execute(query).fetchall()


SAME = {
    "models": "SELECT id, kind, name, generation, operator, weights_sha256, died, cause "
    "FROM models ORDER BY id",
    "parents": "SELECT child, parent, share, role FROM parents ORDER BY ALL",
    "recipes": "SELECT model, method, path, genome FROM recipes ORDER BY ALL",
    "campaigns": "SELECT id, seed, config, started_at FROM campaigns",
    "events": "SELECT generation, kind, model, detail FROM events ORDER BY rowid",
    "items": "SELECT id, task, split, prompt, key FROM items ORDER BY ALL",
    **{
        table: f"SELECT * FROM {table} ORDER BY ALL"
        for table in ("scores", "panels", "searches", "operators", "basis", "blocks",
                      "report_scores")
    },
    "generations": "SELECT generation, epoch, evaluations, best, median, champion, wall_s, "
    "forward_s, cpu_s, founder_entropy, mean_kinship, item_coverage FROM generations ORDER BY ALL",
}  # fmt: skip
"""What is told in the same words before and after."""

ROUNDS = {
    "answers": "epoch, item, model, answer",
    "readings": "epoch, item, judge, answer, log_likelihood",
    "verdicts": "generation, item, model, support",
    "ratings": "generation, model, rating, deviation, prior",
    "matches": "generation, item, model_a, answer_a, support_a, model_b, answer_b, support_b",
}
"""What rounds of the arena tell now, by columns; the generation and the epoch are theirs."""


def told(path: Path, *, before: bool) -> dict[str, list[tuple[object, ...]]]:
    """Everything that an archive tells, before it is brought forward or after."""
    joined = "" if before else "JOIN rounds USING (round)"
    queries = SAME | {
        table: f"SELECT {columns} FROM {table} {joined} ORDER BY ALL"
        for table, columns in ROUNDS.items()
    }
    return {name: rows(path, query) for name, query in queries.items()}


def test_nothing_is_lost_and_nothing_is_different(earlier: Path) -> None:
    before = told(earlier, before=True)
    said: list[str] = []
    archive = Archive(earlier, said.append)
    assert said == [f"bringing {earlier} from schema 2 to {SCHEMA_VERSION}"]
    after = told(earlier, before=False)
    for name, known in before.items():
        assert after[name] == known, name
    assert archive.inconsistencies() == []
    Archive(earlier, said.append)
    assert len(said) == 1


def test_a_migrated_archive_has_the_tables_of_a_new_one(
    earlier: Path, small_archive: Archive
) -> None:
    Archive(earlier)
    for query in (
        "SELECT table_name, column_name, data_type, is_nullable, column_default "
        "FROM duckdb_columns() WHERE NOT internal ORDER BY ALL",
        "SELECT table_name, constraint_type, constraint_text FROM duckdb_constraints() "
        "ORDER BY ALL",
        "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal ORDER BY ALL",
    ):
        assert rows(earlier, query) == rows(small_archive.path, query)


@pytest.fixture
def schema_6(tmp_path: Path) -> Path:
    """An archive of schema 6: 37 models of four generations, all known by their SHA-256."""
    path = tmp_path / "schema-6.duckdb"
    path.write_bytes(gzip.decompress((FIXTURES / "schema-6.duckdb.gz").read_bytes()))
    return path


def test_models_of_schema_6_keep_their_sha256_and_have_no_fingerprints(
    schema_6: Path, small_archive: Archive
) -> None:
    with duckdb.connect(str(schema_6), read_only=True) as db:
        found = db.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    views = {"parents", "recipes", "chronicle", "matches", "judgements"}
    names = {name for (name,) in found} - {"meta"} | views
    queries = {name: f"SELECT * FROM {name} ORDER BY ALL" for name in names}
    before = {name: rows(schema_6, query) for name, query in queries.items()}
    archive = Archive(schema_6)
    queries["models"] = "SELECT * EXCLUDE (fingerprint) FROM models ORDER BY ALL"
    queries["items"] = "SELECT * EXCLUDE (details) FROM items ORDER BY ALL"
    queries["generations"] = (
        "SELECT * EXCLUDE (task_coverage, qd_score, founders_by_weight, tokens) "
        "FROM generations ORDER BY ALL"
    )
    for name, query in queries.items():
        assert rows(schema_6, query) == before[name], name
    assert {model.fingerprint for model in archive.models()} == {None}
    assert all(model.identity == model.weights_sha256 for model in archive.models())
    assert archive.inconsistencies() == []
    columns = "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() " \
              "WHERE NOT internal ORDER BY ALL"  # fmt: skip
    assert rows(schema_6, columns) == rows(small_archive.path, columns)


@pytest.mark.slow
def test_a_campaign_of_schema_6_goes_on_by_sha256(schema_6: Path) -> None:
    with duckdb.connect(str(schema_6)) as db:
        db.execute("UPDATE models SET path = replace(path, 'data/', ?)", [f"{SHIPPED}/"])
        db.execute("UPDATE campaigns SET config = replace(config, '\"data/', ?)", [f'"{SHIPPED}/'])
    archive = Archive(schema_6)
    last, known = archive.generations()[-1].generation, archive.models()
    Campaign(archive, reopen_context(archive), Budget(generations=last + 1)).run()
    assert archive.generations()[-1].generation == last + 1
    later = archive.models()
    assert [model.identity for model in later[: len(known)]] == [m.identity for m in known]
    assert len(later) > len(known)
    assert {model.fingerprint for model in later} == {None}
    found = check(archive)
    assert found.damages == ()
    assert found.replayed == found.offspring > 30


def test_modes_of_schema_5_are_data_and_its_matches_keep_their_outcomes(tmp_path: Path) -> None:
    path = tmp_path / "arena.duckdb"
    path.write_bytes(gzip.decompress((FIXTURES / "arena.duckdb.gz").read_bytes()))
    same = {
        "audits": "round, judge, mode, trust, favour, admitted",
        "readings": "round, item, judge, answer, log_likelihood",
        "judgements": "*",
        "rounds": "round, generation, epoch, predicted, tokens",
    }
    by_support = (
        "SELECT round, item, model_a, model_b, "
        "CASE WHEN verified_a IS NOT NULL AND verified_b IS NOT NULL "
        "THEN sign(verified_a - verified_b) "
        "WHEN support_a = 0.5 AND support_b = 0.5 THEN NULL "
        "ELSE sign(round(support_a - support_b, 9)) END FROM matches ORDER BY ALL"
    )
    queries = {table: f"SELECT {columns} FROM {table} ORDER BY ALL" for table, columns in
               same.items()}  # fmt: skip
    before = {table: rows(path, query) for table, query in queries.items()}
    outcomes = rows(path, by_support)
    Archive(path)
    assert {table: rows(path, query) for table, query in queries.items()} == before
    shown = "SELECT round, item, model_a, model_b, outcome FROM matches ORDER BY ALL"
    assert rows(path, shown) == outcomes
    assert rows(path, "SELECT DISTINCT mode FROM readings") == [("likelihood",)]
    assert rows(path, "SELECT DISTINCT mode, evidence FROM audits ORDER BY ALL") == [
        ("consensus", "answers"), ("likelihood", "readings"),
    ]  # fmt: skip
    assert rows(path, "SELECT DISTINCT verifier FROM rounds") == [(True,)]


def test_migrated_recipes_replay_to_their_hashes(earlier: Path) -> None:
    Archive(earlier)
    with duckdb.connect(str(earlier)) as db:
        db.execute("UPDATE models SET path = replace(path, '/colony/data', ?)", [str(SHIPPED)])
    found = check(Archive(earlier))
    assert found.damages == ()
    assert found.replayed == found.offspring > 30


def test_a_failed_migration_leaves_the_archive_as_it_was(earlier: Path) -> None:
    with duckdb.connect(str(earlier)) as db:  # what schema 3 refuses
        db.execute("DELETE FROM recipes WHERE model = 12")
    before = told(earlier, before=True)
    with pytest.raises(ArchiveError, match="cannot use archive") as caught:
        Archive(earlier)
    assert "\n" not in str(caught.value)
    assert told(earlier, before=True) == before


def test_a_running_campaign_of_an_earlier_version_is_not_disturbed(earlier: Path) -> None:
    code = """
import sys
from pathlib import Path
from lineage.storage.lock import campaign_lock
with campaign_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(earlier)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(ArchiveBusyError, match=f"PID {holder.pid}"):
            Archive(earlier)
        holder.kill()
    with campaign_lock(earlier):  # `colony run` has it already when it opens the archive
        assert Archive(earlier).newest_id() == 40


def test_killed_at_any_moment_it_is_of_one_schema_or_the_other(
    earlier: Path, forks: Forks, tmp_path: Path
) -> None:
    statement, said = "UPDATE meta SET value", tmp_path / "said"
    for kill, schema in (
        (Kill("inside", statement), "2"),
        (Kill("before commit", statement), "2"),
        (Kill("torn", statement), "2"),
        (Kill("after commit", statement), str(SCHEMA_VERSION)),
    ):
        forks.start("models", "--archive", earlier, said=said, kill=kill)
        assert forks.wait() == kill.code, said.read_text()
        assert rows(earlier, "SELECT value FROM meta WHERE key = 'schema_version'") == [(schema,)]
    assert Archive(earlier).inconsistencies() == []
