"""Hands on a colony from the screen: what is asked, what may not be, and what is told of it."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from lineage import Archive
from lineage.commands.definitions import all_commands, command_state, paused, submit
from lineage.commands.outcome import record_outcome
from lineage.commands.validation import refusal
from lineage.records import PAUSED, Command, CommandOutcome
from lineage.storage import lease
from tests.conftest import SHIPPED
from tests.forks import Forks
from tests.lineage.test_commands import commoners
from tests.screen_helpers import check_golden, frame, pressed, quiet, run, shown, until
from tests.tui.test_screen_archives import HOLDER, beside
from tui.app.actions import ACTIONS, BY_KIND, objection
from tui.app.app import ColonyApp
from tui.app.data.focus import Focus
from tui.app.pages.page import Page
from tui.app.widgets.pending_commands import CommandsDialog
from tui.shared.heartbeat import read_heartbeat


@pytest.fixture
def colony(small_archive: Archive, tmp_path: Path) -> Archive:
    """A colony of one's own."""
    return Archive(Path(shutil.copy(small_archive.path, tmp_path / "colony.duckdb")))


def said(app: ColonyApp) -> list[str]:
    """What toasts say, the newest last."""
    return [note.message for note in app._notifications]


def offered(app: ColonyApp) -> set[str]:
    """Hands in the help, the palette and, if they are to be, the footer."""
    active = app.screen.active_bindings.values()
    kinds = {action.kind for action in ACTIONS}
    found = {a.binding.action.removeprefix("campaign('").removesuffix("')") for a in active}
    return {kind for kind in found if kind in kinds}


async def typed(pilot: Pilot[None], text: str) -> None:
    """Type something into what asks, and submit it."""
    pilot.app.screen.query_one(Input).value = text
    await pressed(pilot, "enter")


def test_every_action_gives_its_command(colony: Archive) -> None:
    one, other, third = [model.id for model in commoners(colony)[:3]]
    budget = str(colony.campaign()[1]["budget"]["item_evaluations"])
    path, wanted = str(SHIPPED / "founders" / "sum"), list[tuple[str, tuple[int, ...], object]]()

    async def test() -> None:
        async with shown(colony.path) as (app, pilot):

            async def given(
                kind: str, models: tuple[int, ...] = (), argument: object = None
            ) -> None:
                wanted.append((kind, models, argument))
                await until(
                    pilot,
                    lambda: app.command_state and len(app.command_state.commands) == len(wanted),
                )
                command = app.command_state.commands[-1]  # type: ignore[union-attr]
                assert (command.kind, command.models, command.argument) == wanted[-1]
                waits = "no campaign is running, so it waits for colony run"
                await until(
                    pilot,
                    lambda: said(app)[-1] == f"command {command.id}: {command.words}; {waits}",
                )
                assert isinstance(app.screen, Page)

            await until(pilot, lambda: app.command_state is not None)
            await pressed(pilot, "Z")
            await given("pause")
            await pressed(pilot, "Z")
            await given("resume")
            app.action_go(one)
            await pressed(pilot, "K")
            await given("pin", (one,))
            await pressed(pilot, "K")
            await given("unpin", (one,))
            app.action_mark()
            app.action_go(other)
            await pressed(pilot, "M")
            await given("mate", (one, other))
            app.action_go(third)
            await pressed(pilot, "X", "n")
            await pressed(pilot, "X", "enter")  # what enter does by itself takes nothing away
            await pressed(pilot, "X", "y")
            await given("cull", (third,))
            await pressed(pilot, "A")
            await typed(pilot, path)
            await given("add-founder", (), path)
            await pressed(pilot, "B")
            assert app.screen.query_one(Input).value == budget
            await typed(pilot, "123456")
            await given("budget", (), "123456")
            await pressed(pilot, "R")
            await given("tournament")
            assert "asked: pause, resume and 7 more; waits for colony run" in frame(app)

    run(test())
    told = [(command.kind, command.models, command.argument) for command in all_commands(colony)]
    assert told == wanted


