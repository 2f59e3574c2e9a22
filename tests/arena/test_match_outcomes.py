"""What `colony matches` shows of a round is what its ratings were fitted on."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arena.judges.preference import PAIRS
from arena.matches import round as rounds
from arena.matches.round_inputs import Rules
from arena.ratings import Matches
from lineage import Archive
from lineage.archive.fork import fork
from lineage.archive.merge import merge_archives
from lineage.queries.leaderboard import leaderboard
from lineage.queries.matches import matches
from lineage.records import Block, Founder, Generation, GenerationRecord, Round
from tests.arena_players import Comparing, panel_of, played, skills

PLAYERS, ITEMS = 12, 24

SUMMARY = Generation(0, 0, 100, 0.5, 0.4, 1, 1.0, 0.9, 1.8, 1.0, 0.0, 0.5)

Fitted = dict[tuple[str, int, int], int]
"""Outcomes by item and contestants, the smaller id first."""


def kin(size: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Every three are a family, so that whose word counts depends on who meets whom."""
    return np.eye(size) * 0.5 + 0.5 * np.kron(np.eye(size // 3), np.ones((3, 3)))


def play(rules: Rules, monkeypatch: pytest.MonkeyPatch) -> tuple[Round, Fitted]:
    """A round, and the matches that its last fit was given, in the fit's own terms."""
    given: list[Matches] = []
    fit = rounds.fit

    def spied(results: Matches, *arguments: Any, **named: Any) -> Any:
        given.append(results)
        return fit(results, *arguments, **named)

    monkeypatch.setattr(rounds, "fit", spied)
    panel = panel_of(3, ITEMS)
    players = [Comparing(name, skill) for name, skill in enumerate(skills(PLAYERS))]
    result = played(players, panel, rules, kin(PLAYERS))
    last = given[-1]
    return result, {
        (panel.items[item].id, int(a) + 1, int(b) + 1): int(np.sign(round(score - 0.5, 9)))
        for a, b, item, score in zip(last.a, last.b, last.item, last.score, strict=True)
    }


def kept(result: Round, path: Path) -> Archive:
    """An archive of the contestants, all founders, with the round."""
    founders = [Founder(f"f{n}", f"/f{n}", f"{n:064x}") for n in range(PLAYERS)]
    archive = Archive.create(
        path, seed=1, config={}, founders=founders, basis=[1], blocks=[Block("x", 1)]
    )
    archive.commit(GenerationRecord(SUMMARY, items=tuple(panel_of(3, ITEMS).items), round=result))
    return archive


def shown(archive: Archive) -> Fitted:
    """The outcomes of all matches that somebody decided, as `colony matches` shows them."""
    return {
        (match.item, match.a.model, match.b.model): match.outcome
        for match in matches(archive, limit=10**6)
        if match.outcome is not None
    }


@pytest.mark.parametrize(
    "rules",
    [Rules(), Rules(verifier=False), Rules(judges=5, voters=4, pairs=PAIRS)],
    ids=["keys", "judges alone", "few voters, pairs"],
)
def test_what_is_shown_is_what_was_rated(
    rules: Rules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, fitted = play(rules, monkeypatch)
    archive = kept(result, tmp_path / "a.duckdb")
    assert shown(archive) == fitted
    assert {match.by_key for match in matches(archive, limit=10**6)} == {rules.verifier, False}
    won: Counter[int] = Counter()
    for (_, a, b), outcome in fitted.items():
        won[a] += outcome > 0
        won[b] += outcome < 0
    assert {row.model: row.wins for row in leaderboard(archive)} == {
        model: won[model] for model in range(1, PLAYERS + 1)
    }


def test_who_has_more_support_is_not_always_who_has_won(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is why outcomes are kept; only those that support does not tell."""
    result, fitted = play(Rules(), monkeypatch)
    support = {(v.item, v.model): v.support for v in result.verdicts}
    checkable = {asked.item for asked in result.asked if asked.checkable}
    unlike = {
        (item, a, b)
        for (item, a, b), outcome in fitted.items()
        if item not in checkable
        and outcome != np.sign(round(support[item, a] - support[item, b], 9))
    }
    assert 0 < len(unlike) < len(fitted) / 10
    with kept(result, tmp_path / "a.duckdb").reading() as db:
        rows = db.execute("SELECT item, model_a, model_b FROM outcomes").fetchall()
    assert set(rows) == unlike


def test_a_fork_and_a_merged_archive_have_the_same_outcomes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, fitted = play(Rules(verifier=False), monkeypatch)
    archive = kept(result, tmp_path / "a.duckdb")
    assert shown(fork(archive, 0, tmp_path / "fork.duckdb")) == fitted
    merge_archives(archive, archive, tmp_path / "both.duckdb")
    assert shown(Archive(tmp_path / "both.duckdb")) == fitted
