"""Merged archives: nobody is lost or doubled, and recipes make what they made."""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pytest

from lineage import Archive, ArchiveError
from lineage.archive.fork import fork
from lineage.archive.merge import CAUSE, merge_archives
from lineage.records import (
    Birth,
    Block,
    Death,
    Founder,
    Generation,
    GenerationRecord,
    Item,
    Parent,
    Scores,
    SearchRecord,
)
from population.analysis.verification import check
from population.config import load_config
from population.weights.genomes import Basis
from tests.command_helpers import colony, failure
from tests.conftest import campaign
from tests.population.campaign.test_campaign import content

BLOCKS = (Block("low", 10), Block("high", 20))
ITEM = Item("t/search/0", "t", "search", "1+1=", "2")


def sha(text: str) -> str:
    return text.encode().hex().ljust(64, "0")


def started(
    path: Path,
    founders: Sequence[str],
    *,
    base: str | None = "base",
    blocks: Sequence[Block] = BLOCKS,
    item: Item = ITEM,
    method: str = "linear",
    known_by: tuple[str, ...] = ("sha256",),
) -> Archive:
    """An archive with a child of each two neighbours among the founders; the first child died.

    `known_by` names the hashes that its births have.
    """
    names = [founder.split(":")[-1] for founder in founders]
    rows = [row for row, name in enumerate(names) if name != base]
    archive = Archive.create(
        path,
        seed=3,
        config={},
        founders=[Founder(name.split(":")[0], name, sha(name.split(":")[-1])) for name in founders],
        basis=rows,
        blocks=blocks,
    )
    births = []
    for number, parents in enumerate(pairwise(names)):
        genome = np.zeros((len(rows), len(blocks)))
        for row, founder in enumerate(rows):
            genome[row] = 0.5 * (names[founder] in parents) * np.arange(1, len(blocks) + 1)
        shares = tuple(Parent(names.index(name) + 1, 0.5, "first") for name in parents)
        identity = len(names) + 1 + number
        births.append(
            Birth(
                identity,
                "blend",
                shares,
                genome.ravel(),
                sha("+".join(parents)) if "sha256" in known_by else None,
                method,
                sha("+".join(parents)[:16])[:32] if "fingerprint" in known_by else None,
            )
        )
    ids = tuple(birth.id for birth in births)
    zeros = np.zeros(len(rows) * len(blocks))
    archive.commit(
        GenerationRecord(
            Generation(0, 0, 100, 0.5, 0.4, ids[-1], 1.0, 0.9, 1.8, 0.75, 0.3, 0.5),
            births=tuple(births),
            deaths=(Death(ids[0], "outscored"),),
            items=(item,),
            scores=(Scores(ids, (item.id,), np.ones((len(ids), 1)), np.ones((len(ids), 1))),),
            search=SearchRecord(ids[0], 1, 0, 0, 1.0, zeros, zeros, zeros, zeros),
        )
    )
    return archive


def made_of(archive: Archive, identity: int) -> dict[str, list[float]]:
    """The founders' weights in a model, block by block."""
    founders = archive.models(ids=archive.founder_paths())
    base = next((m.id - 1 for m in founders if m.id not in archive.basis()), None)
    basis = Basis(tuple(m.weights_sha256 for m in founders), base)
    genome = archive.genomes([identity])[0].reshape(len(archive.basis()), -1)
    weights = basis.weights(genome)
    return {
        name: row.tolist() for name, row in zip(basis.founders, weights, strict=True) if row.any()
    }