def test_the_screen_objects_to_what_the_archive_would_refuse(colony: Archive) -> None:
    """In the same words, of founders, living and fossils, whatever was ordered before."""
    one, other, third = [model.id for model in commoners(colony)[:3]]
    some = [*colony.models(living=True), *colony.models(living=False)[::9]]
    submit(colony, "pin", [one])
    submit(colony, "cull", [other])
    submit(colony, "pause")
    compared = set()
    given_at = all_commands(colony)[0].given_at

    async def test() -> None:
        async with shown(colony.path) as (app, _):
            with colony.reading() as db:
                now = command_state(db)
                for model in some:
                    focus = Focus().to(third).marked().to(model.id)
                    for action in ACTIONS:
                        models, kind = action.models(focus), action.kind
                        if models is None or kind == "export":
                            continue
                        command = Command(9, kind, models, action.example or None, given_at, 3)
                        why = refusal(db, command, ahead=True)
                        if kind != "budget":  # its example is one to be typed over
                            assert objection(action, now, app.snapshot, focus) == why
                            compared.add((kind, why is None))

    run(test())
    assert {(kind, fits) for kind in ("pin", "cull", "mate") for fits in (True, False)} <= compared
    assert {("pause", False), ("resume", True), ("unpin", True), ("tournament", True)} <= compared


def test_what_makes_no_sense_is_not_offered_and_its_key_says_why(colony: Archive) -> None:
    last = colony.latest()
    assert last is not None
    always = {"add-founder", "budget", "tournament"}

    async def test() -> None:
        async with shown(colony.path) as (app, pilot):
            await until(pilot, lambda: app.command_state is not None)
            app.action_go(1)
            assert offered(app) == {*always, "pause", "export"}
            for key, reason in (
                ("K", "base is a founder, and founders keep their place anyway"),
                ("X", "base is a founder; the recipes of all others need it"),
                ("M", "mate: no model is marked; mark one, and go to the other"),
            ):
                await pressed(pilot, key)
                assert said(app)[-1] == reason
            app.action_mark()
            app.action_go(last.champion)
            assert offered(app) == {*always, "pause", "export", "pin", "mate"} - (
                {"pin"}
                if objection(BY_KIND["pin"], app.command_state, app.snapshot, app.focused_on)
                else set()
            )
            await pressed(pilot, "X")
            assert said(app)[-1].endswith("is the champion; only a better one takes its place")
            await pressed(pilot, "Z")
            await until(pilot, lambda: "resume" in offered(app))
            assert "pause" not in offered(app)
            assert "Resume" in frame(app).splitlines()[-1]
            await pressed(pilot, "ctrl+p")
            await pilot.press(*"paused campaign")
            await until(pilot, lambda: "Let the paused campaign go on" in frame(app))
            assert "Let the campaign wait" not in frame(app)

    run(test())
    assert [command.kind for command in all_commands(colony)] == ["pause"]


def test_why_it_was_refused_is_said_where_one_types(colony: Archive) -> None:
    """What was typed stays, and is corrected there."""

    async def test() -> None:
        async with shown(colony.path, (80, 24)) as (app, pilot):
            await until(pilot, lambda: app.command_state is not None)
            await pressed(pilot, "B")
            await typed(pilot, "many")
            await until(pilot, lambda: "a budget is a positive number" in frame(app))
            assert app.screen.query_one(Input).value == "many"
            await typed(pilot, "77")
            await until(pilot, lambda: isinstance(app.screen, Page))
            await pressed(pilot, "A")
            await typed(pilot, "/nowhere/poet")
            await until(pilot, lambda: "no folder at /nowhere/poet" in frame(app))
            app.clear_notifications()  # of the command before, which go when their time is up
            await quiet(pilot)
            check_golden("ask", (80, 24), frame(app))
            await pressed(pilot, "escape")
            assert isinstance(app.screen, Page)

    run(test())
    assert [command.argument for command in all_commands(colony)] == ["77"]


def test_an_archive_that_is_held_is_named_and_nothing_is_lost(
    colony: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "PATIENCE_S", 0.3)
    (one, *_) = commoners(colony)

    async def test() -> None:
        async with shown(colony.path) as (app, pilot):
            await until(pilot, lambda: app.command_state is not None)
            app.action_go(one.id)
            with beside(HOLDER, colony.path) as holder:
                assert holder.stdout is not None
                assert holder.stdout.readline() == "held\n"
                held = f"is held by PID {holder.pid} for more than"
                await pressed(pilot, "K")
                await until(pilot, lambda: any(held in words for words in said(app)))
                await pressed(pilot, "B")
                await typed(pilot, "4321")
                await until(pilot, lambda: f"PID {holder.pid}" in frame(app))
            assert app.screen.query_one(Input).value == "4321"
            await pressed(pilot, "enter")
            await until(pilot, lambda: isinstance(app.screen, Page))

    run(test())
    assert [(command.kind, command.argument) for command in all_commands(colony)] == [
        ("budget", "4321")
    ]


