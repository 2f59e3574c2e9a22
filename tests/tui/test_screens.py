"""The app on a real archive: golden frames, every key, the mouse, and what people set."""

from collections.abc import Callable
from itertools import chain, cycle
from pathlib import Path

import pytest
from textual.widgets import Input

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
from tui.app.data.page_registry import PAGES
from tui.app.data.settings import load_settings
from tui.app.widgets.chrome import PromptLine
from tui.app.widgets.help import Help
from tui.app.widgets.virtual_list import VirtualList


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(tmp_path_factory.mktemp("screens"))


WALKS = ({"colony": ("1",), "board": ("2", "down")}, {"board-fossils": ("2", "v", "s", "S")})
"""Frames by name, with the keys that lead on from the frame before."""


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("walk", WALKS, ids="-".join)
def test_frames_are_as_they_were(
    walk: dict[str, tuple[str, ...]], size: tuple[int, int], archive: Path
) -> None:
    async def test() -> None:
        async with shown(archive, size) as (app, pilot):
            for name, keys in walk.items():
                await pressed(pilot, *keys)
                text = steady(frame(app), archive)
                assert all(len(line) <= size[0] for line in text.splitlines())
                check_golden(name, size, text)

    run(test())


def test_ascii_is_ascii(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive, (120, 40), ascii=True) as (app, pilot):
            for name, keys in chain.from_iterable(walk.items() for walk in WALKS):
                await pressed(pilot, *keys)
                assert frame(app).isascii(), name

    run(test())


