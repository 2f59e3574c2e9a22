"""The progress of a campaign: a live panel on a terminal, a line per generation elsewhere."""

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from lineage.records import PAUSED
from tui.console import StopRequest

if TYPE_CHECKING:
    from lineage.records import Settled
    from population.colony import Colony


class CampaignProgress:
    """Shows generation, budget spent, best and median, champion and time left.

    Args:
        console: where to.
        budget: item evaluations in all.
        generations: the last generation, or None.
        stop: asked between two models.
        plain: a line per generation instead of a live panel.
    """

    def __init__(
        self,
        console: Console,
        budget: int,
        generations: int | None,
        stop: StopRequest,
        plain: bool,
    ) -> None:
        self._console, self._stop, self._plain = console, stop, plain
        self._budget, self._generations = budget, generations
        self._began_at: float | None = None
        self._started = time.monotonic()
        self._row: tuple[str, ...] | None = None
        self._step = ""
        self._bar = Progress(
            TextColumn("done"), BarColumn(bar_width=40), TaskProgressColumn(), console=console
        )
        self._task = self._bar.add_task("", total=100)
        self._live = Live(console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> "CampaignProgress":
        if not self._plain:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._plain:
            self._live.stop()

    def on_step(self, done: int, total: int, what: str) -> None:
        """Called between two models; stops the campaign if that was asked for."""
        self._stop.check()
        if what == PAUSED and self._step != PAUSED:
            self._say(f"paused; to go on: colony resume --archive {self._stop.archive}")
        self._step = f"{what} {done}/{total}" if total else what
        if not self._plain:
            self._live.update(self._view())

    def on_order(self, settled: "Settled") -> None:
        """Called when something that was asked for is done or refused."""
        order = settled.order
        if order.kind == "budget" and settled.outcome == "done":
            self._budget = int(order.argument or 0)
        self._say(f"order {order.id} ({order.words}) {settled.outcome}: {settled.answer}")

    def on_generation(self, colony: "Colony") -> None:
        """Called after every commit."""
        last = colony.history[-1]
        done = self._part_done(last.generation, colony.spent)
        if self._began_at is None:
            # A resumed campaign's pace is measured from where it was resumed.
            self._began_at = done if last.generation > 0 else 0.0
        self._bar.update(self._task, completed=100 * done)
        self._row = (
            str(last.generation),
            f"{colony.spent:,}",
            f"{last.best:.3f}",
            f"{last.median:.3f}",
            f"#{last.champion}",
            self._left(done),
        )
        if self._plain:
            names = ("generation", "spent", "best", "median", "champion", "left")
            pairs = zip(names, self._row, strict=True)
            self._say("  ".join(f"{name} {value}" for name, value in pairs))
        else:
            self._live.update(self._view())

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _part_done(self, generation: int, spent: int) -> float:
        """How much of the campaign is over, in [0, 1], by whichever limit comes first."""
        parts = [spent / self._budget]
        if self._generations is not None:
            parts.append((generation + 1) / (self._generations + 1))
        return min(1.0, max(parts))

    def _left(self, done: float) -> str:
        since = done - (self._began_at or 0.0)
        if since <= 0.0:
            return "?"
        seconds = (time.monotonic() - self._started) / since * (1.0 - done)
        return f"{int(seconds // 60)}:{int(seconds % 60):02d}"

    def _view(self) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for name in ("generation", "spent", "best", "median", "champion", "time left"):
            table.add_column(name, justify="right")
        if self._row:
            table.add_row(*self._row)
        step = Table.grid()
        step.add_row(f"[dim]{self._step}[/]")
        return Group(table, self._bar, step)
