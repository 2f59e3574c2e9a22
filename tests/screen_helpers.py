"""What the tests of screens share: the app on a copy of an archive, its frames as text, its keys.

A frame is what is painted, as text: it can be read in a diff, which an SVG cannot. After a change
that is meant, `COLONY_GOLDEN=write pytest tests/test_screens_*.py` writes the golden frames anew.
"""

import asyncio
import gzip
import os
import random
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from tui.app.app import ColonyApp
from tui.app.data.settings import ScreenSettings

GOLDEN = Path(__file__).parent / "golden" / "screens"
FIXTURES = Path(__file__).parent / "fixtures"
SIZES = ((80, 24), (120, 40), (200, 60))

KEYS = (
    *"123456789abcdefghijklmnoprstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "up", "down", "left", "right", "pageup", "pagedown", "home", "end", "enter", "escape", "tab",
    "shift+tab", "space", "backspace", "delete", "slash", "question_mark", "left_square_bracket",
    "right_square_bracket", "plus", "minus", "number_sign", "ctrl+p", "ctrl+b", "ctrl+f", "ctrl+u",
    "ctrl+d", "f1", "f5",
)  # fmt: skip
"""What a monkey presses: all that a keyboard has, but for q and ctrl+q, which leave."""


@asynccontextmanager
async def shown(
    archive: Path, size: tuple[int, int] = (120, 40), **settings: Any
) -> AsyncIterator[tuple[ColonyApp, Pilot[None]]]:
    """The app on an archive, once everything has been read; nothing is blinking or moving."""
    app = ColonyApp(archive, ScreenSettings(**settings))
    app.animation_level = "none"
    async with app.run_test(size=size, tooltips=False, notifications=True) as pilot:
        await until(pilot, lambda: app.snapshot is not None and app.snapshot.shares is not None)
        await pilot.pause()
        yield app, pilot


async def until(pilot: Pilot[None], holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something holds."""
    for _ in range(int(seconds / 0.02)):
        await pilot.pause()
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("what was waited for did not come about")


async def pressed(pilot: Pilot[None], *keys: str) -> None:
    """Press keys, and wait until the details that they ask for are shown."""
    await pilot.press(*keys)
    await pilot.pause(0.1)


def frame(app: ColonyApp) -> str:
    """What is painted, without blanks at the ends of lines."""
    app.screen._compositor._dirty_regions.clear()
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(part.text for part in strip).rstrip() for strip in strips) + "\n"


async def settled(app: ColonyApp, pilot: Pilot[None]) -> str:
    """The frame once nothing more comes into it."""
    before = ""
    while before != frame(app):
        before = frame(app)
        await pilot.pause(0.3)
    return before


def steady(text: str, archive: Path) -> str:
    """A frame without what differs from run to run: names of files, seconds, times."""
    text = text.replace(archive.name, "ARCHIVE".ljust(len(archive.name)))
    measured = r"\d+(\.\d+)? births/s, \d+(\.\d+)? s a generation|worked (\d+[dhm] )?\d+[hms]"
    return re.sub(measured, lambda found: re.sub(r"\d", "0", found.group()), text)


def check_golden(name: str, size: tuple[int, int], text: str) -> None:
    """Compare a frame with the golden one."""
    path = GOLDEN / f"{name}-{size[0]}x{size[1]}.txt"
    if os.environ.get("COLONY_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def finished(folder: Path, name: str = "colony") -> Path:
    """The archive of a campaign that ran once (see `tests/fixtures/make_colony.py`)."""
    path = folder / "colony.duckdb"
    path.write_bytes(gzip.decompress((FIXTURES / f"{name}.duckdb.gz").read_bytes()))
    return path


async def monkey(app: ColonyApp, pilot: Pilot[None], seed: int, presses: int) -> list[str]:
    """Press keys at random, and click now and then; what was pressed, for whoever has to repeat it.

    Nothing is waited for between keys, as somebody who leans on the keyboard would not wait.
    """
    rng, said = random.Random(seed), list[str]()
    for number in range(presses):
        key = rng.choice(KEYS)
        said.append(key)
        app.simulate_key(key)
        if number % 20 == 19:
            await pilot.pause()
    return said


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test that is a coroutine."""
    asyncio.run(test)
