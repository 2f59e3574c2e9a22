"""The progress of a campaign: a line per generation, and a pulse for whoever watches."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from tui.cli.progress_line import ProgressLine
from tui.shared.heartbeat import HeartbeatWriter
from tui.shared.interrupts import StopRequest
from tui.shared.pace import CampaignEnds, clock, part_done, time_left

if TYPE_CHECKING:
    from lineage.records import CommandOutcome
    from population.campaign.state import PopulationState


class CampaignProgress:
    """Tells generation, budget spent, best and median, champion and time left.

    Args:
        teller: where to.
        ends: when the campaign ends at the latest.
        stop: asked between two models.
        heart: tells the same to whoever watches.
        since: the last generation of earlier runs, if there is one.
        now: seconds that only grow.
    """

    def __init__(
        self,
        teller: ProgressLine,
        ends: CampaignEnds,
        stop: StopRequest,
        heart: HeartbeatWriter,
        since: int | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._teller, self._stop, self._heart = teller, stop, heart
        self._ends, self._since, self._now = ends, since, now
        self._step = ""
        self._left: float | None = None
        self._at = now()
        self.spent: Callable[[], int] = lambda: 0
        """Item evaluations so far, those in flight among them."""
        heart.tell(budget=ends.evaluations, generations=ends.generations)

    def on_step(self, done: int, total: int, what: str) -> None:
        """Called between two models; stops the campaign if that was asked for."""
        from lineage.records import PAUSED  # noqa: PLC0415 - numpy, which no screen waits for

        self._stop.check()
        now = self._now()
        if what == PAUSED:
            if self._step != PAUSED:
                self._say(f"paused; to go on: colony resume --archive {self._stop.archive}")
        else:
            if self._step != PAUSED and self._left is not None:
                self._left = max(0.0, self._left - (now - self._at))
            self._teller.step(done, total, what)
        self._step, self._at = what, now
        self._heart.step(
            done, total, what, left_s=self._left, step_left_s=self._teller.left, spent=self.spent()
        )

    def on_command(self, settled: "CommandOutcome") -> None:
        """Called when something that was asked for is done or refused."""
        from lineage.records import allowance_of  # noqa: PLC0415 - as above

        order = settled.command
        if order.kind == "budget" and settled.outcome == "done":
            allowed = allowance_of(order.argument)
            if allowed and allowed.evaluations:
                self._ends = replace(self._ends, evaluations=allowed.evaluations)
            if allowed and allowed.minutes:
                self._ends = replace(self._ends, seconds=60.0 * allowed.minutes)
            self._heart.tell(budget=self._ends.evaluations)
        self._say(f"command {order.id} ({order.words}) {settled.outcome}: {settled.answer}")

    def on_trouble(self, sentence: str) -> None:
        """Called when an item, a candidate or a judge failed and was passed over."""
        self._say(f"passed over: {sentence}")

    def on_generation(self, colony: "PopulationState") -> None:
        """Called after every commit."""
        last = colony.history[-1]
        self._left = time_left(colony.history, self._ends, self._since)
        self._at = self._now()
        self._heart.tell(
            generation=last.generation,
            spent=colony.spent,
            part=part_done(colony.history, self._ends),
            left_s=self._left,
        )
        figures = {
            "generation": str(last.generation),
            "spent": f"{colony.spent:,}",
            "best": f"{last.best:.3f}",
            "median": f"{last.median:.3f}",
            "champion": f"#{last.champion}"
            + ("" if colony.crowned is None else f" {colony.crowned:.3f}"),
            "left": "?" if self._left is None else clock(self._left),
        }
        self._say("  ".join(f"{name} {value}" for name, value in figures.items()))

    def _say(self, line: str) -> None:
        self._teller.say(line)