def test_without_colours_nothing_is_lost(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor, the mark and what models are show as signs; NO_COLOR leaves shades of grey."""
    monkeypatch.setenv("NO_COLOR", "1")

    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await pressed(pilot, "2", "down", "m", "down")
            text = frame(app)
            for sign in ("★", "●", "◆", "▸", "⚑"):
                assert sign in text
            colours = {
                part.style.color.triplet
                for strip in app.screen._compositor.render_strips()
                for part in strip
                if part.style and part.style.color and part.style.color.triplet
            }
            assert all(red == green == blue for red, green, blue in colours)

    run(test())


# Keys


def board(app: ColonyApp) -> VirtualList:
    return app.screen.query_one("#board", VirtualList)


def order(app: ColonyApp) -> list[object]:
    rows = board(app).rows
    return [rows.key(row) for row in range(len(rows))]


def test_the_cursor_moves_as_in_any_list(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive, (80, 24)) as (app, pilot):
            await pressed(pilot, "2", "v")
            lines, last = board(app), len(board(app).rows) - 1
            page = lines.size.height - 1
            for keys, row in (
                (("j", "down", "j"), 3), (("k", "up"), 1), (("pagedown",), 1 + page),
                (("ctrl+f",), 1 + 2 * page), (("ctrl+b", "pageup"), 1), (("end",), last),
                (("G", "j"), last), (("home",), 0), (("end", "g", "k"), 0),
            ):  # fmt: skip
                await pressed(pilot, *keys)
                assert lines.row == row, keys
                assert lines.scroll_offset.y <= row < lines.scroll_offset.y + lines.size.height
                assert app.focused_on.model == lines.key == lines.rows.key(row)

    run(test())


def test_the_board_sorts_and_turns(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await pressed(pilot, "2")
            snapshot, seen = app.snapshot, []
            assert snapshot is not None
            for column in (snapshot.columns.rating, snapshot.columns.fitness, None):
                values = [column[i] if column is not None else i for i in order(app)]
                assert values == sorted(values, reverse=True)
                seen.append(order(app))
                await pressed(pilot, "S")
                assert order(app) == sorted(order(app), key=values_of(order(app), column))
                await pressed(pilot, "S", "s")
            assert len({tuple(rows) for rows in seen}) == len(seen)

    run(test())


def values_of(ids: list[object], column: object) -> Callable[[object], object]:
    return lambda i: i if column is None else column[i]  # type: ignore[index]


def test_the_cursor_stays_on_its_model_whatever_the_order(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await pressed(pilot, "2", "j", "j", "j")
            model = board(app).key
            for key in ("s", "S", "v", "s", "v", "s", "s"):
                await pressed(pilot, key)
                assert board(app).key == model == app.focused_on.model

    run(test())


def test_fossils_are_shown_when_asked_for(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await pressed(pilot, "2")
            assert app.snapshot is not None
            assert sorted(order(app)) == app.snapshot.living.tolist()
            await pressed(pilot, "v")
            assert sorted(order(app)) == list(range(1, app.snapshot.newest + 1))

    run(test())


async def typed(pilot: object, text: str) -> None:
    app = pilot.app  # type: ignore[attr-defined]
    app.screen.query_one(PromptLine).value = text
    await pressed(pilot, "enter")  # type: ignore[arg-type]


def test_a_filter_keeps_whom_it_describes_until_it_is_emptied(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await pressed(pilot, "2", "F")
            assert isinstance(app.focused, Input)
            await typed(pilot, "gen>20 and fitness>0.9")
            snapshot = app.snapshot
            assert snapshot is not None
            await until(pilot, lambda: len(order(app)) < len(snapshot.living))
            assert order(app)
            for model in order(app):
                assert snapshot.columns.generation[model] > 20
                assert snapshot.columns.fitness[model] > 0.9
            assert "only gen>20" in frame(app)
            await pressed(pilot, "F")
            await typed(pilot, "")
            assert len(order(app)) == len(snapshot.living)
            assert isinstance(app.focused, VirtualList)

    run(test())


def test_a_wrong_filter_is_explained(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await pressed(pilot, "2", "F")
            await typed(pilot, "fittness>0.9")
            await until(pilot, lambda: "did you mean fitness" in frame(app))
            assert len(order(app)) > 1

    run(test())


def test_what_was_found_is_walked_along(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await pressed(pilot, "2", "slash")
            await typed(pilot, "founder")
            lines = board(app)
            await until(pilot, lambda: lines.key in app.snapshot.columns.names)  # type: ignore[union-attr]
            assert app.snapshot is not None
            met = [lines.key]
            for _ in range(len(app.snapshot.columns.names)):
                await pressed(pilot, "n")
                met.append(lines.key)
            assert met[0] == met[-1]
            assert set(met) == set(app.snapshot.columns.names)
            await pressed(pilot, "N")
            assert lines.key == met[-2]

    run(test())


def test_an_id_or_a_name_is_gone_to_from_any_page(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            ways = cycle([("#285", 285), ("kanji", 5), ("261", 261)])
            pages = [page.key for page in PAGES if page.key]
            assert len(pages) >= 3
            for page, (text, model) in zip(pages, ways, strict=False):
                await pressed(pilot, page, "slash")
                await typed(pilot, text)
                assert app.focused_on.trail[-1] == model
            await pressed(pilot, "2", "slash")
            await typed(pilot, "#99999")
            assert app.focused_on.model == model
            assert "no model #99999" in frame(app)

    run(test())


def test_the_history_is_walked_and_models_are_marked_and_copied(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await pressed(pilot, "2")
            for model in (285, 261, 350):
                app.action_go(model)
            await pressed(pilot, "left_square_bracket", "m")
            assert (app.focused_on.model, app.focused_on.mark) == (261, 261)
            assert board(app).key == 261
            assert "⚑ #261" in frame(app)
            await pressed(pilot, "left_square_bracket", "y")
            assert app.focused_on.model == 285
            assert app.clipboard == "#285"
            await pressed(pilot, "right_square_bracket", "right_square_bracket")
            assert board(app).key == 350
            await pressed(pilot, "left_square_bracket", "m")
            assert app.focused_on.mark is None

    run(test())


def test_an_id_that_is_clicked_is_in_focus(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            lines = frame(app).splitlines()
            row = next(at for at, line in enumerate(lines) if "birth" in line and "#" in line)
            column = lines[row].index("#", lines[row].index("stayed"))
            model = int(lines[row][column + 1 :].split()[0])
            await pilot.click(offset=(column + 1, row))
            assert app.focused_on.trail == (model,)
            tab = lines[0].index("Board")
            await pilot.click(offset=(tab, 0))
            await pilot.pause()
            assert app.current_mode == "board"
            await pilot.click("#board", offset=(20, 4))
            assert board(app).row == 4
            assert app.focused_on.model == board(app).key

    run(test())


def test_help_says_every_key_of_the_page(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive, (120, 60)) as (app, pilot):
            await pressed(pilot, "2", "question_mark")
            assert isinstance(app.screen, Help)
            text = frame(app)
            for name in ("list.down", "board.sort", "page.find", "focus.mark", "app.commands"):
                assert name in text or name == "focus.mark"
            await pressed(pilot, "escape")
            assert not isinstance(app.screen, Help)

    run(test())


def test_the_palette_offers_what_can_be_done_now(archive: Path, tmp_path: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await pressed(pilot, "2", "ctrl+p")
            await pilot.press(*"sort")
            await until(pilot, lambda: "Sort by the next column" in frame(app))
            before = app.screen_stack[0]
            await pressed(pilot, "enter")
            await until(pilot, lambda: app.screen is before)
            assert "by fitness" in frame(app)
            await pressed(pilot, "ctrl+p")
            await pilot.press(*"#285")
            await until(pilot, lambda: "Open #285" in frame(app))
            await pressed(pilot, "enter")
            await until(pilot, lambda: app.focused_on.model == 285)

    run(test())


def test_an_answer_is_taken_once(archive: Path) -> None:
    answers: list[int] = []

    async def test() -> None:
        async with shown(archive) as (app, pilot):
            await until(pilot, lambda: app.page is not None)
            assert app.page is not None
            app.page.ask("newest", lambda queried: queried.newest_id(), answers.append, 0.0)
            await until(pilot, lambda: bool(answers))
            await quiet(pilot)

    run(test())
    assert len(answers) == 1


# What people set


def test_keys_can_be_given_other_names(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tui.toml"
    keys = '"page.board" = "b"\n"list.down" = "x,down"\n"hand.pin" = "f9"\n'
    path.write_text(f'theme = "colony-light"\n[keys]\n{keys}')
    monkeypatch.setenv("COLONY_TUI_CONFIG", str(path))
    settings = load_settings()
    assert settings.keys["action.pin"] == "f9"  # also under its former name

    async def test() -> None:
        async with shown(archive, theme=settings.theme, keys=settings.keys) as (app, pilot):
            assert app.theme == "colony-light"
            await pressed(pilot, "2")
            assert app.current_mode == "colony"
            await pressed(pilot, "b", "x", "x")
            assert app.current_mode == "board"
            assert board(app).row == 2
            await pressed(pilot, "j")
            assert board(app).row == 2

    run(test())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("colour = 1", "unknown setting 'colour'"),
        ("theme = 1", "expected a text as theme"),
        ("[keys]\nx = 1", "expected keys such as"),
        ("theme", "is not TOML"),
    ],
)
def test_settings_that_cannot_be_are_explained(
    text: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tui.toml"
    path.write_text(text)
    monkeypatch.setenv("COLONY_TUI_CONFIG", str(path))
    with pytest.raises(Exception, match=complaint):
        load_settings()


def test_a_theme_changes_what_is_painted(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            dark = app.tones["champion"]
            app.theme = "colony-light"
            await pilot.pause()
            assert app.tones["champion"] != dark
            painted = {part.style for strip in app.screen._compositor.render_strips()
                       for part in strip if part.style}  # fmt: skip
            assert any(style.color == app.tones["champion"].color for style in painted)

    run(test())


# Nothing crashes it


def test_it_shrinks_to_nearly_nothing_and_back(archive: Path) -> None:
    async def test() -> None:
        async with shown(archive) as (app, pilot):
            for page in [page.key for page in PAGES if page.key]:
                await pressed(pilot, page, "down", "up")
                before = await settled(app, pilot)
                for size in ((20, 5), (1, 1), (300, 90), (120, 40)):
                    await pilot.resize_terminal(*size)
                    await quiet(pilot)
                assert await settled(app, pilot) == before
                for size in ((20, 5), (1, 1), (120, 40)):
                    await pilot.resize_terminal(*size)
                    await pressed(pilot, "down", "up")

    run(test())


@pytest.mark.parametrize("seed", range(3))
def test_no_key_in_any_state_crashes_it(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was pressed is said where one of the presses fails.

    Orders are given on the way, but nobody is exported: each time that is a process with torch.
    """
    path = finished(tmp_path)
    monkeypatch.chdir(tmp_path)  # where screenshots go

    async def test() -> None:
        async with shown(path, SIZES[seed], keys={"action.export": "f12"}) as (app, pilot):
            monkeypatch.setattr(app, "exit", lambda *_: None)  # the palette can leave as well
            said = await monkey(app, pilot, seed, PRESSES)
            await quiet(pilot)
            assert app.is_running, said
            assert app._exception is None, said

    run(test())
