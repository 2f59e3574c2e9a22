"""The clock of a campaign: time, item evaluations and tokens since the last commit."""

import time

from population.evaluation.meter import Meter


class Clock:
    """Time, item evaluations and tokens since it was started, by a meter.

    Args:
        meter: counts item evaluations, tokens and the time of forward passes.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.start()

    def start(self) -> None:
        """Count from here."""
        self._began, self._tokens = self._now(), self._meter.tokens

    @property
    def tokens(self) -> int:
        """Tokens that models read, learned or generated."""
        return self._meter.tokens - self._tokens

    def read(self) -> tuple[float, float, float, int]:
        """Wall, forward and processor time in seconds, and item evaluations."""
        now = self._now()
        wall, forward, cpu = (now[part] - self._began[part] for part in range(3))
        return wall, forward, cpu, int(now[3] - self._began[3])

    def _now(self) -> tuple[float, float, float, int]:
        meter = self._meter
        cpu_s = time.process_time() + meter.cpu_s_elsewhere
        return time.perf_counter(), meter.forward_s, cpu_s, meter.evaluations