def test_everybody_is_there_once_and_is_made_as_before(tmp_path: Path) -> None:
    first = started(tmp_path / "a.duckdb", ["adder", "base", "sorter"])
    second = started(tmp_path / "b.duckdb", ["base", "other:mixer", "sorter", "speller"])
    made = merge_archives(first, second, tmp_path / "all.duckdb")
    whole = made.archive
    assert (made.models, made.founders, made.shared, made.goes_on) == (10, 5, 2, False)
    assert [m.name for m in whole.models(ids=whole.founder_paths())] == [
        "adder", "base", "other", "sorter", "speller",
    ]  # fmt: skip
    assert whole.inconsistencies() == []
    with whole.reading() as db:
        origins = db.execute(
            "SELECT model, campaign, id_there FROM origins ORDER BY ALL"
        ).fetchall()
        assert db.execute("SELECT count(*) FROM campaigns").fetchone() == (2,)
        assert db.execute("SELECT count(*) FROM scores").fetchone() == (5,)
    assert len(origins) == 10
    sources = {1: first, 2: second}
    for model, campaign_there, id_there in origins:
        there = sources[campaign_there]
        (old,), (new,) = there.models(ids=[id_there]), whole.models(ids=[model])
        assert new.weights_sha256 == old.weights_sha256
        assert [(p.share, p.role) for p in new.parents] == [(p.share, p.role) for p in old.parents]
        hashes = {m.id: m.weights_sha256 for m in whole.models()}
        there_hashes = {m.id: m.weights_sha256 for m in there.models()}
        assert [hashes[p.id] for p in new.parents] == [there_hashes[p.id] for p in old.parents]
        if new.kind == "offspring":
            assert made_of(whole, model) == made_of(there, id_there)
            assert new.living == (old.living and campaign_there == 1)
            assert new.living or new.cause == (old.cause or CAUSE)
    assert "has no search to go on from" in _error(lambda: whole.search(0))


def test_who_has_the_weights_of_another_is_written_down(tmp_path: Path) -> None:
    first = started(tmp_path / "a.duckdb", ["base", "adder", "sorter"])
    second = started(tmp_path / "b.duckdb", ["base", "adder", "sorter"])
    made = merge_archives(first, second, tmp_path / "all.duckdb")
    assert (made.models, made.shared, made.duplicates, made.goes_on) == (7, 3, 2, True)
    told = [event.detail for _, event in made.archive.events() if event.kind == "intervention"]
    assert told == [
        "#6 (#4 of b.duckdb) has the weights of #4",
        "#7 (#5 of b.duckdb) has the weights of #5",
    ]
    again = merge_archives(made.archive, second, tmp_path / "again.duckdb")
    assert (again.models, again.duplicates) == (9, 2)
    assert again.archive.inconsistencies() == []


@pytest.mark.parametrize(
    ("one", "other", "duplicates"),
    [
        (("fingerprint",), ("fingerprint",), 2),
        (("fingerprint",), ("fingerprint", "sha256"), 2),
        (("fingerprint", "sha256"), ("fingerprint",), 2),
        (("fingerprint", "sha256"), ("sha256",), 2),
        (("fingerprint",), ("sha256",), 0),  # nothing tells, and nobody says so
    ],
)
def test_equal_weights_are_recognised_by_what_both_have(
    tmp_path: Path, one: tuple[str, ...], other: tuple[str, ...], duplicates: int
) -> None:
    founders = ["base", "adder", "sorter"]
    first = started(tmp_path / "a.duckdb", founders, known_by=one)
    second = started(tmp_path / "b.duckdb", founders, known_by=other)
    made = merge_archives(first, second, tmp_path / "all.duckdb")
    assert made.duplicates == duplicates
    for model in made.archive.models(ids=[4, 5]):
        (before,) = first.models(ids=[model.id])
        assert (model.fingerprint, model.weights_sha256) == (
            before.fingerprint, before.weights_sha256,
        )  # fmt: skip


