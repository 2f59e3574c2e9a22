"""The archive: a generation is in it whole or not at all, and contradictions are refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from lineage import Archive, ArchiveError
from lineage.queries import rounds
from lineage.records import (
    Answer,
    Audit,
    Birth,
    Block,
    Canary,
    Death,
    Event,
    Founder,
    Generation,
    GenerationRecord,
    Item,
    Juror,
    OperatorRecord,
    PairComparison,
    Parent,
    Rating,
    Reading,
    Round,
    RoundItem,
    Scores,
    SearchRecord,
    Trust,
    Verdict,
)

SHA = "ab" * 32
SUMMARY = Generation(0, 0, 100, 0.5, 0.4, 3, 1.0, 0.9, 1.8, 0.75, 1 / 3, 0.5)
ITEMS = (
    Item("t/search/0", "t", "search", "1+1=", "2"),
    Item("t/search/1", "t", "search", "2+2=", "4"),
    Item("t/selection/0", "t", "selection", "3+3=", "6"),
)
GENOME = np.array([0.1, 0.2, 1 / 3])
BIRTH = Birth(
    3, "blend", (Parent(1, 0.5, "first"), Parent(2, 0.5, "mate")), GENOME, "ab" * 31 + "ef"
)
CHAPTER = GenerationRecord(
    SUMMARY,
    births=(BIRTH,),
    items=ITEMS,
    panel=("t/search/1", "t/search/0"),
    scores=(
        Scores(
            (1, 3),
            ("t/search/0", "t/search/1"),
            np.array([[0.0, 1.0], [1.0, 1.0]]),
            np.array([[0.1, 0.9], [1 / 3, 0.8]]),
        ),
        Scores((3,), ("t/selection/0",), np.array([[1.0]]), np.array([[0.25]])),
    ),
    round=Round(
        asked=(RoundItem("t/search/0", checkable=True, hidden=False),),
        answers=(Answer("t/search/0", 1, "3", 0.0), Answer("t/search/0", 3, "2")),
        canaries=(Canary("t/search/0", "empty", ""),),
        readings=(Reading("t/search/0", 1, "likelihood", "2", -0.5),),
        comparisons=(PairComparison("t/search/0", 3, "preference", "2", "3", 0.5, -1.5),),
        verdicts=(Verdict("t/search/0", 1, 0.2), Verdict("t/search/0", 3, 0.8)),
        trust=(Trust(1, "likelihood", "t", "strangers", 2.0, 1.0),),
        audits=(
            Audit(1, "likelihood", 0.5, 0.25, True, "readings"),
            Audit(3, "consensus", 0.0, None, False, "answers"),
        ),
        ratings=(Rating(1, -0.5, 0.1, 0.0), Rating(3, 0.5, 0.1, 0.0)),
        predicted=70,
        tokens=50,
    ),
    jury=(Juror(1, "t", 0.1 + 0.2),),
    events=(Event("champion", 3, "#3 is champion"), Event("alarm", None, "all are kin")),
    search=SearchRecord(
        origin=3,
        steps=7,
        level=1,
        stalled=2,
        stride=0.8**3,
        centre=GENOME,
        average=GENOME / 7,
        gradient=np.array([0.0, -1e-300, 5e-324]),
        square=np.array([1e300, 0.1 + 0.2, np.pi]),
    ),
    operators=(
        OperatorRecord("blend", 1 / 3, 0.1 + 0.2, 0.0, 1e6 / 7),
        OperatorRecord("soup", 2 / 3, 5.0, 2.91, 720.0),
    ),
)

ROUND = CHAPTER.round


@pytest.fixture
def make(tmp_path: Path) -> Callable[[], Archive]:
    def create() -> Archive:
        return Archive.create(
            tmp_path / "colony.duckdb",
            seed=7,
            config={"a": 1},
            founders=[Founder("base", "/b", SHA), Founder("adder", "/a", "cd" * 32)],
            basis=[1],
            blocks=[Block("x", 10), Block("y", 20), Block("z", 5)],
        )

    return create


def test_what_is_committed_comes_back_exactly(make: Callable[[], Archive]) -> None:
    archive = make()
    archive.commit(CHAPTER)
    assert archive.campaign() == (7, {"a": 1})
    assert archive.generations() == [SUMMARY]
    assert archive.basis() == [2]
    assert archive.blocks() == [Block("x", 10), Block("y", 20), Block("z", 5)]
    assert archive.founder_paths() == {1: "/b", 2: "/a"}
    np.testing.assert_array_equal(archive.genomes([3])[0], GENOME)
    assert [model.label for model in archive.models()] == ["base", "adder", "#3"]
    assert archive.models(ids=[3])[0].parents == BIRTH.parents
    assert [item.id for item in archive.panel(0)] == ["t/search/1", "t/search/0"]
    scores = archive.scores([3, 2], ["t/search/1", "t/search/0"])
    np.testing.assert_array_equal(scores.probability, [[0.8, 1 / 3], [np.nan, np.nan]])
    assert archive.task_means("selection") == {3: {"t": (1.0, 0.25)}}
    assert ROUND is not None
    said = rounds.known_answers(archive, ["t/search/0", "t/search/1"], [1, 2, 3])
    assert said == rounds.KnownAnswers(
        ROUND.answers, ROUND.canaries, ROUND.readings, ROUND.comparisons
    )
    assert rounds.trust_record(archive) == list(ROUND.trust)
    assert rounds.trust_record(archive, epoch=0) == []
    assert rounds.readers_by_generation(archive) == {0: [1]}
    assert rounds.excluded_judges(archive) == frozenset()
    assert rounds.jurors(archive, 0) == list(CHAPTER.jury)
    assert archive.ratings(0) == {1: ROUND.ratings[0], 3: ROUND.ratings[1]}
    assert archive.events() == [(0, event) for event in CHAPTER.events]
    assert archive.children_counts() == {1: 1, 2: 1}
    assert archive.inconsistencies() == []


def test_what_the_search_has_learned_comes_back_to_the_bit(make: Callable[[], Archive]) -> None:
    archive = make()
    archive.commit(CHAPTER)
    found, written = archive.search(0), CHAPTER.search
    assert written is not None
    assert (found.origin, found.steps, found.level, found.stalled) == (3, 7, 1, 2)
    assert found.stride == 0.8**3
    for part in ("centre", "average", "gradient", "square"):
        assert getattr(found, part).tobytes() == getattr(written, part).tobytes()
    assert archive.operators(0) == list(CHAPTER.operators)
    assert archive.operators(1) == []
    with pytest.raises(ArchiveError, match="generation 1 has no search to go on from"):
        archive.search(1)


def test_genomes_come_in_the_order_asked_for_and_the_missing_are_named(
    make: Callable[[], Archive],
) -> None:
    archive = make()
    route = replace(BIRTH, id=4, genome=2 * GENOME, method="route", weights_sha256="ef" * 32)
    archive.commit(replace(CHAPTER, births=(BIRTH, route)))
    np.testing.assert_array_equal(archive.genomes([4, 3]), [2 * GENOME, GENOME])
    for missing in (1, 99):  # a founder has a path instead
        with pytest.raises(ArchiveError, match=rf"no recipe for models \[{missing}\]"):
            archive.genomes([3, missing])


def test_matches_can_be_read_with_plain_sql(make: Callable[[], Archive]) -> None:
    archive = make()
    archive.commit(CHAPTER)
    with duckdb.connect(str(archive.path), read_only=True) as db:
        rows = db.execute("SELECT model_a, answer_a, support_a, model_b FROM matches").fetchall()
    assert rows == [(1, "3", 0.2, 3)]


def test_the_dead_are_fossils_and_not_gone(make: Callable[[], Archive]) -> None:
    archive = make()
    archive.commit(CHAPTER)
    archive.commit(
        GenerationRecord(replace(SUMMARY, generation=1), deaths=(Death(3, "outscored"),))
    )
    assert [model.id for model in archive.models(living=True)] == [1, 2]
    (fossil,) = archive.models(living=False)
    assert (fossil.died, fossil.cause, fossil.living) == (1, "outscored", False)


def test_a_generation_out_of_turn_is_refused(make: Callable[[], Archive]) -> None:
    archive = make()
    archive.commit(CHAPTER)
    with pytest.raises(ArchiveError, match="expected generation 1 next, got 0"):
        archive.commit(CHAPTER)
    assert archive.generations() == [SUMMARY]


@pytest.mark.parametrize(
    "broken",
    [
        replace(BIRTH, parents=(Parent(3, 1.0, "first"),)),
        replace(BIRTH, parents=(Parent(4, 1.0, "first"),)),
        replace(BIRTH, parents=(Parent(1, 0.0, "first"),)),
        replace(BIRTH, parents=(Parent(1, 1.0, "uncle"),)),
        replace(BIRTH, id=2),
        replace(BIRTH, weights_sha256="short"),
        replace(BIRTH, id=4, weights_sha256=None),
        replace(BIRTH, id=4, weights_sha256=None, fingerprint="short"),
        replace(BIRTH, id=4, method="source"),
        replace(BIRTH, id=4, method="magic"),
    ],
    ids=[
        "own parent",
        "younger parent",
        "no share",
        "no such role",
        "id taken",
        "no SHA-256",
        "nothing that identifies it",
        "no fingerprint",
        "a founder's method",
        "no such method",
    ],
)
def test_impossible_births_are_refused_whole(make: Callable[[], Archive], broken: Birth) -> None:
    archive = make()
    with pytest.raises(ArchiveError):
        archive.commit(replace(CHAPTER, births=(BIRTH, broken)))
    assert [model.id for model in archive.models()] == [1, 2]
    assert archive.generations() == []


def test_models_are_found_as_people_name_them(make: Callable[[], Archive]) -> None:
    archive = make()
    archive.commit(CHAPTER)
    for reference in ("3", "#3", "champion"):
        assert archive.find(reference).id == 3
    assert archive.find("adder").id == archive.find("cdcd").id == 2
    with pytest.raises(ArchiveError, match="fits 2 models"):
        archive.find("abab")
    with pytest.raises(ArchiveError, match="colony models"):
        archive.find("nobody")


def test_a_birth_needs_no_more_than_a_fingerprint_and_gets_its_sha256_later(
    make: Callable[[], Archive],
) -> None:
    archive = make()
    known = replace(BIRTH, weights_sha256=None, fingerprint="ef" * 16)
    twin = replace(known, id=4)
    other = replace(known, id=5, fingerprint="ee" * 16)
    archive.commit(replace(CHAPTER, births=(known, twin, other)))
    born = archive.models(ids=[3, 4, 5])
    assert [model.weights_sha256 for model in born] == [None] * 3
    assert [model.identity for model in born] == ["ef" * 16, "ef" * 16, "ee" * 16]
    assert [model.identity for model in archive.models(ids=[1])] == [SHA]
    assert archive.find("eeee").id == 5
    assert archive.keyframes() == []
    archive.save_sha256(3, "12" * 32)
    archive.save_sha256(3, "34" * 32)  # what is known stays
    assert archive.find("1212").weights_sha256 == "12" * 32
    assert archive.find("1212").identity == "ef" * 16
    assert archive.keyframes() == ["12" * 32]
    assert [model.id for model in archive.with_weights("12" * 32)] == [3, 4]


def test_a_champion_is_crowned_with_its_sha256(make: Callable[[], Archive]) -> None:
    archive = make()
    born = replace(BIRTH, weights_sha256=None, fingerprint="ef" * 16)
    archive.commit(replace(CHAPTER, births=(born,), champion_sha256="12" * 32))
    assert archive.find("champion").weights_sha256 == "12" * 32


def test_a_founder_has_a_sha256_whatever_else_it_has(make: Callable[[], Archive]) -> None:
    archive = make()
    assert archive.founder_hashes() == {1: SHA, 2: "cd" * 32}
    with duckdb.connect(str(archive.path)) as db, pytest.raises(duckdb.ConstraintException):
        db.execute("UPDATE models SET weights_sha256 = NULL, fingerprint = ? WHERE id = 1",
                   ["ef" * 16])  # fmt: skip


def test_report_scores_are_kept_by_weights(make: Callable[[], Archive]) -> None:
    archive = make()
    ids = [item.id for item in ITEMS]
    assert archive.report_scores(SHA, ids) is None
    row = Scores((0,), tuple(ids), np.array([[1.0, 0.0, 1.0]]), np.array([[0.5, 0.1, 0.9]]))
    archive.save_report_scores(SHA, ITEMS, row)
    kept = archive.report_scores(SHA, ids[::-1])
    assert kept is not None
    np.testing.assert_array_equal(kept.probability, [[0.9, 0.1, 0.5]])
    assert archive.report_scores(SHA, [*ids, "another"]) is None


def test_answers_belong_to_weights(make: Callable[[], Archive]) -> None:
    """A twin, born with the same weights, has answered and read what its twin did."""
    archive = make()
    archive.commit(CHAPTER)
    twin = replace(BIRTH, id=4)
    archive.commit(
        GenerationRecord(replace(SUMMARY, generation=1), births=(twin,), search=CHAPTER.search)
    )
    said = rounds.known_answers(archive, ["t/search/0"], [4])
    assert [(answer.model, answer.answer) for answer in said.answers] == [(4, "2")]
    assert [(told.judge, told.better) for told in said.comparisons] == [(4, "2")]


def test_a_tournament_moves_ratings_and_where_the_next_round_starts(
    make: Callable[[], Archive],
) -> None:
    """The panel's own matches are counted again in the next round, the tournament's are not."""
    archive = make()
    with pytest.raises(ArchiveError, match="no generation is complete yet"):
        archive.commit_round(Round())
    archive.commit(CHAPTER)
    moved = Round(ratings=(Rating(3, 1.25, 0.05, 0.5),))
    assert archive.commit_round(moved) == 2
    assert archive.ratings(0)[3] == Rating(3, 1.25, 0.05, 0.75)
    assert archive.ratings(0)[1] == Rating(1, -0.5, 0.1, 0.0)


def test_the_last_round_of_a_panel_tells_everything_of_its_items(
    make: Callable[[], Archive],
) -> None:
    archive = make()
    archive.commit(CHAPTER)
    for generation, epoch, hits in ((1, 0, 5.0), (2, 1, 7.0)):
        known = Round(trust=(Trust(1, "likelihood", "t", "strangers", hits, 1.0),))
        summary = replace(SUMMARY, generation=generation, epoch=epoch)
        archive.commit(GenerationRecord(summary, round=known, search=CHAPTER.search))
    archive.commit_round(Round(trust=(Trust(1, "likelihood", "t", "strangers", 100.0, 0.0),)))
    assert rounds.trust_record(archive) == [Trust(1, "likelihood", "t", "strangers", 112.0, 2.0)]
    assert rounds.trust_record(archive, epoch=1) == [
        Trust(1, "likelihood", "t", "strangers", 105.0, 1.0)
    ]
