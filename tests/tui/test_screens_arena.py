"""The pages Arena and Sources on a real archive: golden frames, every key, live."""

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from textual.pilot import Pilot

from lineage import Archive
from lineage.points import points, spread
from lineage.queries.leaderboard import leaderboard
from lineage.queries.matches import MatchName, matches
from lineage.queries.round_summary import round_summary
from lineage.queries.tasks import tasks_of
from lineage.records import MatchOutcome, Rating, Round, RoundItem, Verdict
from population.analysis.source_attribution import founder_sources, member_sources
from population.weights.paths import weights_file
from tests.screen_helpers import (
    PRESSES,
    SIZES,
    check_golden,
    finished,
    frame,
    monkey,
    pressed,
    quiet,
    run,
    settled,
    shown,
    steady,
    until,
)
from tui.app.app import ColonyApp
from tui.app.pages.arena import ArenaPage
from tui.app.pages.sources import SourcesPage
from tui.app.widgets.chrome import PromptLine
from tui.app.widgets.virtual_list import VirtualList


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("arena"), "arena")


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """The founders of the archive lie where the repository is."""
    monkeypatch.chdir(Path(__file__).parents[2])


def lines(app: ColonyApp, name: str) -> VirtualList:
    return app.screen.query_one(f"#{name}", VirtualList)


def texts(app: ColonyApp, name: str) -> list[str]:
    rows = lines(app, name).rows
    return ["".join(span.text for span in rows.draw(row, 90)) for row in range(len(rows))]


def keys(app: ColonyApp, name: str) -> list[Any]:
    rows = lines(app, name).rows
    return [rows.key(row) for row in range(len(rows))]


async def on_arena(app: ColonyApp, pilot: Pilot[None]) -> None:
    """Go to the page, and wait for a match and a judge."""
    await pressed(pilot, "3")
    assert isinstance(app.screen, ArenaPage)
    await until(pilot, lambda: bool(keys(app, "match") and keys(app, "judge")))


async def on_sources(app: ColonyApp, pilot: Pilot[None]) -> None:
    await pressed(pilot, "5")
    assert isinstance(app.screen, SourcesPage)
    await until(pilot, lambda: bool(keys(app, "source") and keys(app, "choices")))


async def typed(app: ColonyApp, pilot: Pilot[None], text: str) -> None:
    app.screen.query_one(PromptLine).value = text
    await pressed(pilot, "enter")


WALKS = ({"arena": ("down",), "sources": ("down", "t")}, {"arena-judges": ("v", "down")})
"""Frames by name, with the keys that lead there from where one comes to their page."""


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("walk", WALKS, ids="-".join)
def test_frames_are_as_they_were(
    walk: dict[str, tuple[str, ...]], size: tuple[int, int], archive: Path
) -> None:
    async def test() -> None:
        async with shown(archive, size) as (app, pilot):
            for name, keys in walk.items():
                await (on_sources if name == "sources" else on_arena)(app, pilot)
                await pressed(pilot, *keys)
                text = steady(await settled(app, pilot), archive)
                assert all(len(line) <= size[0] for line in text.splitlines())
                check_golden(name, size, text)

    run(test())


def test_ascii_is_ascii_but_for_what_models_said(archive: Path) -> None:
    said = {sign for (answer,) in _rows(archive, "SELECT answer FROM answers") for sign in answer}

    async def test() -> None:
        async with shown(archive, (120, 40), ascii=True) as (app, pilot):
            for there in (on_arena, on_sources):
                await there(app, pilot)
                assert {sign for sign in frame(app) if not sign.isascii()} <= said

    run(test())


def _rows(archive: Path, query: str) -> list[tuple[Any, ...]]:
    with Archive(archive).reading() as db:
        return db.execute(query).fetchall()


