"""The progress of a campaign: a line per generation, and a pulse for whoever watches."""

import time
from typing import TYPE_CHECKING

from rich.console import Console

from tui.console import StopRequest
from tui.pulse import Heart

if TYPE_CHECKING:
    from lineage.records import Settled
    from population.colony import Colony


class CampaignProgress:
    """Tells generation, budget spent, best and median, champion and time left.

    Args:
        console: where to.
        budget: item evaluations in all.
        generations: the last generation, or None.
        stop: asked between two models.
        heart: tells the same to whoever watches.
    """

    def __init__(
        self,
        console: Console,
        budget: int,
        generations: int | None,
        stop: StopRequest,
        heart: Heart,
    ) -> None:
        self._console, self._stop, self._heart = console, stop, heart
        self._budget, self._generations = budget, generations
        self._began_at: float | None = None
        self._step = ""
        self._started = time.monotonic()
        heart.tell(budget=budget, generations=generations)

    def on_step(self, done: int, total: int, what: str) -> None:
        """Called between two models; stops the campaign if that was asked for."""
        from lineage.records import PAUSED  # noqa: PLC0415 - numpy, which no screen waits for

        self._stop.check()
        if what == PAUSED and self._step != PAUSED:
            self._say(f"paused; to go on: colony resume --archive {self._stop.archive}")
        self._step = what
        self._heart.step(done, total, what)

    def on_order(self, settled: "Settled") -> None:
        """Called when something that was asked for is done or refused."""
        order = settled.order
        if order.kind == "budget" and settled.outcome == "done":
            self._budget = int(order.argument or 0)
            self._heart.tell(budget=self._budget)
        self._say(f"order {order.id} ({order.words}) {settled.outcome}: {settled.answer}")

    def on_trouble(self, sentence: str) -> None:
        """Called when an item, a candidate or a judge failed and was passed over."""
        self._say(f"passed over: {sentence}")

    def on_generation(self, colony: "Colony") -> None:
        """Called after every commit."""
        last = colony.history[-1]
        done = self._part_done(last.generation, colony.spent)
        if self._began_at is None:
            # A resumed campaign's pace is measured from where it was resumed.
            self._began_at = done if last.generation > 0 else 0.0
        left = self._left(done)
        self._heart.tell(generation=last.generation, spent=colony.spent, part=done, left_s=left)
        told = {
            "generation": str(last.generation),
            "spent": f"{colony.spent:,}",
            "best": f"{last.best:.3f}",
            "median": f"{last.median:.3f}",
            "champion": f"#{last.champion}"
            + ("" if colony.crowned is None else f" {colony.crowned:.3f}"),
            "left": "?" if left is None else f"{int(left // 60)}:{int(left % 60):02d}",
        }
        self._say("  ".join(f"{name} {value}" for name, value in told.items()))

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _part_done(self, generation: int, spent: int) -> float:
        """How much of the campaign is over, in [0, 1], by whichever limit comes first."""
        parts = [spent / self._budget]
        if self._generations is not None:
            parts.append((generation + 1) / (self._generations + 1))
        return min(1.0, max(parts))

    def _left(self, done: float) -> float | None:
        """Seconds that the rest will take; None while there is no pace to go by."""
        since = done - (self._began_at or 0.0)
        if since <= 0.0:
            return None
        return (time.monotonic() - self._started) / since * (1.0 - done)
