"""Progress: what is told, how seldom, and how long the rest takes. No clock is waited for."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from lineage.records import PAUSED, Allowance, Generation, allowance_of
from tui.cli.progress import CampaignProgress
from tui.cli.progress_line import EVERY_S, PAINT_S, ProgressLine, progress_text
from tui.shared.heartbeat import HeartbeatWriter, read_heartbeat
from tui.shared.interrupts import StopRequest
from tui.shared.pace import CampaignEnds, Steps, clock, part_done, time_left


def past(generation: int, evaluations: int, wall_s: float) -> Generation:
    return Generation(
        generation=generation, epoch=0, evaluations=evaluations, best=0.5, median=0.4, champion=9,
        wall_s=wall_s, forward_s=0.0, cpu_s=0.0, founder_entropy=1.0, mean_kinship=0.0,
        item_coverage=0.5,
    )  # fmt: skip


HISTORY = [past(0, 1000, 100.0), past(1, 300, 10.0), past(2, 300, 30.0)]
"""After generation 0 it is 20 s and 300 evaluations a generation, and 140 s were worked."""


def test_the_earliest_limit_counts() -> None:
    every = CampaignEnds(evaluations=1600 + 3000, generations=2 + 30, seconds=140.0 + 300.0)
    assert time_left(HISTORY, every) == pytest.approx(200.0)  # 3000 evaluations, 15 a second
    assert time_left(HISTORY, CampaignEnds(generations=32)) == pytest.approx(600.0)
    assert time_left(HISTORY, CampaignEnds(seconds=440.0)) == pytest.approx(300.0)
    assert time_left(HISTORY, CampaignEnds(240_000, None, 900.0)) == pytest.approx(760.0)
    assert time_left(HISTORY, CampaignEnds(1600, 9, 1e9)) == 0.0
    counted = [replace(past, tokens=10 * past.evaluations) for past in HISTORY]
    ends = CampaignEnds(1600 + 3000, tokens=16_000 + 1_500)
    assert time_left(counted, ends) == pytest.approx(10.0)  # 1,500 tokens, 150 a second
    assert part_done(counted, ends) == pytest.approx(16_000 / 17_500)
    assert time_left(HISTORY, CampaignEnds(100)) == 0.0
    assert time_left(HISTORY, CampaignEnds()) is None


def test_before_there_is_a_pace_only_minutes_tell() -> None:
    assert time_left([], CampaignEnds(1000, 5, None)) is None
    assert time_left([], CampaignEnds(1000, 5, 900.0)) == 900.0
    assert time_left(HISTORY[:1], CampaignEnds(generations=5)) == pytest.approx(500.0)


def test_a_resumed_campaign_goes_by_its_own_pace_as_soon_as_it_has_one() -> None:
    ends = CampaignEnds(generations=12)
    assert time_left(HISTORY, ends, since=2) == pytest.approx(200.0)
    assert time_left([*HISTORY, past(3, 300, 2.0)], ends, since=2) == pytest.approx(18.0)


def test_how_much_is_over_is_by_whichever_limit_comes_first() -> None:
    assert part_done(HISTORY, CampaignEnds(3200, 29, 1400.0)) == pytest.approx(0.5)
    assert part_done(HISTORY, CampaignEnds(32_000, 29, 200.0)) == pytest.approx(0.7)
    assert part_done(HISTORY, CampaignEnds(1, 29, 200.0)) == 1.0
    assert part_done([], CampaignEnds(1000)) == 0.0


def test_steps_have_a_pace_of_their_own() -> None:
    steps = Steps()
    assert steps.left(10.0, 0, 8, "offspring") is None
    assert steps.left(14.0, 2, 8, "offspring") == pytest.approx(12.0)
    assert steps.left(15.0, 0, 4, "arena") is None
    assert steps.left(16.0, 1, 4, "arena") == pytest.approx(3.0)
    assert steps.left(17.0, 0, 4, "arena") is None, "the next round of the same"
    resumed = Steps()
    assert resumed.left(0.0, 90, 100, "first population") is None
    assert resumed.left(5.0, 95, 100, "first population") == pytest.approx(5.0)
    assert resumed.left(9.0, 0, 0, "waiting") is None


def test_times_are_shown_as_clocks_show_them() -> None:
    assert [clock(s) for s in (0.0, 65.2, 3599.0, 3600.0, 127036.0, -4.0)] == [
        "0:00", "1:05", "59:59", "1:00:00", "35:17:16", "0:00",
    ]  # fmt: skip


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def teller(stream: io.StringIO, now: list[float], *, interactive: bool) -> ProgressLine:
    console = Console(file=stream, width=40, force_terminal=False)
    return ProgressLine(console, stream, interactive, lambda: now[0])


def test_a_pipe_hears_a_plain_line_after_seconds_of_silence(stream: io.StringIO) -> None:
    now = [0.0]
    telling = teller(stream, now, interactive=False)
    for second in range(1, 24):
        now[0] = float(second)
        telling.step(second, 46, "first population")
    lines = stream.getvalue().splitlines()
    assert lines == [f"first population {s}/46, {clock(46 - s)} left" for s in (5, 10, 15, 20)]
    assert EVERY_S == 5.0
    telling.say("generation 0  spent 9")
    now[0] += EVERY_S - 0.1
    telling.step(1, 9, "offspring")
    assert stream.getvalue().splitlines()[4:] == ["generation 0  spent 9"]
    assert all(sign.isprintable() or sign == "\n" for sign in stream.getvalue())


def test_on_a_terminal_one_line_is_replaced_and_leaves_nothing_behind(stream: io.StringIO) -> None:
    now = [0.0]
    telling = teller(stream, now, interactive=True)
    telling.step(0, 9, "a")
    assert stream.getvalue() == "\r\x1b[2Ka 0/9", "at once: importing torch comes next"
    now[0] += PAINT_S / 2
    telling.step(1, 9, "a")
    assert "1/9" not in stream.getvalue()
    now[0] += PAINT_S
    telling.step(2, 9, "a" * 100)
    assert stream.getvalue().rsplit("\x1b[2K", maxsplit=1)[-1] == "a" * 39, "wider would wrap"
    telling.say("done")
    assert stream.getvalue().endswith("\r\x1b[2Kdone\n")
    before = stream.getvalue()
    telling.clear()
    assert stream.getvalue() == before


def test_names_of_models_cannot_steer_a_terminal() -> None:
    assert progress_text(3, 9, "checking \x1b[31mred\n", None) == "checking ?[31mred? 3/9"
    assert progress_text(0, 1, "[bold]x[/]", 61.0) == "[bold]x[/], 1:01 left"


class Shown:
    """A colony as far as progress looks at it."""

    def __init__(self, history: list[Generation]) -> None:
        self.history = tuple(history)
        self.spent = sum(one.evaluations for one in history)
        self.crowned: float | None = None


@pytest.fixture
def live(tmp_path: Path, stream: io.StringIO) -> tuple[CampaignProgress, list[float], Path]:
    now = [0.0]
    archive = tmp_path / "a.duckdb"
    telling = teller(stream, now, interactive=False)
    ends = CampaignEnds(240_000, None, 900.0)
    shown = CampaignProgress(
        telling, ends, StopRequest(archive), HeartbeatWriter(archive), None, lambda: now[0]
    )
    return shown, now, archive


def test_a_campaign_of_15_minutes_has_no_more_left(
    live: tuple[CampaignProgress, list[float], Path], stream: io.StringIO
) -> None:
    shown, _, archive = live
    shown.on_generation(Shown(HISTORY))  # type: ignore[arg-type]
    assert "left 12:40" in stream.getvalue()
    heartbeat = read_heartbeat(archive)
    assert heartbeat is not None
    assert heartbeat.left_s == pytest.approx(760.0)
    assert heartbeat.part == pytest.approx(140 / 900)


def test_the_time_left_goes_down_while_models_work_and_not_while_they_wait(
    live: tuple[CampaignProgress, list[float], Path],
) -> None:
    shown, now, _ = live
    told = []
    shown._heartbeat.step = lambda done, total, what, **known: told.append(known)  # type: ignore[method-assign]
    shown.spent = lambda: 1234
    shown.on_generation(Shown(HISTORY))  # type: ignore[arg-type]
    for moment, what in ((10, "offspring"), (20, PAUSED), (500, PAUSED), (501, "offspring"),
                         (506, "offspring"), (2000, "offspring")):  # fmt: skip
        now[0] = float(moment)
        shown.on_step(0, 4, what)
    assert [known["left_s"] for known in told] == [750.0, 750.0, 750.0, 750.0, 745.0, 0.0]
    assert {known["spent"] for known in told} == {1234}


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("500000", Allowance(500_000)),
        ("7t", Allowance(None, None, 7)),
        ("500000 90m 3000000t", Allowance(500_000, 90.0, 3_000_000)),
        ("90m", Allowance(None, 90.0)),
        ("500000 1.5m", Allowance(500_000, 1.5)),
        ("1234567.25m", Allowance(None, 1234567.25)),
    ],
)
def test_what_may_be_spent_is_read_as_it_is_written(text: str, allowed: Allowance) -> None:
    assert allowance_of(text) == allowed
    assert allowed.argument == text


@pytest.mark.parametrize(
    "text", ["", "0", "0m", "5 0m", "-1", "1e9", "nanm", "m", "9" * 19, "9" * 30, "1 2", None]
)
def test_what_is_no_budget_is_none(text: str | None) -> None:
    assert allowance_of(text) is None