def test_matches_are_of_the_last_round_and_one_is_shown_in_full(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await on_arena(app, pilot)
            found = matches(Archive(archive), limit=1000)
            assert keys(app, "matches") == [str(match.name) for match in found]
            for match in found[1:4]:
                await pressed(pilot, "down")
                await until(pilot, lambda match=match: str(match.name) in texts(app, "match")[0])
                text = "\n".join(texts(app, "match"))
                for side in (match.a, match.b):
                    assert f"#{side.model}" in text
                    assert side.answer in text
                assert app.focused_on.model in (match.a.model, match.b.model)

    run(test())


def test_from_a_match_to_its_judges_and_back(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await on_arena(app, pilot)
            await pressed(pilot, "enter")
            assert app.focused is lines(app, "match")
            await pressed(pilot, "end")
            judge = lines(app, "match").rows.model(lines(app, "match").row)
            assert app.focused_on.model == judge
            await pressed(pilot, "enter")
            assert app.focused_on.trail[-1] == judge

    run(test())


def test_judges_are_shown_with_their_record(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive, (80, 24)) as (app, pilot):
            await on_arena(app, pilot)
            assert not lines(app, "judges").display or not app.screen.has_class("-judges")
            await pressed(pilot, "v")
            assert app.focused is lines(app, "judges")
            board = {s.model: s for s in leaderboard(Archive(archive), everyone=True)}
            for row, judge in enumerate(keys(app, "judges")):
                for reliability in board[judge].reliability.values():
                    assert f"{reliability.trust:.2f}" in texts(app, "judges")[row]
            await pressed(pilot, "down")
            assert app.focused_on.model == lines(app, "judges").key
            assert f"#{app.focused_on.model}" in texts(app, "judge")[0]
            assert any("listened to" in text for text in texts(app, "judge"))
            await pressed(pilot, "enter")
            assert app.focused is lines(app, "judge")
            await pressed(pilot, "v")
            assert app.focused is lines(app, "matches")

    run(test())


def test_one_task_or_one_model_alone(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await on_arena(app, pilot)
            everything = keys(app, "matches")
            task = tasks_of(Archive(archive))[0]
            await pressed(pilot, "F")
            await typed(app, pilot, task)
            await until(pilot, lambda: keys(app, "matches") != everything)
            assert all(f"@{task}/" in key for key in keys(app, "matches"))
            assert f"only {task}" in frame(app)
            await pressed(pilot, "F")
            await typed(app, pilot, task[:-1])
            await until(pilot, lambda: f"did you mean {task}" in frame(app))
            await pressed(pilot, "F")
            await typed(app, pilot, "")
            await until(pilot, lambda: keys(app, "matches") == everything)
            model = app.focused_on.model
            await pressed(pilot, "down", "o")
            await until(pilot, lambda: keys(app, "matches") != everything)
            model = app.focused_on.model
            names = [MatchName.read(key) for key in keys(app, "matches")]
            assert names
            assert all(model in (name.a, name.b) for name in names)
            await pressed(pilot, "o")
            await until(pilot, lambda: keys(app, "matches") == everything)

    run(test())


def test_rounds_are_walked_along(archive: Path) -> None:
    last = round_summary(Archive(archive))
    assert last is not None

    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await on_arena(app, pilot)
            for key, number in (
                ("comma", last.round - 1), ("comma", last.round - 2), ("full_stop", last.round - 1),
                ("full_stop", last.round), ("full_stop", last.round),
            ):  # fmt: skip
                await pressed(pilot, key)
                head = f"round {number} of {last.round}"
                await until(pilot, lambda head=head: head in frame(app))

    run(test())


def test_matches_are_found_by_name_and_by_model(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await on_arena(app, pilot)
            listed = keys(app, "matches")
            await pressed(pilot, "slash")
            await typed(app, pilot, listed[7])
            assert lines(app, "matches").key == listed[7]
            await pressed(pilot, "slash")
            await typed(app, pilot, "1-2@nothing")
            await until(pilot, lambda: "is not among" in frame(app))
            await pressed(pilot, "slash")
            await typed(app, pilot, "founder")
            of = [MatchName.read(key) for key in listed]
            names = Archive(archive).founder_paths()
            hits = [str(name) for name in of if name.a in names or name.b in names]
            await until(pilot, lambda: lines(app, "matches").key in hits)
            at = hits.index(str(lines(app, "matches").key))
            await pressed(pilot, "n")
            assert lines(app, "matches").key == hits[(at + 1) % len(hits)]
            await pressed(pilot, "N")
            assert lines(app, "matches").key == hits[at]

    run(test())


def test_a_model_that_is_gone_to_brings_its_matches(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await on_arena(app, pilot)
            other = MatchName.read(keys(app, "matches")[-1]).a
            for model in (1, other):
                app.action_go(model)
                await quiet(pilot)
                name = MatchName.read(str(lines(app, "matches").key))
                assert model in (name.a, name.b)

    run(test())


def test_a_round_shows_when_it_has_been_played(archive: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(archive, tmp_path / "live.duckdb"))
    colony = Archive(copy)
    before = round_summary(colony)
    assert before is not None
    ((item, a, b),) = _rows(
        archive,
        f"SELECT item, model_a, model_b FROM matches WHERE round = {before.round} LIMIT 1",
    )

    async def test() -> None:
        async with shown(copy) as (app, pilot):
            await on_arena(app, pilot)
            await pressed(pilot, "down")
            colony.commit_round(
                Round(
                    asked=(RoundItem(item, False, False),),
                    verdicts=(Verdict(item, a, 1.0), Verdict(item, b, 0.0)),
                    matches=(MatchOutcome(item, a, b, 1),),
                    ratings=(Rating(a, 1.0, 0.5, 0.0), Rating(b, -1.0, 0.5, 0.0)),
                )
            )
            after = before.round + 1
            await until(pilot, lambda: f"round {after} of {after}, offline" in frame(app))
            assert keys(app, "matches") == [f"{a}-{b}@{item}"]
            assert app.snapshot is not None
            assert app.snapshot.rating(a) == (points(1.0), spread(0.5))

    run(test())


# Sources


def test_sources_say_where_they_lie_and_whether_they_fit(archive: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(archive, tmp_path / "colony.duckdb"))
    colony = Archive(copy)
    founders = founder_sources(colony)
    assert [source.trouble for source in founders] == [None] * len(founders)
    fits = [source.profile.fits for source in founders if source.profile]
    assert fits == ["is compared with", *["yes"] * (len(founders) - 1)]
    members = member_sources(colony)
    assert [source.path for source in members] == [None] * len(members)
    colony.save_sha256(members[0].model, "0" * 64)  # unless the archive knows it already
    (kept,) = colony.models(ids=[members[0].model])
    assert kept.weights_sha256 is not None
    file = weights_file(copy, kept.weights_sha256)
    file.parent.mkdir()
    file.touch()
    assert member_sources(colony)[0].path == str(file)

    async def test() -> None:
        async with shown(copy) as (app, pilot):
            await on_sources(app, pilot)
            assert keys(app, "sources") == [s.model for s in (*founders, *members)]
            assert "weights kept" in texts(app, "sources")[len(founders)]
            for _ in founders:
                await pressed(pilot, "down")
            told = "\n".join(texts(app, "source"))
            assert file.name[:20] in told.replace("\n        ", "")

    run(test())


def test_a_founder_that_has_gone_or_does_not_fit_says_why(
    archive: Path, tmp_path: Path, make_checkpoint: Any
) -> None:
    copy = Path(shutil.copy(archive, tmp_path / "colony.duckdb"))
    other = make_checkpoint("other")
    with duckdb.connect(str(copy)) as db:
        db.execute("UPDATE models SET path = '/nowhere/at/all' WHERE id = 2")
        db.execute("UPDATE models SET path = ? WHERE id = 3", [str(other)])
    founders = founder_sources(Archive(copy))
    assert "no folder at /nowhere/at/all" in str(founders[1].trouble)
    assert founders[2].profile is not None
    assert founders[2].profile.fits.startswith("no: ")

    async def test() -> None:
        async with shown(copy) as (app, pilot):
            await on_sources(app, pilot)
            assert "no: " in texts(app, "sources")[1]
            await pressed(pilot, "down")
            assert "/nowhere/at/all" in "\n".join(texts(app, "source"))

    run(test())


def test_what_to_merge_is_shown_for_every_task(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await on_sources(app, pilot)
            tasks = tasks_of(Archive(archive))
            for task in (*tasks, tasks[0]):
                title = f"what to merge for {task}"
                await until(pilot, lambda title=title: lines(app, "choices").border_title == title)
                await pressed(pilot, "t")
            await pressed(pilot, "T")
            await until(pilot, lambda: tasks[0] in str(lines(app, "choices").border_title))
            chosen = [key for key in keys(app, "choices") if isinstance(key, int)]
            assert len(chosen) == 3
            assert "solves most" in texts(app, "choices")[1]

    run(test())


@pytest.mark.parametrize("seed", range(2))
def test_no_key_crashes_these_pages(
    seed: int, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where screenshots go

    async def test() -> None:
        async with shown(archive, SIZES[seed]) as (app, pilot):
            await on_arena(app, pilot)
            said = await monkey(app, pilot, seed, PRESSES)
            await pressed(pilot, "escape", "escape", "5", "comma", "full_stop", "t", "T", "v", "o")
            said += await monkey(app, pilot, seed + 10, PRESSES)
            await quiet(pilot)
            assert app._exception is None, said

    run(test())
