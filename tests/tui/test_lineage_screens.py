"""Lineage, Model and Diff on a real archive: golden frames, every key, the mouse, mad typing."""

import random
from itertools import pairwise
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.screen_helpers import (
    PRESSES,
    SIZES,
    check_golden,
    finished,
    frame,
    pressed,
    quiet,
    run,
    shown,
    steady,
    until,
)
from tui.app.app import ColonyApp
from tui.app.pages.diff import DiffPage
from tui.app.pages.lineage import LineagePage
from tui.app.pages.lineage_pane import LineagePane
from tui.app.pages.model import ModelPage
from tui.app.widgets.chrome import PromptLine
from tui.app.widgets.virtual_list import VirtualList


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("lineage"))


def pane(app: ColonyApp) -> LineagePane:
    return app.screen.query_one(LineagePane)


def lineage(app: ColonyApp) -> LineagePage:
    assert isinstance(app.screen, LineagePage)
    return app.screen


def lines(app: ColonyApp, name: str) -> VirtualList:
    return app.screen.query_one(f"#{name}", VirtualList)


async def asked(app: ColonyApp, pilot: Pilot[None], text: str) -> None:
    """Wait until what the archive was asked for is shown."""
    await until(pilot, lambda: text in frame(app))
    await quiet(pilot)


FRAMES = {
    "lineage-line": (("4",), "steps back"),
    "lineage-pedigree": (("t",), "pedigree of"),
    "lineage-graph": (("g", "plus", "plus", "down"), "ancestors of"),
    "lineage-map": (("a", "left"), "birth 1"),
    "lineage-children": (("l", "G", "c"), "children of"),
    "model": (("escape", "h", "enter"), "made by"),
    "diff": (("m", "4", "p", "p", "d"), "made by"),
}
"""By name: keys that lead on from the frame before, and what is there when all has come."""


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_frames_are_as_they_were(size: tuple[int, int], archive: Path) -> None:
    async def test() -> None:
        async with shown(archive, size) as (app, pilot):
            for name, (keys, sign) in FRAMES.items():
                await pressed(pilot, *keys)
                await asked(app, pilot, sign)
                text = steady(frame(app), archive)
                assert all(len(line) <= size[0] for line in text.splitlines())
                check_golden(name, size, text)

    run(test())


def test_ascii_is_ascii(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive, (120, 40), ascii=True) as (app, pilot):
            for name, (keys, sign) in FRAMES.items():
                await pressed(pilot, *keys)
                await asked(app, pilot, sign)
                assert frame(app).isascii(), name

    run(test())


