"""The leaderboard and the matches behind it, against the tables that they are made of."""

from collections import Counter, defaultdict
from typing import Any

import pytest

from arena.reliability.partiality import closer_kin
from lineage import Archive, ArchiveError
from lineage.ancestry.graph import graph, kinship
from lineage.ancestry.sparse import SparseAncestry
from lineage.queries.judges import reliabilities
from lineage.queries.leaderboard import leaderboard
from lineage.queries.match_detail import match_detail
from lineage.queries.matches import Match, MatchName, matches
from lineage.queries.round_summary import canary_results, round_summary
from lineage.queries.tasks import check_task, tasks_of
from tests.screen_helpers import finished


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return Archive(finished(tmp_path_factory.mktemp("leaderboard"), "arena"))


def rows(archive: Archive, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with archive.reading() as db:
        return db.execute(query, list(parameters)).fetchall()


def all_matches(archive: Archive, number: int) -> list[Match]:
    return matches(archive, round=number, limit=10**6)


def last_round(archive: Archive) -> int:
    found = round_summary(archive)
    assert found is not None
    return found.round


def test_a_match_is_every_two_that_said_different_things(archive: Archive) -> None:
    number = last_round(archive)
    said: dict[str, dict[int, str]] = defaultdict(dict)
    for item, model, answer in rows(
        archive,
        "SELECT a.item, a.model, answer FROM answers a "
        "JOIN verdicts v ON v.item = a.item AND v.model = a.model WHERE v.round = ?",
        number,
    ):
        said[item][model] = answer
    expected = {
        f"{a}-{b}@{item}"
        for item, answers in said.items()
        for a in answers
        for b in answers
        if a < b and answers[a] != answers[b]
    }
    found = all_matches(archive, number)
    assert {str(match.name) for match in found} == expected
    assert len(found) == len(expected) > 0


def test_keys_decide_where_they_were_looked_at_and_the_jury_elsewhere(
    archive: Archive,
) -> None:
    number = last_round(archive)
    checkable = dict(
        rows(archive, "SELECT item, checkable FROM round_items WHERE round = ?", number)
    )
    keys = dict(rows(archive, "SELECT id, key FROM items"))
    kinds = Counter[bool]()
    for match in all_matches(archive, number):
        assert match.by_key == checkable[match.item]
        if match.by_key:
            right = [side.answer == keys[match.item] for side in (match.a, match.b)]
            assert match.outcome == right[0] - right[1]
        elif match.a.support == match.b.support == 0.5:
            assert match.outcome is None
        else:
            gap = match.a.support - match.b.support
            assert match.outcome == (gap > 1e-9) - (gap < -1e-9)
        assert (match.winner is None) == (not match.outcome)
        kinds[match.by_key] += 1
    assert kinds[True] > 0
    assert kinds[False] > 0


def test_the_leaderboard_counts_the_matches_of_everybodys_last_round(
    archive: Archive,
) -> None:
    board = leaderboard(archive, everyone=True)
    ratings = {
        model: (number, rating, deviation)
        for number, model, rating, deviation in rows(
            archive, "SELECT round, model, rating, deviation FROM ratings ORDER BY round"
        )
    }
    assert {standing.model for standing in board} == set(ratings)
    counted: dict[int, dict[int, Counter[int]]] = {}
    for number in sorted({last for last, _, _ in ratings.values()})[::8]:
        counted[number] = defaultdict(Counter)
        for match in all_matches(archive, number):
            if match.outcome is not None:
                counted[number][match.a.model][match.outcome] += 1
                counted[number][match.b.model][-match.outcome] += 1
    for standing in board:
        last, rating, deviation = ratings[standing.model]
        assert standing.round == last
        if last in counted:
            told = counted[last][standing.model]
            assert (standing.wins, standing.losses, standing.ties) == (told[1], told[-1], told[0])
        assert standing.rating == pytest.approx(1000 + 173.7178 * rating, abs=1e-3)
        assert standing.interval == pytest.approx(1.96 * 173.7178 * deviation, abs=1e-3)
    assert [standing.rating for standing in board] == sorted(
        (standing.rating for standing in board), reverse=True
    )
    champion = archive.latest()
    assert champion is not None
    assert [s.model for s in board if s.champion] == [champion.champion]


def test_the_living_alone_unless_everybody_is_asked_for(archive: Archive) -> None:
    living = {model.id for model in archive.models(living=True)}
    everybody = leaderboard(archive, everyone=True)
    assert {s.model for s in leaderboard(archive)} == living
    assert {s.model for s in everybody if s.living} == living
    assert any(not s.living for s in everybody)


def test_tasks_add_up_to_the_whole(archive: Archive) -> None:
    whole = {standing.model: standing for standing in leaderboard(archive)}
    won, right = Counter[int](), Counter[tuple[int, str]]()
    for task in tasks_of(archive):
        board = leaderboard(archive, task=task)
        assert [s.support for s in board] == sorted((s.support for s in board), reverse=True)
        for standing in board:
            won[standing.model] += standing.wins
            assert standing.rating == whole[standing.model].rating
            for mode, judge in standing.reliability.items():
                right[standing.model, mode] += judge.hits
                assert judge.trust == whole[standing.model].reliability[mode].trust
    for standing in whole.values():
        assert won[standing.model] == standing.wins
        for mode, judge in standing.reliability.items():
            assert right[standing.model, mode] == pytest.approx(judge.hits)


def test_the_detail_of_a_match_has_every_judge_and_what_it_is_worth(archive: Archive) -> None:
    number = last_round(archive)
    known = {task: reliabilities(archive, task) for task in tasks_of(archive)}
    seen = Counter[str]()
    for match in all_matches(archive, number)[::60]:
        found = match_detail(archive, match.name)
        assert found.match == match
        assert (found.key is not None) == match.by_key
        expected = rows(
            archive,
            "SELECT judge, mode, prefers, trust, admitted FROM judgements "
            "WHERE round = ? AND item = ? AND model_a = ? AND model_b = ?",
            number, match.item, match.a.model, match.b.model,
        )  # fmt: skip
        told = [(j.judge, j.mode, j.prefers, j.trust, j.admitted) for j in found.judgements]
        assert sorted(told, key=str) == sorted(expected, key=str)
        for judgement in found.judgements:
            assert judgement.judge not in (match.a.model, match.b.model)
            of_task = known[match.task][judgement.judge][judgement.mode]
            assert (judgement.hits, judgement.misses) == (of_task.hits, of_task.misses)
            seen[judgement.mode] += 1
    assert seen["consensus"] > 0
    assert seen["likelihood"] > 0


def test_judges_are_closer_to_the_contestant_that_they_are_more_related_to(
    archive: Archive,
) -> None:
    models = archive.models()
    everybody = graph(models)
    ids = [model.id for model in models]
    a, b = ids[-1], ids[-2]
    judges = [i for i in ids if i not in (a, b)]
    closer = closer_kin(SparseAncestry(archive.parent_edges()), judges, a, b)
    for judge in judges:
        gap = kinship(everybody, judge, a) - kinship(everybody, judge, b)
        expected = None if abs(gap) <= 0.05 else a if gap > 0 else b
        assert closer[judge] == expected
    assert set(closer.values()) & {a, b}


def test_rounds_say_what_they_were_played_on(archive: Archive) -> None:
    number = last_round(archive)
    found = round_summary(archive, number)
    assert found == round_summary(archive)
    assert found is not None
    asked = rows(archive, "SELECT checkable, hidden FROM round_items WHERE round = ?", number)
    assert (found.items, found.checkable, found.hidden) == (
        len(asked),
        sum(checkable for checkable, _ in asked),
        sum(hidden for _, hidden in asked),
    )
    assert found.last == number
    assert round_summary(archive, number + 1) is None


def test_canaries_fool_who_finds_them_likelier_than_the_key(archive: Archive) -> None:
    number = last_round(archive)
    heard = {
        (item, judge, answer): likelihood
        for item, judge, answer, likelihood in rows(
            archive, "SELECT item, judge, answer, log_likelihood FROM readings"
        )
    }
    keys = dict(rows(archive, "SELECT id, key FROM items"))
    found = canary_results(archive, number)
    assert found
    for canary in found:
        readers = {j for item, j, answer in heard if (item, answer) == (canary.item, canary.answer)}
        assert set(canary.fooled) <= set(canary.readers) <= readers
        for judge in canary.readers:
            key = heard[canary.item, judge, keys[canary.item]]
            fooled = heard[canary.item, judge, canary.answer] > key
            assert (judge in canary.fooled) == fooled


def test_names_are_read_as_people_write_them() -> None:
    name = MatchName(12, 212, "capital/search/7/0")
    for text in ("12-212@capital/search/7/0", " 212-12@capital/search/7/0", "#12-#212@"
                 "capital/search/7/0"):  # fmt: skip
        assert MatchName.read(text) == name
    assert MatchName.read(str(name)) == name
    for text in ("", "12", "12-12@x", "12-212", "12-212@", "a-b@x"):
        with pytest.raises(ArchiveError, match="A-B@ITEM"):
            MatchName.read(text)


def test_who_never_met_or_agreed_is_told_so(archive: Archive) -> None:
    with pytest.raises(ArchiveError, match="never met"):
        match_detail(archive, MatchName(1, 2, "nothing"))
    same = rows(
        archive,
        "SELECT a.model, b.model, a.item FROM answers a JOIN answers b ON a.item = b.item "
        "AND a.model < b.model AND a.answer = b.answer "
        "JOIN verdicts v ON v.model = a.model AND v.item = a.item "
        "JOIN verdicts w ON w.model = b.model AND w.item = a.item AND w.round = v.round LIMIT 1",
    )
    with pytest.raises(ArchiveError, match="same answer"):
        match_detail(archive, MatchName(*same[0]))
    with pytest.raises(ArchiveError, match="no task is named 'nothing'"):
        check_task(archive, "nothing")
