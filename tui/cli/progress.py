"""The progress of a campaign: a line for each generation, and the heartbeat for watchers."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from tui.cli.progress_line import ProgressLine
from tui.shared.heartbeat import HeartbeatWriter
from tui.shared.interrupts import StopRequest
from tui.shared.pace import CampaignEnds, clock, on_workers, part_done, time_left

if TYPE_CHECKING:
    from lineage.records import CommandOutcome
    from population.campaign.loop import Campaign
    from population.campaign.state import PopulationState


class CampaignProgress:
    """Prints generation, budget spent, best and median score, champion and time left.

    Args:
        line: prints it.
        ends: when the campaign ends at the latest.
        stop: checked between two models.
        heartbeat: gets the same, for watchers.
        since: the last generation of earlier runs, if there is one.
        now: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        line: ProgressLine,
        ends: CampaignEnds,
        stop: StopRequest,
        heartbeat: HeartbeatWriter,
        since: int | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._line, self._stop, self._heartbeat = line, stop, heartbeat
        self._ends, self._since, self._now = ends, since, now
        self._step = ""
        self._left: float | None = None
        self._at = now()
        self.spent: Callable[[], int] = lambda: 0
        """Item evaluations so far, including those in flight."""
        self.workers: Callable[[], int | None] = lambda: None
        """Processes of a cluster that work for the campaign."""
        heartbeat.update(budget=ends.evaluations, generations=ends.generations)

    def watch(self, campaign: "Campaign") -> None:
        """Tell of a campaign what it has spent, and who works for it."""
        self.spent = lambda: campaign.spent
        self.workers = lambda: campaign.context.engine.workers

    def on_step(self, done: int, total: int, what: str) -> None:
        """Called between two models.

        Args:
            done: how much is done, of `total`.
            total: see `done`.
            what: is being done.

        Raises:
            Interrupted: somebody asked the campaign to stop.
        """
        from lineage.records import PAUSED  # noqa: PLC0415 - numpy, which no screen waits for

        self._stop.check()
        now = self._now()
        if what == PAUSED:
            if self._step != PAUSED:
                self._say(f"paused; to go on: colony resume --archive {self._stop.archive}")
        else:
            if self._step != PAUSED and self._left is not None:
                self._left = max(0.0, self._left - (now - self._at))
            self._line.step(done, total, what + on_workers(self.workers()))
        self._step, self._at = what, now
        self._heartbeat.step(
            done,
            total,
            what,
            left_s=self._left,
            step_left_s=self._line.left,
            spent=self.spent(),
            workers=self.workers(),
        )

    def on_command(self, result: "CommandOutcome") -> None:
        """Called when a command was carried out or refused."""
        from lineage.records import allowance_of  # noqa: PLC0415 - as above

        command = result.command
        if command.kind == "budget" and result.outcome == "done":
            allowed = allowance_of(command.argument)
            if allowed and allowed.evaluations:
                self._ends = replace(self._ends, evaluations=allowed.evaluations)
            if allowed and allowed.minutes:
                self._ends = replace(self._ends, seconds=60.0 * allowed.minutes)
            if allowed and allowed.tokens:
                self._ends = replace(self._ends, tokens=allowed.tokens)
            self._heartbeat.update(budget=self._ends.evaluations)
        self._say(f"command {command.id} ({command.words}) {result.outcome}: {result.answer}")

    def on_trouble(self, sentence: str) -> None:
        """Called with a sentence when an item, a candidate or a judge fails and is passed over."""
        self._say(f"passed over: {sentence}")

    def on_generation(self, population: "PopulationState") -> None:
        """Called with the population state after every commit."""
        last = population.history[-1]
        self._left = time_left(population.history, self._ends, self._since)
        self._at = self._now()
        self._heartbeat.update(
            generation=last.generation,
            spent=population.spent,
            part=part_done(population.history, self._ends),
            left_s=self._left,
        )
        figures = {
            "generation": str(last.generation),
            "spent": f"{population.spent:,}",
            **({} if self._ends.tokens is None else {"tokens": f"{population.tokens:,}"}),
            "best": f"{last.best:.3f}",
            "median": f"{last.median:.3f}",
            "champion": f"#{last.champion}"
            + ("" if population.crowned is None else f" {population.crowned:.3f}"),
            "left": "?" if self._left is None else clock(self._left),
        }
        self._say("  ".join(f"{name} {value}" for name, value in figures.items()))

    def _say(self, line: str) -> None:
        self._line.say(line)