def test_keys_walk_from_model_to_model(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await pressed(pilot, "4")
            snapshot, page = app.snapshot, lineage(app)
            assert snapshot is not None
            assert page.root == page.cursor == snapshot.champion
            line = snapshot.line(page.root or 0)
            await pressed(pilot, "j", "down", "k")
            assert (app.focused_on.model, page.root) == (line[1], line[0])
            await pressed(pilot, "p")
            assert (app.focused_on.model, page.root) == (line[2], line[0])
            await pressed(pilot, "m", "end")
            assert app.focused_on.mark == line[2]
            assert (app.focused_on.model, page.root) == (line[-1], line[0])
            await pressed(pilot, "b")
            gain = {m: (snapshot.fitness(m) or 0) - (snapshot.fitness(p) or 0)
                    for m, p in pairwise(line)}  # fmt: skip
            best = max(gain, key=lambda m: gain[m])
            assert app.focused_on.model == best
            await pressed(pilot, "enter")
            assert page.root == best
            assert app.focused_on.trail[-1] == best
            await pressed(pilot, "left_square_bracket")
            assert page.root == app.focused_on.model != best
            await pressed(pilot, "h")
            assert page.root == snapshot.champion
            two = next(m for m in range(snapshot.newest, 0, -1) if len(snapshot.parents(m)) == 2)
            app.action_go(two)
            await pressed(pilot, "P")
            assert page.root in snapshot.parents(two)
            assert page.root != snapshot.line(two)[1]

    run(test())


def test_children_are_listed_and_one_goes_to_them(archive: Path) -> None:
    async def test() -> None:
        for size in (SIZES[0], SIZES[-1]):
            async with shown(archive, size) as (app, pilot):
                await pressed(pilot, "4", "end")
                snapshot, page = app.snapshot, lineage(app)
                assert snapshot is not None
                oldest = app.focused_on.model
                assert oldest is not None
                await pressed(pilot, "c", "down")
                kin = lines(app, "kin")
                assert kin.has_focus
                assert len(kin.rows) == snapshot.children[oldest]
                child = kin.key
                assert isinstance(child, int)
                assert oldest in snapshot.parents(child)
                assert (app.focused_on.model, page.root) == (child, snapshot.champion)
                await pressed(pilot, "escape")
                assert pane(app).rows.has_focus
                await pressed(pilot, "c", "enter")
                assert page.root is not None
                assert oldest in snapshot.parents(page.root)
                assert pane(app).rows.has_focus

    run(test())


def test_a_pedigree_is_walked_by_slots(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive, (200, 60)) as (app, pilot):
            snapshot = app.snapshot
            assert snapshot is not None
            two = next(m for m in range(snapshot.newest, 0, -1) if len(snapshot.parents(m)) == 2)
            await pressed(pilot, "4")
            app.action_go(two)
            await pressed(pilot, "t", "right")
            fitter = snapshot.line(two)[1]
            assert app.focused_on.model == fitter
            await pressed(pilot, "down")
            other = app.focused_on.model
            assert other in set(snapshot.parents(two)) - {fitter}
            await pressed(pilot, "left")
            assert app.focused_on.model == two
            await pressed(pilot, "s")
            app.screen.query_one(PromptLine).value = "3"
            await pressed(pilot, "enter")
            assert app.focused_on.model == other
            await pressed(pilot, "minus", "minus", "minus", "minus")
            assert "1 generation" in frame(app)
            await pressed(pilot, "plus")
            assert "2 generations" in frame(app)
            chart = pane(app).chart
            assert chart.charted is not None
            row, column, _ = chart.charted.place(1)
            await pilot.click(chart, offset=(column, row))
            await pilot.pause()
            assert chart.spot == 1
            await pressed(pilot, "right", "enter")
            assert lineage(app).root == fitter

    run(test())


def test_the_map_lists_the_models_of_a_cell(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await pressed(pilot, "4", "a")
            await until(pilot, lambda: pane(app).cell is not None)
            there = pane(app).cell
            assert there is not None
            assert app.snapshot is not None
            assert app.snapshot.champion in there
            await pressed(pilot, "enter")
            kin = lines(app, "kin")
            assert kin.has_focus
            assert {kin.rows.key(row) for row in range(len(kin.rows))} == set(there.tolist())
            await pressed(pilot, "escape", "up", "left", "left", "down", "right")
            assert pane(app).chart.has_focus
            now = pane(app).cell
            assert now is not None
            if len(now):
                assert app.focused_on.model in now

    run(test())


def test_the_graph_shows_the_way_to_the_mark(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            snapshot = app.snapshot
            assert snapshot is not None
            await pressed(pilot, "4", "end", "m", "home", "g")
            assert "ancestors of" in frame(app)
            await pressed(pilot, "w")
            await until(pilot, lambda: "path from" in frame(app))
            rows = pane(app).rows.rows
            keys = {rows.key(row) for row in range(len(rows))}
            assert {app.focused_on.mark, lineage(app).root} <= keys
            await pressed(pilot, "w")
            assert "ancestors of" in frame(app)

    run(test())


def test_a_model_is_opened_and_left(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            snapshot = app.snapshot
            assert snapshot is not None
            await pressed(pilot, "4", "end", "enter", "enter")
            page = app.screen
            assert isinstance(page, ModelPage)
            model = page.root
            await asked(app, pilot, "sha256")
            assert snapshot.is_founder(model or 0)
            await pressed(pilot, "c", "down", "up")
            child = app.focused_on.model
            assert page.root == model != child
            await pressed(pilot, "enter")
            assert page.root == child
            await until(pilot, lambda: f"#{model} " in frame(app) and "sha256" in frame(app))
            await pressed(pilot, "left_square_bracket")
            assert page.root == model
            await pressed(pilot, "right_square_bracket", "p")
            assert page.root == snapshot.line(child or 0)[1]
            await pressed(pilot, "escape")
            assert isinstance(app.screen, LineagePage)
            await pressed(pilot, "enter", "4")
            assert isinstance(app.screen, LineagePage)

    run(test())


def test_changes_are_walked_along_alone_and_from_either_side(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await pressed(pilot, "4", "m", "p", "p", "d")
            page = app.screen
            assert isinstance(page, DiffPage)
            await until(pilot, lambda: page._comparison is not None)
            await quiet(pilot)
            changed = [line.key for line in page._lines if line.changed]
            assert changed
            rows = lines(app, "rows")
            met = []
            for _ in changed:
                await pilot.press("n")
                met.append(rows.key)
            assert met == changed
            await pressed(pilot, "n")
            assert rows.key == changed[0]
            await pressed(pilot, "N")
            assert rows.key == changed[-1]
            await pressed(pilot, "o")
            shown_rows = [rows.rows.key(row) for row in range(len(rows.rows))]
            assert [key for key in shown_rows if key in changed] == changed
            titles = {line.key for line in page._lines if not line.cells}
            assert set(shown_rows) == set(changed) | titles
            heads = frame(app).splitlines()[1].split()
            await pressed(pilot, "s")
            swapped = frame(app).splitlines()[1].split()
            assert swapped != heads
            assert sorted(swapped) == sorted(heads)
            await pressed(pilot, "escape")
            assert isinstance(app.screen, LineagePage)

    run(test())


def test_a_child_stands_between_its_parents(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive, (120, 60)) as (app, pilot):
            snapshot = app.snapshot
            assert snapshot is not None
            two = next(m for m in range(snapshot.newest, 0, -1) if len(snapshot.parents(m)) == 2)
            app.action_go(two)
            await pressed(pilot, "4", "d")
            await asked(app, pilot, "relationship")
            head = frame(app).splitlines()[1]
            assert head.index("child") > head.index("parent")
            assert head.count("parent") == 2
            app.action_go(1)
            await asked(app, pilot, "has no parents")

    run(test())


VIEWS = ("l", "t", "g", "a")


def test_pages_shrink_to_nearly_nothing_and_back(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await pressed(pilot, "4")
            for keys in (*VIEWS, ("l", "enter"), ("escape", "p", "d")):
                await pressed(pilot, *keys)
                await quiet(pilot)
                for size in ((20, 5), (1, 1), (120, 40)):
                    await pilot.resize_terminal(*size)
                    await pressed(pilot, "down", "right", "up", "left")
            assert app._exception is None

    run(test())


@pytest.mark.parametrize("seed", range(2))
def test_no_key_on_these_pages_crashes_them(seed: int, archive: Path) -> None:
    """What is pressed leads among views, models and comparisons, without waiting for any."""
    keys = (
        *"lltggaapPcbhswmmdnNoy", "enter", "enter", "escape", "plus", "minus", "up", "down", "left",
        "right", "pageup", "pagedown", "home", "end", "tab", "4", "left_square_bracket",
        "right_square_bracket", "question_mark", "slash", "7",
    )  # fmt: skip

    async def test() -> None:
        async with shown(archive, SIZES[seed]) as (app, pilot):
            rng, said = random.Random(seed), list[str]()
            app.simulate_key("4")
            for number in range(PRESSES):
                said.append(rng.choice(keys))
                app.simulate_key(said[-1])
                if number % 20 == 19:
                    await pilot.pause()
            await quiet(pilot)
            assert app.is_running, said
            assert app._exception is None, said

    run(test())
