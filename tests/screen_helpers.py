"""What the tests of screens share: the app on a copy of an archive, its frames as text, its keys.

A frame is what is painted, as text: it can be read in a diff, which an SVG cannot. After a change
that is meant, `COLONY_GOLDEN=write pytest tests/test_screens_*.py` writes the golden frames anew.
"""

import asyncio
import gzip
import os
import random
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
from unittest.mock import patch
from weakref import WeakKeyDictionary

from textual.app import App
from textual.message_pump import MessagePump
from textual.pilot import Pilot
from textual.timer import Timer

from lineage import Archive, ArchiveError
from tui.app.app import ColonyApp
from tui.app.data.query_worker import QueryWorker
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


PRESSES = int(os.environ.get("COLONY_PRESSES", "120"))
"""Of a monkey at a time; with `COLONY_PRESSES=2500` the tests named `crashes` press twenty thousand
keys."""


@asynccontextmanager
async def shown(
    archive: Path, size: tuple[int, int] = (120, 40), **settings: Any
) -> AsyncIterator[tuple[ColonyApp, Pilot[None]]]:
    """The app on an archive, once everything has been read; nothing is blinking or moving."""
    app = ColonyApp(archive, ScreenSettings(**settings))
    app.animation_level = "none"

    def read() -> bool:
        summed = app.snapshot is not None and app.snapshot.shares is not None
        return summed and app.command_state is not None and app.trouble is None

    with Unfinished().watched() as UNFINISHED[app], no_rests():
        async with app.run_test(size=size, tooltips=False, notifications=True) as pilot:
            await until(pilot, read)
            await quiet(pilot)
            yield app, pilot


@contextmanager
def no_rests() -> Iterator[None]:
    """Have nobody rest: neither the archive's reader, nor Textual between two keys."""
    with (
        patch("tui.app.data.archive_watcher.EVERY_S", 0.01),
        patch("tui.app.data.archive_watcher.REST_S", 0.0),
        patch("textual.app.wait_for_idle", idle),
        patch("textual.pilot.wait_for_idle", idle),
    ):
        yield


async def idle(*_: float) -> None:
    """Wait until nothing is left to do in this thread, but for timers that ring later.

    Textual rather looks whether the process was busy in the last 20 ms, which takes as long for
    every key, and is wrong on a busy machine.
    """
    loop: Any = asyncio.get_running_loop()
    await asyncio.sleep(0)
    while loop._ready:
        await asyncio.sleep(0)


class Unfinished:
    """What an app is about to do: timers that ring soon, and questions that have no answer yet."""

    def __init__(self) -> None:
        self._timers: list[Timer] = []
        self._questions: dict[tuple[int, str], tuple[MessagePump, object]] = {}

    def __bool__(self) -> bool:
        self._timers = [timer for timer in self._timers if timer._task and not timer._task.done()]
        asking = [asker for asker, _ in self._questions.values() if asker.is_running]
        return bool(self._timers or asking)

    @contextmanager
    def watched(self) -> Iterator[Self]:
        """Hear of all that an app begins; what it says in passing stays, however slow a test is."""
        set_timer, ask, notify = MessagePump.set_timer, QueryWorker.ask, App.notify

        def heard_timer(pump: MessagePump, delay: float, *given: Any, **named: Any) -> Timer:
            timer = set_timer(pump, delay, *given, **named)
            if delay < 1.0:
                self._timers.append(timer)
            return timer

        def heard_ask(
            worker: QueryWorker,
            asker: MessagePump,
            kind: str,
            question: Callable[[Archive], Any],
            take: Callable[[Any], None],
            refuse: Callable[[str], None] | None = None,
        ) -> None:
            # One that is asked again has two answers to come, if the first was under way.
            key, latest = (id(asker), kind), (asker, object())
            self._questions[key] = latest

            def end() -> None:
                if self._questions.get(key) is latest:
                    del self._questions[key]

            def answered(then: Callable[[Any], None]) -> Callable[[Any], None]:
                def call(answer: Any) -> None:
                    end()
                    then(answer)

                return call

            def asked(archive: Archive) -> Any:
                try:
                    return question(archive)
                except ArchiveError:
                    end()
                    raise

            ask(worker, asker, kind, asked, answered(take), refuse and answered(refuse))

        def lasting(app: App[None], *given: Any, **named: Any) -> None:
            notify(app, *given, **{**named, "timeout": 3600})

        with (
            patch.object(MessagePump, "set_timer", heard_timer),
            patch.object(QueryWorker, "ask", heard_ask),
            patch.object(App, "notify", lasting),
        ):
            yield self


UNFINISHED = WeakKeyDictionary[App[None], Unfinished]()


async def quiet(pilot: Pilot[None]) -> None:
    """Wait until nothing that was begun is unfinished, and all is painted."""
    unfinished = UNFINISHED[pilot.app]
    while True:
        await pilot.pause()
        await idle()  # what was painted last may have said something
        if not unfinished and not pilot.app.screen._update_timer._active.is_set():
            return
        while unfinished:
            await asyncio.sleep(0.002)


async def until(pilot: Pilot[None], holds: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until something holds."""
    for _ in range(int(seconds / 0.02)):
        await pilot.pause()
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("what was waited for did not come about")


async def pressed(pilot: Pilot[None], *keys: str) -> None:
    """Press keys, each once what the one before began is laid out and answered.

    Somebody who is faster than a frame finds the cursor where it was: a list that is yet to be
    laid out has not moved it.
    """
    for key in keys:
        await pilot.press(key)
        await quiet(pilot)


def frame(app: ColonyApp) -> str:
    """What is painted, without blanks at the ends of lines."""
    app.screen._compositor._dirty_regions.clear()
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(part.text for part in strip).rstrip() for strip in strips) + "\n"


async def settled(app: ColonyApp, pilot: Pilot[None]) -> str:
    """The frame once nothing more comes into it."""
    await quiet(pilot)
    return frame(app)


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
    path.write_bytes(_brought_forward(name))
    return path


@cache
def _brought_forward(name: str) -> bytes:
    """A recorded archive in the schema of today: who opens it need not wait for that."""
    with TemporaryDirectory(dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")) as folder:
        path = Path(folder) / "colony.duckdb"
        path.write_bytes(gzip.decompress((FIXTURES / f"{name}.duckdb.gz").read_bytes()))
        Archive(path).close()
        return path.read_bytes()


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