def test_what_came_of_a_command_is_told_as_it_is_settled(colony: Archive) -> None:
    one, other = commoners(colony)[:2]
    pin, cull = submit(colony, "pin", [one.id]), submit(colony, "cull", [other.id])

    async def test() -> None:
        async with shown(colony.path) as (app, pilot):
            await until(pilot, lambda: f"asked: pin #{one.id}, cull #{other.id};" in frame(app))
            await pressed(pilot, "O")
            assert isinstance(app.screen, CommandsDialog)
            assert frame(app).count("open") == 2
            record_outcome(colony, CommandOutcome(pin, "done", "it keeps its place", one.id))
            record_outcome(colony, CommandOutcome(cull, "refused", "it is dear to somebody"))
            await until(pilot, lambda: "it is dear to somebody" in frame(app))
            assert "open" not in frame(app)
            assert said(app) == [
                f"command 1 (pin #{one.id}) done: it keeps its place",
                f"command 2 (cull #{other.id}) refused: it is dear to somebody",
            ]
            await pressed(pilot, "escape")
            assert "asked:" not in frame(app)

    run(test())


def test_an_action_takes_its_key_along_with_whatever_shares_it(colony: Archive) -> None:
    (one, *_) = commoners(colony)

    async def test() -> None:
        async with shown(colony.path, keys={"action.pin": "f9"}) as (app, pilot):
            await until(pilot, lambda: app.command_state is not None)
            app.action_go(one.id)
            await pressed(pilot, "K")
            assert said(app) == []
            await pressed(pilot, "f9")
            await until(pilot, lambda: "unpin" in offered(app))
            await pressed(pilot, "f9")
            await until(pilot, lambda: "pin" in offered(app))
            app.action_go(1)
            await pressed(pilot, "f9")
            assert "founders keep their place" in said(app)[-1]

    run(test())
    assert [command.kind for command in all_commands(colony)] == ["pin", "unpin"]


def test_the_model_in_focus_is_exported_by_a_process_that_tells_how_far_it_is(
    colony: Archive, tmp_path: Path
) -> None:
    (one, *_) = commoners(colony)
    (tmp_path / "taken").write_text("")

    async def test() -> None:
        async with shown(colony.path) as (app, pilot):
            app.action_go(one.id)
            await until(pilot, lambda: "export" in offered(app))
            await pressed(pilot, "E")
            await typed(pilot, str(tmp_path / "taken"))
            await until(pilot, lambda: "exists already" in frame(app))
            await typed(pilot, str(tmp_path / "out"))
            await until(pilot, lambda: f"export #{one.id}: loading torch" in frame(app), 60)
            await pressed(pilot, "E")
            await typed(pilot, str(tmp_path / "second"))
            await until(pilot, lambda: "is being exported; one at a time" in frame(app))
            await pressed(pilot, "escape")
            await until(pilot, lambda: f"export #{one.id}: merging" in frame(app), 60)
            await until(pilot, lambda: app.exporting is None, 60)
            assert said(app)[-1] == f"#{one.id} is in {tmp_path / 'out'}"
            assert "export" not in frame(app)

    run(test())
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert not (tmp_path / "second").exists()


def test_a_campaign_that_is_running_is_paused_and_resumed(
    colony: Archive, forks: Forks, tmp_path: Path
) -> None:
    path = colony.path
    command = ("run", "--archive", path, "--generations", 500, "--headless", "--no-report")

    def does() -> str:
        heartbeat = read_heartbeat(path)
        return heartbeat.what if heartbeat is not None and heartbeat.running else ""

    def breeds() -> bool:
        heartbeat = read_heartbeat(path)
        return heartbeat is not None and heartbeat.running and heartbeat.generation is not None

    async def test() -> None:
        async with shown(path) as (app, pilot):
            await until(pilot, breeds, 120)
            await pressed(pilot, "Z")
            await until(pilot, lambda: does() == PAUSED, 60)
            outcome = "command 1 (pause) done: the campaign waits until it is told to resume"
            await until(pilot, lambda: said(app)[-1] == outcome)
            given = "command 1: pause; carried out between two generations"
            await until(pilot, lambda: given in said(app))  # it may be told after the outcome
            assert paused(colony)
            await until(pilot, lambda: "paused until it is told to resume" in frame(app))
            await pressed(pilot, "Z")
            await until(pilot, lambda: does() not in (PAUSED, ""), 60)
            assert not paused(colony)

    pid = forks.start(*command, said=tmp_path / "said")
    run(test())
    os.kill(pid, signal.SIGTERM)
    assert forks.wait() == 130