def test_a_sha256_outweighs_a_fingerprint(tmp_path: Path) -> None:
    founders, known_by = ["base", "adder", "sorter"], ("fingerprint", "sha256")
    first = started(tmp_path / "a.duckdb", founders, known_by=known_by)
    second = started(tmp_path / "b.duckdb", founders, known_by=known_by)
    with second.writing() as db:
        db.execute("UPDATE models SET weights_sha256 = ? WHERE id = 4", ["0" * 64])
    assert merge_archives(first, second, tmp_path / "all.duckdb").duplicates == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"founders": ["base", "adder"], "blocks": BLOCKS[:1]}, "different blocks"),
        ({"founders": ["root", "adder"], "base": "root"}, "different bases"),
        ({"founders": ["base", "adder"], "base": None}, "different bases"),
        ({"founders": ["sorter", "adder", "base"]}, "stand in another order"),
        ({"founders": ["base", "mixer"], "method": "route"}, "paths through layers"),
        ({"founders": ["base", "adder"], "item": Item("t/search/0", "t", "search", "1+1=", "3")},
         "task 't' has other items"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    first = started(tmp_path / "a.duckdb", ["base", "adder", "sorter"])
    second = started(tmp_path / "b.duckdb", **changes)  # type: ignore[arg-type]
    message = _error(lambda: merge_archives(first, second, tmp_path / "all.duckdb"))
    assert said in message
    assert "\n" not in message
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.duckdb", "b.duckdb"]


def test_founders_without_a_base_must_be_the_same(tmp_path: Path) -> None:
    first = started(tmp_path / "a.duckdb", ["adder", "sorter"], base=None)
    second = started(tmp_path / "b.duckdb", ["adder", "mixer"], base=None)
    assert "no base" in _error(lambda: merge_archives(first, second, tmp_path / "all.duckdb"))
    same = started(tmp_path / "c.duckdb", ["adder", "sorter"], base=None)
    assert merge_archives(first, same, tmp_path / "all.duckdb").shared == 2


def test_a_merged_archive_replays_bit_by_bit_and_goes_on(
    small_archive: Archive, small_config: Path, tmp_path: Path
) -> None:
    branch = fork(small_archive, 1, tmp_path / "branch.duckdb")
    whole = tmp_path / "all.duckdb"
    code, said, _ = colony("merge-archives", branch.path, small_archive.path, whole)
    assert code == 0
    assert "can go on" in said
    assert check(Archive(whole), sample=8).damages == ()
    assert "merged from several" in failure("fork", tmp_path / "x.duckdb", "-a", whole)
    assert "exists already" in failure("merge-archives", branch.path, branch.path, whole)
    before = content(Archive(whole))["models"]
    campaign(load_config(small_config), whole, 2)
    after = Archive(whole)
    assert after.generations()[-1].generation == 2
    assert len(content(after)["models"]) > len(before)
    code, said, _ = colony("find", "fossil", "-a", whole, "--json", "--limit", 3)
    assert len(json.loads(said)) == 3


def _error(attempt: Callable[[], object]) -> str:
    with pytest.raises(ArchiveError) as error:
        attempt()
    return str(error.value)


def test_what_somebody_else_has_changed_is_not_put_together(tmp_path: Path) -> None:
    one = started(tmp_path / "one.duckdb", ["base", "adder"])
    other = started(tmp_path / "other.duckdb", ["base", "adder"])
    with duckdb.connect(one.path) as db:
        db.execute("ALTER TABLE readings ADD extra INT")
    target = tmp_path / "both.duckdb"
    with pytest.raises(ArchiveError, match="cannot be put together: Binder Error"):
        merge_archives(Archive(one.path), other, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.duckdb", "other.duckdb"]


def test_an_archive_that_does_not_say_how_it_was_started(tmp_path: Path) -> None:
    one = started(tmp_path / "one.duckdb", ["base", "adder"])
    for change in ("SET config = '[]'", "SET config = '{'", f"SET config = '{'[' * 100_000}'"):
        with duckdb.connect(one.path) as db:
            db.execute(f"UPDATE campaigns {change}")
        with pytest.raises(ArchiveError, match="does not say how its campaign was started"):
            Archive(one.path).campaign()
