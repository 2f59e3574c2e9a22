"""Judges of one's own: passed in or installed, in real campaigns, and seen wherever judges are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest

from arena.judges import Judge, Question, Replies, Slate, Votes
from arena.judges.likelihood import by_reading
from arena.judges.votes import SILENT, preferences
from lineage import Archive
from lineage.queries.judges import reliabilities
from lineage.queries.match_detail import match_detail
from lineage.queries.matches import matches
from lineage.queries.rounds import excluded_judges, readers_by_generation
from lineage.records import Evidence, Item
from population import Campaign, Config, Extensions, load_config
from population.errors import ConfigError
from tests.conftest import FOUNDERS, small_settings

Configured = Callable[..., Config]


@pytest.fixture(scope="module")
def config(tasks_folder: Path) -> Configured:
    """Makes the configuration of a small campaign with some modes of judging."""

    def made(*modes: str) -> Config:
        return load_config(small_settings(tasks_folder, arena={"modes": modes, "judges": 3}))

    return made


@dataclass(frozen=True)
class Nearness:
    """Every voter prefers the answers that are spelled most like its own. Asks models nothing."""

    evidence: Evidence = "votes"

    def votes(self, slate: Slate, replies: Replies) -> Votes:
        signs = []
        for choice, answers in zip(slate.choice.T, slate.answers, strict=True):
            near = np.full((len(slate.voters), len(answers)), np.nan)
            for row, voter in enumerate(slate.voters):
                own = choice[slate.models.index(voter)]
                if own != SILENT:
                    near[row] = [
                        SequenceMatcher(a=answers[own], b=answer).ratio() for answer in answers
                    ]
            signs.append(preferences(near))
        return Votes(slate.voters, tuple(signs))


@dataclass(frozen=True)
class Yes:
    """The jury is asked whether an answer is right."""

    evidence: Evidence = "readings"

    def question(self, item: Item, answer: str) -> Question:
        return replace(item, prompt=f"{item.prompt}{answer}. right", key=None), " yes"

    def votes(self, slate: Slate, replies: Replies) -> Votes:
        return by_reading(slate, replies)


OWN = {"near": Nearness(), "yes": Yes()}


def run(path: Path, asked: Config, judges: dict[str, Judge], last: int = 0) -> Archive:
    """A campaign until a generation is complete."""
    campaign = Campaign.start(path, asked, extensions=Extensions(judges=judges))
    for population in campaign:
        if population.generation == last:
            break
    return campaign.archive


@pytest.fixture(scope="module")
def archive(config: Configured, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    asked = config("consensus", "likelihood", "plugin:near", "plugin:yes")
    return run(tmp_path_factory.mktemp("own") / "colony.duckdb", asked, dict(OWN), 1)


def modes_of(archive: Archive, table: str) -> set[str]:
    with archive.reading() as db:
        return {mode for (mode,) in db.execute(f"SELECT DISTINCT mode FROM {table}").fetchall()}


def test_they_vote_are_trusted_and_audited_like_the_others(archive: Archive) -> None:
    own = {"plugin:near", "plugin:yes"}
    everybody = {"consensus", "likelihood", *own}
    assert modes_of(archive, "audits") == modes_of(archive, "trust") == everybody
    assert modes_of(archive, "readings") == {"likelihood", "plugin:yes"}
    assert modes_of(archive, "votes") == {"plugin:near"}
    assert {mode for judge in reliabilities(archive).values() for mode in judge} == everybody
    assert archive.inconsistencies() == []


def test_their_single_votes_are_seen_in_a_match(archive: Archive) -> None:
    seen: set[str] = set()
    for match in matches(archive, limit=15):
        for judgement in match_detail(archive, match.name).judgements:
            seen.add(judgement.mode)
            if judgement.mode == "plugin:near":
                own = answer_of(archive, match.item, judgement.judge)
                like = [
                    SequenceMatcher(a=own, b=side.answer).ratio() for side in (match.a, match.b)
                ]
                sides = (match.a.model, match.b.model)
                assert judgement.prefers == sides[int(np.argmax(like))]
                assert like[0] != like[1]  # of what it cannot tell apart nothing is kept
    assert seen == {"consensus", "likelihood", "plugin:near", "plugin:yes"}


def answer_of(archive: Archive, item: str, model: int) -> str:
    with archive.reading() as db:
        ((answer,),) = db.execute(
            "SELECT answer FROM answers WHERE item = ? AND model = ?", [item, model]
        ).fetchall()
    return str(answer)


def test_who_reads_in_any_mode_has_a_seat(config: Configured, tmp_path: Path) -> None:
    only = run(tmp_path / "only.duckdb", config("plugin:yes"), {"yes": Yes()}, 1)
    assert modes_of(only, "audits") == {"plugin:yes"}
    assert set(map(len, readers_by_generation(only).values())) == {3}
    assert excluded_judges(only) == frozenset()


def test_one_that_is_installed_is_found_by_its_name(
    config: Configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The class is named, as with tasks; the same votes follow as where it was passed in."""
    info = tmp_path / "near-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: near\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[colony.judges]\nnear = {__name__}:Nearness\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = run(tmp_path / "a.duckdb", config("plugin:near"), {})
    given = run(tmp_path / "b.duckdb", config("plugin:near"), {"near": Nearness()})
    query = "SELECT * FROM votes ORDER BY ALL"
    with found.reading() as one, given.reading() as other:
        assert one.execute(query).fetchall() == other.execute(query).fetchall() != []


@dataclass(frozen=True)
class Confused(Nearness):
    evidence: Evidence = "readings"


@pytest.mark.parametrize(
    ("judges", "said"),
    [
        ({}, "plugin:odd is neither passed in nor an entry point in colony.judges"),
        ({"odd": 3}, "plugin:odd: expected a Judge, got int"),
        ({"odd": Confused()}, "expected a ReadingJudge if and only if its evidence is readings"),
    ],
)
def test_what_is_no_judge_is_refused_before_anybody_is_born(
    judges: dict[str, Judge], said: str, config: Configured, tmp_path: Path
) -> None:
    path = tmp_path / "colony.duckdb"
    with pytest.raises(ConfigError, match=said):
        run(path, config("consensus", "plugin:odd"), judges)
    assert not path.exists() or Archive(path).newest_id() == len(FOUNDERS)


@pytest.mark.parametrize(
    ("modes", "said"),
    [
        (["consensu"], "unknown name 'consensu'; did you mean 'consensus'"),
        (["consensus", "consensus"], "modes: each once"),
    ],
)
def test_modes_that_cannot_be_are_refused(
    modes: Sequence[str], said: str, config: Configured
) -> None:
    with pytest.raises(ConfigError, match=said):
        config(*modes)
